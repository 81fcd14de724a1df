"""Rules of thumb that are in use, as plain formulas, to be measured beside the detectors.

Each compares a number with a limit that somebody found reasonable. None knows how many images there
are, so none can keep a promise about false alarms. They decide nothing here; what they do without
drift is shown, so that a reader sees why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats
from scipy.spatial import distance

from calumma.drift import classifier, kernel
from calumma.drift.detection import Values
from calumma.drift.sides import Side

_BINS = 10


def wasserstein(before: Side, now: Side, seed: int) -> bool:
    """Wasserstein's distance of the brightness, over the reference's spread, is at least 0.1."""
    reference, current = _brightness(before, now)
    spread = max(float(reference.std()), 1e-3)
    return float(stats.wasserstein_distance(reference, current)) / spread >= 0.1


def stability(before: Side, now: Side, seed: int) -> bool:
    """The population stability index of the brightness, in ten bins, is at least 0.1."""
    reference, current = _brightness(before, now)
    edges = np.quantile(reference, np.arange(1, _BINS) / _BINS)
    shares = [
        np.maximum(np.bincount(np.searchsorted(edges, each), minlength=_BINS) / each.size, 1e-4)
        for each in (reference, current)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0]))) >= 0.1


def jensen_shannon(before: Side, now: Side, seed: int) -> bool:
    """The Jensen-Shannon distance of the labels given is at least 0.1."""
    labels = sorted({*before.labels, *now.labels})
    shares = [[side.labels.count(label) for label in labels] for side in (before, now)]
    return float(distance.jensenshannon(*shares, base=2)) >= 0.1


def uncorrected(before: Side, now: Side, seed: int) -> bool:
    """Any Kolmogorov-Smirnov test of any class's probability has p below 0.05."""
    pairs = zip(before.probabilities.T, now.probabilities.T, strict=True)
    return any(float(stats.ks_2samp(*pair).pvalue) < 0.05 for pair in pairs)


def domain_classifier(before: Side, now: Side, seed: int) -> bool:
    """A classifier tells the embeddings apart with an area under the curve above 0.55."""
    found = classifier.test(
        "", before.features.embedding, now.features.embedding, alpha=0.5, seed=seed, permutations=1
    )
    return (found.effect.value or 0) > 0.55


def discrepancy_quantile(before: Side, now: Side, seed: int) -> bool:
    """The discrepancy is above the 5% quantile of what chance gives (5, where 95 was meant)."""
    found = kernel.test(
        "", before.features.embedding, now.features.embedding, alpha=0.5, seed=seed, permutations=99
    )
    return found.p_value < 0.95


RULES: Mapping[str, Callable[[Side, Side, int], bool]] = {
    "Wasserstein distance of brightness >= 0.1": wasserstein,
    "stability index of brightness >= 0.1": stability,
    "Jensen-Shannon distance of labels >= 0.1": jensen_shannon,
    "any of the probabilities' p-values < 0.05": uncorrected,
    "classifier's area under the curve > 0.55": domain_classifier,
    "discrepancy above its 5% quantile": discrepancy_quantile,
}


def _brightness(before: Side, now: Side) -> tuple[Values, Values]:
    return before.features.statistics["brightness"], now.features.statistics["brightness"]
