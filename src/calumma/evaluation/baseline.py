"""What changes are measured against: another revision on the same images, or an earlier report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from calumma import errors, evidence, inference

STABLE = "stable"


class Baseline(NamedTuple):
    """Either the revision that answers the same images, or the content of a report, or neither."""

    revision: str | None = None
    report: Mapping[str, Any] | None = None

    def __bool__(self) -> bool:
        return self.revision is not None or self.report is not None

    def __str__(self) -> str:
        if self.revision is not None:
            return f"{self.revision}, on the same images"
        if self.report is not None:
            return f"an earlier report, of {self.report['times']['started']}"
        return "none"


def find(named: str, endpoint: inference.Endpoint, judged: inference.Target | None) -> Baseline:
    """The baseline that a notebook's parameter names.

    It is ``stable`` while a canary that is judged shares the traffic, or a ``report.json`` or its
    folder; empty means none. Raises :class:`~calumma.errors.EvaluationError` for what is not there.
    """
    if not named:
        return Baseline()
    if named == STABLE:
        stable, canary = endpoint.canary()
        if judged != canary:
            raise errors.EvaluationError(
                f"the stable revision {stable.revision} would be compared with itself; "
                "judge the latest one, the canary, against it"
            )
        return Baseline(revision=stable.revision)
    path = Path(named)
    path = path / evidence.REPORT if path.is_dir() else path
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        report["data"]["sha256"], report["metrics"], report["times"]["started"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.EvaluationError(
            f"the baseline {named!r} is neither {STABLE!r} nor a readable {evidence.REPORT} of an "
            f"offline evaluation: {error!r}"
        ) from error
    return Baseline(report=report)
