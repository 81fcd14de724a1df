"""What is sent as pairs: each image once, at a place that never changes.

A rollout that was killed goes on at the place that its state names. So the order is the same in
every process: a dataset is shuffled by a seed, and recorded requests, which become more while the
rollout goes on, stay in the order in which they were written.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from calumma import datasets, errors
from calumma.feedback import folder, joining, records
from calumma.rollout import state
from calumma.scoring import cases


class Population(Protocol):
    """Cases by their place; ``size`` is None before the first ``refresh``, which may take long.

    ``digests`` are the SHA-256 of images that no user has sent.
    """

    size: int | None
    name: str
    digests: frozenset[str]

    def refresh(self) -> None:
        """Find out what there is; raises CalummaError."""

    def cases(self, begin: int, end: int) -> list[cases.Case]:
        """Those between two places; raises CalummaError."""


def of(known: state.State) -> Population | None:
    """What a rollout's pairs are; None where it has none.

    Recorded requests are those of feedback's window before the rollout, and all that follow.
    Raises :class:`~calumma.errors.DocumentInvalid` without a dataset and without feedback.
    """
    plan = known.policy
    pairs, feedback = plan.sources.pairs, plan.sources.feedback
    if pairs is None:
        return None
    if pairs.dataset is not None:
        return Labelled(pairs.dataset, Path(plan.project), known.id)
    if feedback is None:
        raise errors.DocumentInvalid(
            f"sources.pairs of the policy of {plan.service} names no dataset, so that recorded "
            "requests are sent, and sources.feedback, which says where they are, is missing"
        )
    since = known.began - feedback.window if feedback.window else 0.0
    path = Path(plan.project) / feedback.folder
    return Recorded(path, plan.service, plan.namespace, since, feedback.adjudicator)


class Labelled:
    """A dataset, in an order that a seed decides."""

    def __init__(self, name: str, project: Path, seed: str) -> None:
        self.size: int | None = None
        self.digests: frozenset[str] = frozenset()
        self.name = f"the images of {name}"
        self._dataset, self._project, self._seed = name, project, seed
        self._order: list[cases.Case] = []

    def refresh(self) -> None:
        """Read it once."""
        if not self._order:
            found = datasets.load(self._dataset, beside=self._project)
            self._order = random.Random(self._seed).sample(found, len(found))
            self.digests = frozenset(hashlib.sha256(each.image).hexdigest() for each in found)
            self.size = len(self._order)

    def cases(self, begin: int, end: int) -> list[cases.Case]:
        """Those between two places."""
        return self._order[begin:end]


class Recorded:
    """Images that users have sent to a service since a Unix time, and go on sending.

    A label counts if it is known when the image is sent.
    """

    def __init__(
        self, path: Path, service: str, namespace: str, since: float, adjudicator: str | None
    ) -> None:
        self.size: int | None = None
        self.digests: frozenset[str] = frozenset()
        self.name = f"the requests recorded in {path}"
        self._path, self._since, self._adjudicator = path, since, adjudicator
        self._of = (service, namespace)
        self._reader = folder.Reader(path)
        self._images: dict[str, list[records.Prediction]] = {}
        self._labels: Sequence[records.Label] = ()

    def refresh(self) -> None:
        """Read what was written since."""
        contents = self._reader.read()
        images: dict[str, list[records.Prediction]] = {}
        for each in contents.predictions:
            own = (each.service, each.namespace) == self._of and each.time >= self._since
            if own and each.image is not None:
                images.setdefault(each.image, []).append(each)
        self._images, self._labels = images, contents.labels
        self.size = len(images)

    def cases(self, begin: int, end: int) -> list[cases.Case]:
        """Those between two places, with the labels that are known now."""
        found = list(self._images.items())[begin:end]
        chosen = [each for _, predictions in found for each in predictions]
        times = [*(each.time for each in chosen), *(each.time for each in self._labels)]
        joined = joining.join(
            chosen, self._labels, at=max(times, default=0.0), adjudicator=self._adjudicator
        ).joined
        labels = {each.prediction.image: each.label for each in joined if each.label is not None}
        return [
            cases.Case(digest, folder.image(self._path, digest), labels.get(digest))
            for digest, _ in found
        ]
