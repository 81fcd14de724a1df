"""Running a notebook with papermill, so that what it leaves can be trusted.

On top of papermill: parameters that the notebook does not declare, or of another type, are refused
before anything runs (papermill only warns); the executed notebook is kept however the run ended,
with a note at its top unless it passed; beside it lies the same as an HTML page that asks the
network for nothing; and the verdict is read from the ``report.json`` of this run, never from an
earlier one's.

Next room: the command line, which turns :attr:`Run.code` into its exit status.
"""

from __future__ import annotations

import ast
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import nbconvert
import nbformat
import papermill
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from calumma import errors, evidence
from calumma.scoring import gates

CODES = {gates.Verdict.PASS: 0, gates.Verdict.FAIL: 1, gates.Verdict.INCONCLUSIVE: 2}
ERROR = 3

# What nbconvert's page would fetch from elsewhere becomes a script that does nothing.
_NOTHING = "data:text/javascript,"

_PAPERMILL_MARK = "papermill-error-cell-tag"

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
}


class Parameter(NamedTuple):
    """One line of a notebook's ``parameters`` cell: name, type, default as written, and help."""

    name: str
    type: str
    default: str
    help: str


@dataclass(frozen=True)
class Run:
    """What became of a run.

    ``verdict`` is None when the notebook did not come to one, ``sentence`` says why or what the
    verdict rests on. ``notebook`` is the executed notebook and ``page`` the same as HTML;
    ``report`` is the content of ``report.json``, None when the run left none.
    """

    verdict: gates.Verdict | None
    sentence: str
    notebook: Path
    page: Path
    report: dict[str, Any] | None

    @property
    def code(self) -> int:
        """The exit status: 0 pass, 1 fail, 2 inconclusive, 3 error."""
        return ERROR if self.verdict is None else CODES[self.verdict]


def parameters(notebook: Path) -> dict[str, Parameter]:
    """What a notebook declares, in its order.

    Raises :class:`~calumma.errors.EvaluationError` for a file that is not a notebook.
    """
    try:
        found = papermill.inspect_notebook(str(notebook))
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise errors.EvaluationError(f"{notebook} cannot be read as a notebook: {error}") from error
    return {
        name: Parameter(name, entry["inferred_type_name"], entry["default"], entry["help"])
        for name, entry in found.items()
    }


def execute(
    notebook: Path,
    output: Path,
    given: Mapping[str, Any] | None = None,
    *,
    cell_timeout: int | None = None,
) -> Run:
    """Run a notebook in a kernel of its own and keep the executed one at ``output``.

    ``given`` are parameters by name; the declared ``out`` is the report's folder, which is cleared
    of an earlier report. ``cell_timeout`` bounds each cell, in seconds. A notebook that fails does
    not raise: the :class:`Run` says so. Raises :class:`~calumma.errors.ParameterRefused` for
    parameters that the notebook does not take.
    """
    given = dict(given or {})
    declared = parameters(notebook)
    _check(notebook, declared, given)
    out = None
    if "out" in declared:
        out = evidence.clear(given.get("out") or ast.literal_eval(declared["out"].default))
    output.parent.mkdir(parents=True, exist_ok=True)
    problem = _execute(notebook, output, given, cell_timeout)
    report = evidence.read(out) if out is not None else None
    if problem is None and report is None:
        problem = f"{notebook} ended without a {evidence.REPORT} in {out}"
    if problem is not None or report is None:
        verdict, sentence = None, f"error: {problem}"
    else:
        verdict, sentence = gates.Verdict(report["verdict"]), report["sentence"]
    if verdict is not gates.Verdict.PASS:
        _note(output, sentence)
    return Run(verdict, sentence, output, _write_page(output), report)


def _check(notebook: Path, declared: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in declared:
            raise errors.ParameterRefused(
                f"{notebook} has no parameter {name}; it has {', '.join(declared) or 'none'}"
            )
        wanted = declared[name].type
        # The type itself: Python's bool is an int, which nobody means by `count: int`.
        if type(value) not in _TYPES.get(wanted, (type(value),)):
            raise errors.ParameterRefused(
                f"{notebook} takes {name} as {wanted}, not {value!r} ({type(value).__name__})"
            )


def _execute(
    notebook: Path, output: Path, given: Mapping[str, Any], cell_timeout: int | None
) -> str | None:
    """Run it; the answer is what went wrong, None when it ran to its end."""
    try:
        papermill.execute_notebook(
            str(notebook),
            str(output),
            given,
            progress_bar=False,
            execution_timeout=cell_timeout,
            # The kernel's own words: TCP on loopback, and the interrupt by which it is shut down.
            extra_arguments=["--log-level=CRITICAL"],
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == errors.VerdictNotPassed.__name__:
            return None
        return f"{notebook} stopped in cell [{error.exec_count}] with {error.ename}: {error.evalue}"
    except DeadKernelError:
        return f"the kernel of {notebook} died; the machine may have been out of memory"
    except (NoSuchKernel, RuntimeError) as error:
        return f"the kernel of {notebook} could not be started: {error}"
    except CellTimeoutError:
        return f"a cell of {notebook} took longer than the {cell_timeout} s that it may take"
    return None


def _note(output: Path, sentence: str) -> None:
    """Say at the top of the kept notebook how it ended, in place of papermill's own marks."""
    kept = json.loads(output.read_text(encoding="utf-8"))
    cells = [
        cell for cell in kept["cells"] if _PAPERMILL_MARK not in cell["metadata"].get("tags", [])
    ]
    source = f"**How this run ended.** {html.escape(sentence)}"
    note = {"cell_type": "markdown", "id": "how-it-ended", "metadata": {}, "source": source}
    kept["cells"] = [note, *cells]
    output.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_page(output: Path) -> Path:
    exporter = nbconvert.HTMLExporter(  # type: ignore[no-untyped-call]
        embed_images=True,
        mathjax_url=_NOTHING,
        require_js_url=_NOTHING,
        mermaid_js_url=_NOTHING,
        mermaid_layout_elk_js_url="",
    )
    text, _ = exporter.from_filename(str(output))
    page = output.with_suffix(".html")
    page.write_text(text, encoding="utf-8")
    return page
