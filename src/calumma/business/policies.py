"""What readers would have said had they followed the model, and what would be missed then.

Three policies on the same readings: each reader *alone*; each takes *every* suggestion; each takes
the suggestion only where they *saw nothing* (said no finding) and the model saw something. Where
the model gave no answer, what the reader said stands.

This is arithmetic on what people said without the model. Real people change when a machine speaks
first: they look less closely, and take wrong suggestions that they would have corrected (automation
bias: R. Parasuraman and D. H. Manzey, Human Factors 52 (2010) 381-410). So the numbers say what the
policies could do at best, not what a deployment will.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calumma.business import multireader
from calumma.business.readers import NONE, Study
from calumma.scoring import metrics

CAVEAT = (
    "Computed from what people said without the model, not from people who worked with it. Whoever "
    "sees a suggestion first looks less closely and takes some wrong ones (automation bias), so "
    "that a trial with people may find more missed than is shown here."
)


class Policy(StrEnum):
    """What a reader does with the model's suggestion."""

    ALONE = "person alone"
    EVERY = "every suggestion followed"
    UNSEEN = "followed where the person saw nothing"


def final(study: Study, policy: Policy) -> NDArray[np.int64]:
    """The label that each reading ends with, [R, K]; NONE where a case was not read."""
    said = study.said
    suggested = np.broadcast_to(study.suggested, said.shape)
    usable = (said != NONE) & (suggested != NONE)
    if policy is Policy.ALONE:
        usable = np.zeros_like(usable)
    elif policy is Policy.UNSEEN:
        usable &= ~study.findings[said] & study.findings[suggested]
    result: NDArray[np.int64] = np.where(usable, suggested, said)
    return result


def missed(study: Study, policy: Policy, label: str | None = None) -> multireader.Table:
    """1 where a finding (of one class) was missed, 0 where not, NaN where there was none to miss.

    A finding that is taken for another one is missed.
    """
    true, counts = study.truth, _judged(study)
    wanted = study.findings if label is None else np.array(study.classes) == label
    counts = counts & wanted[true]
    return np.where(counts, final(study, policy) != true, np.nan)


def false_alarms(study: Study, policy: Policy) -> multireader.Table:
    """1 where a finding was seen in a case that is none, 0 where not, NaN where the case is one."""
    counts = _judged(study) & ~study.findings[study.truth]
    return np.where(counts, study.findings[final(study, policy)], np.nan)


def comparison(study: Study) -> tuple[metrics.Metric, ...]:
    """Missed findings and false alarms under each policy, and their changes against alone."""
    found: list[metrics.Metric] = []
    tables: dict[str, Callable[[Policy], multireader.Table]] = {
        "missed findings": partial(missed, study),
        "false alarms": partial(false_alarms, study),
    }
    for words, table in tables.items():
        alone = table(Policy.ALONE)
        found += [multireader.rate(f"{words}, {policy}", table(policy)) for policy in Policy]
        found += [
            multireader.difference(f"{words}, {policy}, minus alone", table(policy), alone)
            for policy in (Policy.EVERY, Policy.UNSEEN)
        ]
    return tuple(found)


def by_class(study: Study) -> tuple[metrics.Metric, ...]:
    """The share of each finding that is missed under each policy."""
    labels = [label for label, is_one in zip(study.classes, study.findings, strict=True) if is_one]
    return tuple(
        multireader.rate(f"missed {label}, {policy}", missed(study, policy, label))
        for label in labels
        for policy in Policy
    )


def by_reader(study: Study) -> tuple[metrics.Metric, ...]:
    """Each reader's sensitivity (findings not missed) and specificity, alone, by Wilson."""
    found = []
    for row, reader in enumerate(study.readers):
        for words, table in (
            ("sensitivity", missed(study, Policy.ALONE)),
            ("specificity", false_alarms(study, Policy.ALONE)),
        ):
            errors = table[row][np.isfinite(table[row])]
            right = int((errors == 0).sum())
            found.append(metrics.proportion(f"{words} of {reader}", right, len(errors)))
    return tuple(found)


def seconds(study: Study) -> metrics.Metric:
    """The mean seconds of a reading, where they are recorded."""
    return multireader.mean("seconds of a reading, person alone", study.seconds, "s")


def _judged(study: Study) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = (study.said != NONE) & (study.truth != NONE)
    return known
