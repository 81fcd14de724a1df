"""A load test against an earlier one: what changed, and whether that is more than chance.

Only runs of the same load can be compared. Where the pattern, the payloads or the target differ the
comparison is refused, because the difference would be theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from calumma import errors, evidence
from calumma.scoring import metrics
from calumma.statistics import intervals

ALIKE = (
    *("pattern", "warm_up", "payloads", "target", "scale"),
    *("objective", "search", "connections", "give_up"),
)
"""The parameters of a report that must be the same."""


def read(path: Path | str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier report, by its file or its folder, of the load that ``parameters`` say.

    Raises :class:`~calumma.errors.EvaluationError` where there is none, or the load was another.
    """
    file = Path(path) / evidence.REPORT if Path(path).is_dir() else Path(path)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        theirs, _ = found["parameters"], found["times"]["metrics"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.EvaluationError(
            f"the baseline {file} is not a readable {evidence.REPORT} of a load test: {error!r}"
        ) from error
    ours = json.loads(json.dumps(parameters))
    other = [name for name in ALIKE if ours.get(name) != theirs.get(name)]
    if other:
        differences = "; ".join(
            f"{name} was {json.dumps(theirs.get(name))} and is {json.dumps(ours.get(name))}"
            for name in other
        )
        raise errors.EvaluationError(
            f"the baseline {file} was another load and is no comparison: {differences}"
        )
    report: dict[str, Any] = found
    return report


def changes(
    measured: Sequence[metrics.Metric], baseline: Mapping[str, Any]
) -> list[metrics.Metric]:
    """``change of <name>`` for each metric that both have with an interval: now minus then."""
    then = {each["name"]: each for each in _metrics(baseline)}
    return [
        _change(each, then[each.name])
        for each in measured
        if each.name in then and each.interval and then[each.name].get("interval")
    ]


def _metrics(report: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for table in report["times"]["metrics"]:
        yield from table["metrics"]


def _change(now: metrics.Metric, then: Mapping[str, Any]) -> metrics.Metric:
    earlier = then["interval"]
    bounds = intervals.Interval(earlier["low"], earlier["high"])
    level = min(now.level, earlier["level"])
    value, interval = None, None
    if now.value is not None and then["value"] is not None and now.interval is not None:
        value = now.value - then["value"]
        interval = intervals.difference(now.value, now.interval, then["value"], bounds)
    n = min(now.n, then["n"])
    return metrics.Metric(f"change of {now.name}", value, n, interval, now.unit, level=level)
