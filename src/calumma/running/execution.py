"""One run of a notebook, from its parameters to its verdict."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import DeadKernelError

from calumma import errors, evidence
from calumma.running import declaration, engine, page
from calumma.scoring import gates

CODES = {gates.Verdict.PASS: 0, gates.Verdict.FAIL: 1, gates.Verdict.INCONCLUSIVE: 2}
ERROR = 3


@dataclass(frozen=True)
class Run:
    """What became of a run.

    ``verdict`` is None when the notebook did not come to one, ``sentence`` says why or what the
    verdict rests on. ``notebook`` is the executed notebook and ``page`` the same as HTML;
    ``report`` is the content of ``report.json``, None when the run left none. ``raised`` is the
    name of the exception that stopped a cell, if one did.
    """

    verdict: gates.Verdict | None
    sentence: str
    notebook: Path
    page: Path
    report: dict[str, Any] | None
    raised: str | None = None

    @property
    def code(self) -> int:
        """The exit status: 0 pass, 1 fail, 2 inconclusive, 3 error."""
        return ERROR if self.verdict is None else CODES[self.verdict]


@dataclass(frozen=True)
class _Problem:
    """What kept a notebook from its end."""

    sentence: str
    raised: str | None = None


def execute(
    notebook: Path,
    output: Path,
    given: Mapping[str, Any] | None = None,
    *,
    cell_timeout: float | None = None,
    timeout: float | None = None,
    stop: engine.Stop | None = None,
    progress: Callable[[engine.Progress], None] | None = None,
) -> Run:
    """Run a notebook in a kernel of its own and keep the executed one at ``output``.

    ``given`` are parameters by name; the declared ``out`` is the report's folder, which is cleared
    of an earlier report. ``cell_timeout`` bounds each cell and ``timeout`` the whole, in seconds,
    ``stop`` ends it when asked, and ``progress`` is called several times a second from another
    thread. A notebook that fails does not raise: the :class:`Run` says so. Raises
    :class:`~calumma.errors.ParameterRefused` for parameters that the notebook does not take.
    """
    given = dict(given or {})
    declared = declaration.parameters(notebook)
    declaration.check(notebook, declared, given)
    out = None
    if "out" in declared:
        out = evidence.clear(given.get("out") or ast.literal_eval(declared["out"].default))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    with engine.Watch(cell_timeout, timeout, stop, progress) as watch:
        problem = _execute(notebook, output, given, watch)
    report, problem = _report(notebook, out, problem)
    verdict, sentence = None, ""
    if problem is not None:
        sentence = f"error: {problem.sentence}"
    elif report is not None:
        verdict, sentence = gates.Verdict(report["verdict"]), report["sentence"]
    page.finish(output, None if verdict is gates.Verdict.PASS else sentence)
    raised = problem.raised if problem is not None else None
    return Run(verdict, sentence, output, page.write(output), report, raised)


def _execute(
    notebook: Path, output: Path, given: Mapping[str, Any], watch: engine.Watch
) -> _Problem | None:
    """Run it; the answer is what went wrong, None when it ran to its end."""
    engine.register()
    try:
        with engine.own_loop():
            papermill.execute_notebook(
                str(notebook), None, given, engine.NAME, output=output, watch=watch
            )
    except papermill.PapermillExecutionError as error:
        if error.ename == errors.VerdictNotPassed.__name__:
            return None
        where = f"stopped in cell [{error.exec_count or watch.cell}]"
        found = _Problem(f"{notebook} {where} with {error.ename}: {error.evalue}", error.ename)
    except DeadKernelError:
        found = _Problem(f"the kernel of {notebook} {watch.death}, in cell [{watch.cell}]")
    except (NoSuchKernel, RuntimeError, OSError, ValueError) as error:
        what = "run to its end" if watch.cell else "started"
        found = _Problem(f"the kernel of {notebook} could not be {what}: {error}")
    else:
        return None
    return found if watch.cause is None else _Problem(f"{notebook} {watch.cause}")


def _report(
    notebook: Path, out: Path | None, problem: _Problem | None
) -> tuple[dict[str, Any] | None, _Problem | None]:
    """The run's report, and the problem that is left when that is looked at as well."""
    try:
        report = evidence.read(out) if out is not None else None
        if report is not None:
            gates.Verdict(report["verdict"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        told = f"{notebook} left a {evidence.REPORT} in {out} that is none: {error!r}"
        return None, problem or _Problem(told)
    if problem is None and report is None:
        return None, _Problem(f"{notebook} ended without a {evidence.REPORT} in {out}")
    return report, problem
