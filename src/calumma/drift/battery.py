"""All detectors at once, on the same two sides, with one ``alpha`` between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma.drift import (
    categories,
    classifier,
    detection,
    features,
    kernel,
    kolmogorov,
    martingale,
    novelty,
)
from calumma.drift.detection import Detection, Values
from calumma.drift.sides import Side

DETECTORS = ("inputs", "embeddings", "classifier", "outputs", "labels", "online")
"""What each looks at is in :func:`detect`."""


@dataclass(frozen=True)
class Settings:
    """How to look: which detectors share ``alpha``, and how large a window of current images is."""

    detectors: tuple[str, ...]
    alpha: float
    window: int
    permutations: int
    seed: int


class Findings(NamedTuple):
    """What the detectors found; ``paths`` are the online detector's, ``flags`` of each image."""

    detections: tuple[Detection, ...]
    paths: tuple[martingale.Path, ...]
    flags: novelty.Flags


def detect(before: Side, now: Side, settings: Settings) -> Findings:
    """Let the chosen detectors look at both sides.

    ``inputs`` are the image statistics, ``embeddings`` and ``classifier`` the vectors, ``outputs``
    each class's probability, ``labels`` the labels given, ``online`` image by image some of each.
    """
    bank_rows, rest = novelty.split(len(before.answers), settings.seed)
    bank = novelty.Bank(before.inputs.some(bank_rows))
    flags = novelty.flag(bank, before.inputs.some(rest), now.inputs, alpha=settings.alpha)
    watched, paths = martingale.test(
        "online",
        _scores(before, bank, rest),
        _scores(now, bank, np.arange(len(now.answers))),
        alpha=settings.alpha,
        seed=settings.seed,
    )
    known = {"online": lambda: watched, **_detectors(before, now, settings)}
    detections = detection.family([known[name]() for name in settings.detectors])
    return Findings(detections, paths, flags)


def _detectors(
    before: Side, now: Side, settings: Settings
) -> Mapping[str, Callable[[], Detection]]:
    alpha, seed, permutations = settings.alpha, settings.seed, settings.permutations
    embeddings = before.features.embedding, now.features.embedding

    def inputs() -> Detection:
        names = features.varying(before.features, now.features) or ("brightness",)
        sides = (features.chosen(side.features, names) for side in (before, now))
        return kolmogorov.tests("inputs", *sides, alpha=alpha)

    return {
        "inputs": inputs,
        "embeddings": lambda: kernel.test(
            "embeddings", *embeddings, alpha=alpha, seed=seed, permutations=permutations
        ),
        "classifier": lambda: classifier.test(
            "classifier", *embeddings, alpha=alpha, seed=seed, permutations=permutations
        ),
        "outputs": lambda: kolmogorov.tests(
            "outputs", _by_class(before), _by_class(now), alpha=alpha
        ),
        "labels": lambda: categories.test(
            "labels", before.labels, now.labels, alpha=alpha, seed=seed
        ),
    }


def _scores(side: Side, bank: novelty.Bank, rows: NDArray[np.int64]) -> dict[str, Values]:
    """What the online detector watches of each image, of a side's rows."""
    statistics = side.features.statistics
    return {
        "brightness": statistics["brightness"][rows],
        "sharpness": statistics["sharpness"][rows],
        "strangeness": bank.distance(side.features.embedding[rows]),
        "confidence": side.confidence[rows],
    }


def _by_class(side: Side) -> dict[str, Values]:
    return {
        f"probability of class {number}": column
        for number, column in enumerate(side.probabilities.T)
    }
