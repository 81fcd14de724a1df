"""Past runs, read from their folders.

There is no database: ``<runs>/<suite>/<id>/run.json`` is all there is, so that a run may be copied,
archived and deleted as any folder. What is not a run is left alone and named.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from calumma import errors, evidence
from calumma.evaluation import record

_REMOVED = ".removed-"


class Past(NamedTuple):
    """A run and its folder."""

    run: record.Run
    folder: Path


class History(NamedTuple):
    """Runs, the oldest first, and the folders between them that are none."""

    runs: tuple[Past, ...]
    foreign: tuple[Path, ...]


def read(runs: Path, suite: str | None = None) -> History:
    """All runs below a folder, or those of one suite.

    Raises :class:`~calumma.errors.EvaluationError` for a suite that has no runs.
    """
    suites = [path for path in _folders(runs) if suite is None or path.name == suite]
    found: list[Past] = []
    foreign: list[Path] = []
    for folder in (each for path in suites for each in _folders(path)):
        run = record.read(folder)
        # The demo and plain papermill keep their reports below the same folder.
        if run is None or (run.suite, run.id) != (folder.parent.name, folder.name):
            foreign.append(folder)
        else:
            found.append(Past(run, folder))
    if suite is not None and not found:
        with_runs = sorted({path.parent.parent.name for path in runs.glob(f"*/*/{record.FILE}")})
        raise errors.EvaluationError(
            f"there are no runs of {suite} in {runs}; there are runs of "
            f"{', '.join(with_runs) or 'nothing'}"
        )
    return History(tuple(sorted(found, key=lambda past: past.run.id)), tuple(sorted(foreign)))


def find(runs: Path, text: str) -> Past:
    """The run that a person means by an id, its beginning, a folder, ``latest`` or ``previous``.

    ``SUITE/`` before it chooses among the suites. Raises
    :class:`~calumma.errors.EvaluationError` for none and for several.
    """
    path = Path(text)
    run = record.read(path) if path.is_dir() else None
    if run is not None:
        return Past(run, path)
    suite, slash, name = text.rpartition("/")
    past = read(runs, suite if slash else None).runs
    order = {"latest": 1, "previous": 2}.get(name)
    if order is not None and len(past) >= order:
        return past[-order]
    meant = [each for each in past if name and each.run.id.startswith(name)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        several = ", ".join(f"{each.run.suite}/{each.run.id}" for each in meant[:5])
        raise errors.EvaluationError(f"{text!r} may be any of {len(meant)} runs: {several}, ...")
    some = ", ".join(each.run.id for each in past[-3:]) or "there are none"
    raise errors.EvaluationError(
        f"no run in {runs} is {text!r}; the latest are {some} "
        "(an id, its beginning, a folder, latest and previous are accepted)"
    )


def reports(run: record.Run, folder: Path) -> dict[str, dict[str, Any]]:
    """The reports of a run's sections by their name; empty for one that left none, or junk."""
    found: dict[str, dict[str, Any]] = {}
    for section in run.sections:
        try:
            report = evidence.read(folder / section.name)
        except (OSError, ValueError):
            report = None
        found[section.name] = record.readable(report)
    return found


def prune(suite: Path, keep: int) -> list[Path]:
    """Remove the oldest runs of a suite's folder until ``keep`` are left; what was removed.

    A service's latest run that passed is never removed, nor is a run that goes on or a folder that
    is not a run.
    """
    for left in suite.glob(f"{_REMOVED}*"):
        shutil.rmtree(left, ignore_errors=True)
    past = [
        Past(run, folder)
        for folder in _folders(suite)
        if (run := record.read(folder)) is not None and run.id == folder.name
    ]
    past.sort(key=lambda each: each.run.id)
    passed = {
        (each.run.namespace, each.run.service): each.folder
        for each in past
        if each.run.verdict == "pass"
    }
    removable = [
        each.folder
        for each in past
        if each.run.state != "running" and each.folder not in passed.values()
    ]
    removed = removable[: max(0, len(past) - keep)]
    for folder in removed:
        # Out of sight at once, so that whoever reads meanwhile never sees a half.
        hidden = folder.with_name(_REMOVED + folder.name)
        folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    return removed


def _folders(path: Path) -> Iterator[Path]:
    """The real folders in a folder; links lead elsewhere, and hidden ones are not for people."""
    try:
        entries = sorted(path.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield entry
