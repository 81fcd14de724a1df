"""Two runs side by side: each metric of both, how much it changed, and what the gates said.

A change has an interval where both values are proportions of independent answers. Nothing is
compared that cannot be: on other data, or with another seed, a difference says nothing about the
versions, and both values are shown without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from calumma.evaluation import history, record
from calumma.scoring import metrics


class Row(NamedTuple):
    """A metric of both runs; None where a run does not have it.

    ``change`` is the second minus the first, without an interval where there is none to be had, and
    None where they cannot be compared. ``gates`` are the verdicts on it, empty without a gate.
    """

    name: str
    first: metrics.Metric | None
    second: metrics.Metric | None
    change: metrics.Metric | None
    gates: tuple[str, str]


@dataclass(frozen=True)
class Section:
    """A section of both runs; ``objections`` say why its numbers cannot be compared."""

    name: str
    verdicts: tuple[str, str]
    objections: tuple[str, ...]
    remarks: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Comparison:
    """Two runs, the sections that both have, and what only one of them has."""

    first: record.Run
    second: record.Run
    sections: tuple[Section, ...]
    remarks: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether everything that both have could be compared."""
        return bool(self.sections) and not any(each.objections for each in self.sections)


def compare(first: history.Past, second: history.Past) -> Comparison:
    """Compare two runs by section and by the metrics' names."""
    sections = []
    remarks = list(_remarks(first.run, second.run))
    ours = {each.name: each for each in first.run.sections}
    theirs = {each.name: each for each in second.run.sections}
    reports = history.reports(*first), history.reports(*second)
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in ours or name not in theirs:
            only = first if name in ours else second
            remarks.append(f"only {only.run.id} has the section {name}")
            continue
        both = (reports[0][name], reports[1][name])
        sections.append(_section(ours[name], theirs[name], both))
    return Comparison(first.run, second.run, tuple(sections), tuple(remarks))


Reports = tuple[Mapping[str, Any], Mapping[str, Any]]


def _section(ours: record.Section, theirs: record.Section, reports: Reports) -> Section:
    objections = _objections(ours, theirs, reports)
    measured = [record.metrics_of(report) for report in reports]
    names = dict.fromkeys([*measured[0], *measured[1]])
    gates = [{key.name: key.verdict or "" for key in each.keys} for each in (ours, theirs)]
    rows = []
    for name in names:
        first, second = measured[0].get(name), measured[1].get(name)
        change = None if objections else _change(first, second)
        rows.append(
            Row(name, first, second, change, (gates[0].get(name, ""), gates[1].get(name, "")))
        )
    return Section(
        ours.name,
        (ours.verdict or ours.state, theirs.verdict or theirs.state),
        objections,
        tuple(_settings(reports)),
        tuple(rows),
    )


def _change(first: metrics.Metric | None, second: metrics.Metric | None) -> metrics.Metric | None:
    if first is None or second is None or first.value is None or second.value is None:
        return None
    if first.unit != second.unit:
        return None
    name = f"change of {first.name}"
    if first.count is not None and second.count is not None:
        return metrics.difference(name, second, first)
    difference = second.value - first.value
    return metrics.Metric(name, difference, min(first.n, second.n), None, first.unit)


def _objections(ours: record.Section, theirs: record.Section, reports: Reports) -> tuple[str, ...]:
    found = []
    for each, report in ((ours, reports[0]), (theirs, reports[1])):
        if not report:
            found.append(f"{each.name} of one run left no report: {each.sentence or each.state}")
    if found:
        return tuple(found)
    first, second = (report.get("data", {}) for report in reports)
    if first != second:
        names = [f"{each.get('name', 'data')} ({_short(each)})" for each in (first, second)]
        found.append(f"the data differ: {names[0]} against {names[1]}")
    seeds = [report.get("parameters", {}).get("seed") for report in reports]
    if seeds[0] != seeds[1]:
        found.append(f"the seeds differ: {seeds[0]} against {seeds[1]}")
    return tuple(found)


def _short(data: Mapping[str, Any]) -> str:
    digest = data.get("sha256")
    return digest[:12] if isinstance(digest, str) else "without a digest"


def _settings(reports: Reports) -> list[str]:
    """Parameters that differ besides those that say what is compared."""
    meant = {"seed", "service", "namespace", "revision"}
    ours, theirs = (dict(_flat(report.get("parameters", {}))) for report in reports)
    names = [name for name in dict.fromkeys([*ours, *theirs]) if name not in meant]
    return [
        f"{name} was {ours.get(name)!r} and then {theirs.get(name)!r}"
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _flat(parameters: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters with those that they hold, under names like ``online.seconds``."""
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _remarks(first: record.Run, second: record.Run) -> list[str]:
    said = []
    if first.suite != second.suite:
        said.append(f"the suites are {first.suite} and {second.suite}")
    elif first.document["sha256"] != second.document["sha256"]:
        said.append("the suite's file was changed between the runs, so gates may differ")
    if (first.service, first.namespace) != (second.service, second.namespace):
        names = [f"{each.service} in {each.namespace}" for each in (first, second)]
        said.append(f"the services are {names[0]} and {names[1]}")
    return said
