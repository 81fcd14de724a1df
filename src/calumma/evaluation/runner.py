"""One run of a suite: its notebooks one after the other, each with what it leaves.

:func:`run` is all of ``calumma evaluate FILE`` but its words, for the command line, the scheduler
and the demo alike. The run's folder is ``<into>/<suite>/<id>/``, and ids sort by time. Whatever
happens to the run, the folder says so: see :mod:`~calumma.evaluation.record`.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from calumma import errors, evidence, running
from calumma.cluster.node import process
from calumma.evaluation import history, overview, planning, publishing, record

Request = planning.Request


class Event(NamedTuple):
    """Something that whoever waits would like to know.

    While a section runs, ``cell`` of ``cells`` and its ``seconds`` come several times a second,
    from another thread; when it has ended, ``ended`` is its record.
    """

    section: str
    cell: int = 0
    cells: int = 0
    seconds: float = 0.0
    ended: record.Section | None = None


class Outcome(NamedTuple):
    """A run that has ended, where it is, and what went wrong beside it, in sentences."""

    run: record.Run
    folder: Path
    complaints: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit status: 0 pass, 1 fail, 2 inconclusive, 3 error, of the worst section."""
        return record.CODES[self.run.verdict or "error"]


def run(
    request: Request,
    *,
    stop: running.Stop | None = None,
    tell: Callable[[Event], None] = lambda _: None,
) -> Outcome:
    """Run a suite and keep what comes of it.

    A notebook that fails does not raise, the outcome says so. Raises as
    :func:`~calumma.evaluation.planning.plan` does before anything runs, and
    :class:`~calumma.errors.EvaluationError` when the run cannot be kept on disk.
    """
    plan = planning.plan(request)
    stop = stop or running.Stop()
    try:
        began = time.monotonic()
        folder = _folder(request.into / plan.suite.name)
        with record.held(folder):
            live = _Live(folder, _first(request, plan, folder.name))
            with live.unless_it_breaks():
                for step in plan.steps:
                    _take(step, live, stop, tell)
            live.end(time.monotonic() - began)
            overview.write(folder, live.run)
        complaints = publishing.publish(live.run, folder, request.home, request.pushgateway)
        if request.keep is not None:
            history.prune(request.into / plan.suite.name, request.keep)
        return Outcome(live.run, folder, tuple(complaints))
    except OSError as error:
        raise errors.EvaluationError(
            f"the run cannot be kept in {request.into}: {error}"
        ) from error


class _Live:
    """The record of a run that goes on; every change is on disk at once."""

    def __init__(self, folder: Path, run: record.Run) -> None:
        self.folder, self.run = folder, run
        record.write(folder, run)

    def change(self, name: str, **update: Any) -> record.Section:
        """Change what is said of a section; its record."""
        sections = {each.name: each for each in self.run.sections}
        sections[name] = sections[name].model_copy(update=update)
        self.run = self.run.model_copy(update={"sections": tuple(sections.values())})
        record.write(self.folder, self.run)
        return sections[name]

    def end(self, seconds: float) -> None:
        """Give the run the verdict of its sections."""
        found = [each for each in self.run.sections if each.verdict is not None]
        verdict = record.worst(each.verdict for each in found if each.verdict is not None)
        telling = next((each for each in found if each.verdict == verdict), None)
        update = {
            "state": "ended",
            "seconds": round(seconds, 1),
            "verdict": verdict or "error",
            "sentence": f"{telling.name}: {telling.sentence}" if telling else "nothing was run",
        }
        if verdict == "pass":
            update["sentence"] = f"pass: {', '.join(each.name for each in found)}"
        self.run = self.run.model_copy(update=update)
        record.write(self.folder, self.run)

    @contextmanager
    def unless_it_breaks(self) -> Iterator[None]:
        """Say in the record what broke the run itself, if something does."""
        try:
            yield
        except BaseException as error:
            self.run = record.killed(self.run).model_copy(
                update={"state": "ended", "sentence": f"error: the run broke: {error!r}"}
            )
            record.write(self.folder, self.run)
            raise


def _take(
    step: planning.Step,
    live: _Live,
    stop: running.Stop,
    tell: Callable[[Event], None],
) -> None:
    """Run one notebook, unless an earlier one has shown that there is no use."""
    name = step.section
    useless = stop.reason or _useless(live.run)
    if useless:
        sentence = f"error: not run, because {useless}"
        skipped = live.change(name, state="skipped", verdict="error", sentence=sentence)
        tell(Event(name, ended=skipped))
        return
    began = time.monotonic()
    live.change(name, state="running", started=_now())
    given = dict(step.parameters)
    if "out" in running.parameters(step.notebook):
        given["out"] = str(live.folder / name)
    done = running.execute(
        step.notebook,
        live.folder / f"{name}.ipynb",
        given,
        timeout=step.timeout,
        stop=stop,
        progress=lambda now: tell(Event(name, *now)),
    )
    report = record.readable(done.report)
    # A suite is run with and without a canary; who asks for the section by its name wants it.
    nothing = done.raised == errors.NoCanary.__name__ and not step.asked
    ended = live.change(
        name,
        state="skipped" if nothing else "ended",
        seconds=round(time.monotonic() - began, 1),
        verdict=None if nothing else str(done.verdict or "error"),
        sentence="not run: there is no canary to compare" if nothing else done.sentence,
        subject=report.get("subject", {}),
        data=report.get("data", {}),
        keys=record.keys_of(report),
        raised=done.raised,
    )
    tell(Event(name, ended=ended))


def _useless(run: record.Run) -> str:
    """Why the rest need not be run: nobody answers, so that each would only wait and say so."""
    gone = errors.ServiceUnavailable.__name__
    return next(
        (f"{each.name} found no service" for each in run.sections if each.raised == gone), ""
    )


def _first(request: Request, plan: planning.Plan, name: str) -> record.Run:
    """The record of a run that begins."""
    asked = {
        "revision": request.revision,
        "seed": request.seed,
        "only": list(request.only),
        "everywhere": dict(request.everywhere),
        "settings": {section: dict(own) for section, own in request.settings.items()},
    }
    sections = tuple(
        record.Section(name=step.section, notebook=str(step.notebook), parameters=step.parameters)
        for step in plan.steps
    )
    environment = evidence.environment()
    return record.Run(
        id=name,
        suite=plan.suite.name,
        service=plan.service,
        namespace=plan.namespace,
        state="running",
        started=_now(),
        parameters=asked,
        document=plan.document,
        code={"commit": environment["commit"], "changed": _changed()},
        environment=environment,
        process={"pid": os.getpid(), "host": platform.node()},
        sections=sections,
    )


def _folder(suite: Path) -> Path:
    """A new folder, named by the time."""
    while True:
        now = datetime.now(UTC)
        folder = suite / f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder


def _changed() -> bool | None:
    """Whether files of the checkout differ from its commit; None when git does not say."""
    told = process.output(["git", "--no-optional-locks", "status", "--porcelain"], Path.cwd(), 10)
    return None if told is None else bool(told.strip())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
