"""The record of a run, ``run.json``: what was asked, with what, how far it is, and what was found.

It is written when a run begins and replaced as a whole when something has changed, so that it is
never half there. Who runs holds a lock that the kernel takes back when a process ends in whatever
way: a record that says *running* while nobody holds its lock is that of a run that was killed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pydantic

from calumma.scoring import metrics
from calumma.statistics import intervals

FILE = "run.json"

State = Literal["waiting", "running", "ended", "skipped", "killed"]
Verdict = Literal["pass", "fail", "inconclusive", "error"]

CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "inconclusive": 2, "error": 3}
_WORST: tuple[Verdict, ...] = ("error", "fail", "inconclusive", "pass")
_LOCK = ".lock"
_KILLED = (
    "error: the process that ran it ended without a word: it was killed, or its machine went down"
)


class _Part(pydantic.BaseModel):
    # Unknown keys are left out: the record may be of a later version.
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)


class Key(_Part):
    """A metric that a gate looked at, and what the gate said."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    verdict: Verdict | None


class Section(_Part):
    """One notebook of the run; its files are ``<name>.ipynb``, ``<name>.html`` and ``<name>/``."""

    name: str
    notebook: str
    parameters: dict[str, Any]
    state: State = "waiting"
    started: str | None = None
    seconds: float | None = None
    verdict: Verdict | None = None
    sentence: str = ""
    subject: dict[str, Any] = {}
    """What the report says was evaluated: the service and its revisions."""
    data: dict[str, Any] = {}
    """What the report says it was evaluated on, with its SHA-256."""
    keys: tuple[Key, ...] = ()
    raised: str | None = None
    """The name of the exception that stopped a cell."""

    @property
    def revision(self) -> str:
        """The revision that is judged: ``judged``, ``canary`` or ``revision`` of the subject."""
        named = (self.subject.get(word) for word in ("judged", "canary", "revision"))
        return next((each for each in named if isinstance(each, str) and each), "")


class Run(_Part):
    """A run of a suite; times are UTC in ISO 8601."""

    format: Literal[1] = 1
    id: str
    suite: str
    service: str
    namespace: str
    state: State
    started: str
    seconds: float | None = None
    verdict: Verdict | None = None
    sentence: str = ""
    parameters: dict[str, Any]
    """What was asked for beside the suite: revision, seed, sections, settings."""
    document: dict[str, str]
    """The suite's file as it was: ``path``, ``sha256``, ``text``."""
    code: dict[str, Any]
    """``commit`` of the checkout, and whether files were ``changed`` since (null: not known)."""
    environment: dict[str, Any]
    process: dict[str, Any]
    sections: tuple[Section, ...]

    @property
    def revisions(self) -> str:
        """The revisions that its sections judged, each once."""
        return ", ".join(dict.fromkeys(each.revision for each in self.sections if each.revision))


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The worst of some verdicts: error, fail, inconclusive, pass; None of none."""
    found = set(verdicts)
    return next((each for each in _WORST if each in found), None)


def write(folder: Path, run: Run) -> None:
    """Replace the record in a run's folder."""
    partial = folder / f".{FILE}.partial"
    partial.write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / FILE)


def read(folder: Path) -> Run | None:
    """The record in a folder, None where there is none: the folder is half-written, or foreign."""
    found = _parse(folder)
    if found is None or found.state != "running" or _is_held(folder):
        return found
    found = _parse(folder)  # it may have ended between the two looks
    return killed(found) if found is not None and found.state == "running" else found


def killed(run: Run) -> Run:
    """The record of a run whose process is gone."""
    change = {"state": "killed", "verdict": "error", "sentence": _KILLED}
    sections = tuple(
        each.model_copy(update=change if each.state == "running" else {"state": "skipped"})
        if each.state in ("running", "waiting")
        else each
        for each in run.sections
    )
    return run.model_copy(update={**change, "sections": sections})


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """While this lasts, the run in the folder is not one that was killed."""
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def readable(report: Any) -> dict[str, Any]:
    """A report's content, empty for what none of its readers here could read."""
    try:
        keys_of(report)
        same = {name: dict(report.get(name, {})) for name in ("subject", "data", "parameters")}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
    return {**report, **same}


def metrics_of(report: Mapping[str, Any]) -> dict[str, metrics.Metric]:
    """The metrics of a report's content by name, those that are times as well.

    Where two tables show the same metric, it is there once; what is not a metric is left out.
    """
    found: dict[str, metrics.Metric] = {}
    tables = [*report.get("metrics", []), *report.get("times", {}).get("metrics", [])]
    for each in (entry for table in tables for entry in table.get("metrics", [])):
        interval = each.get("interval") or {}
        both = "low" in interval and "high" in interval
        metric = metrics.Metric(
            name=each["name"],
            value=each["value"],
            n=each["n"],
            interval=intervals.Interval(interval["low"], interval["high"]) if both else None,
            unit=each.get("unit", ""),
            count=each.get("count"),
            level=interval.get("level", 0.95),
        )
        found.setdefault(metric.name, metric)
    return found


def keys_of(report: Mapping[str, Any]) -> tuple[Key, ...]:
    """The metrics of a report that its gates looked at, in the order of the gates."""
    measured = metrics_of(report)
    keys: dict[str, Key] = {}
    for gate in report.get("gates", []):
        metric = measured.get(gate["metric"])
        if metric is not None:
            earlier = keys[metric.name].verdict if metric.name in keys else gate["verdict"]
            low, high = metric.interval or (None, None)
            keys[metric.name] = Key(
                name=metric.name,
                value=metric.value,
                low=low,
                high=high,
                n=metric.n,
                unit=metric.unit,
                verdict=worst(each for each in (earlier, gate["verdict"]) if each),
            )
    return tuple(keys.values())


def _parse(folder: Path) -> Run | None:
    try:
        return Run.model_validate_json((folder / FILE).read_bytes())
    except (OSError, pydantic.ValidationError):
        return None


def _is_held(folder: Path) -> bool:
    try:
        file = os.open(folder / _LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
