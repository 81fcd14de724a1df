"""Running notebooks for real: refusals, verdicts, and what is kept when a run does not end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from calumma import errors, running
from calumma.scoring.gates import Verdict

from .conftest import REPORT, Write, outputs


def test_the_declared_parameters_are_read_with_type_and_help(write: Write) -> None:
    declared = running.parameters(write())
    assert list(declared) == ["service", "rate", "count", "quick", "out"]
    assert declared["rate"] == ("rate", "float", "5.0", "requests a second")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"servce": "x"}, r"no parameter servce; it has service, rate, count, quick, out"),
        ({"rate": "fast"}, r"takes rate as float, not 'fast' \(str\)"),
        ({"count": 2.5}, r"takes count as int, not 2.5 \(float\)"),
        ({"count": True}, r"takes count as int, not True \(bool\)"),
        ({"quick": 1}, r"takes quick as bool, not 1 \(int\)"),
        ({"service": None}, r"takes service as str, not None"),
    ],
)
def test_a_parameter_that_the_notebook_does_not_take_is_refused_before_it_runs(
    write: Write, given: dict[str, Any], said: str
) -> None:
    output = Path("runs/t.ipynb")
    with pytest.raises(errors.ParameterRefused, match=said):
        running.execute(write(), output, given)
    assert not output.exists()


def test_what_is_not_a_notebook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.EvaluationError, match="cannot be read as a notebook"):
        running.execute(tmp_path / "missing.ipynb", tmp_path / "o.ipynb")


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 2)]
)
def test_the_verdict_is_the_reports(write: Write, verdict: Verdict, code: int) -> None:
    raises = """\
from calumma import errors
if service != "pass":
    raise errors.VerdictNotPassed(service, "because")"""
    given = {"service": str(verdict), "rate": 7}
    run = running.execute(write("rate", REPORT, raises), Path("runs/t.ipynb"), given)
    assert (run.verdict, run.code, run.sentence) == (verdict, code, f"{verdict}: because")
    assert run.report == {"verdict": verdict, "sentence": f"{verdict}: because"}
    assert "rate = 7" in outputs(run.notebook)
    page = run.page.read_text()
    assert "rate = 7" in re.sub("<[^>]*>", "", page)
    assert not re.search(r"""(src|href)=["']https?:|import\(["']https?:|url\(["']?https?:""", page)


def test_a_failing_cell_is_an_error_with_its_sentence_and_the_notebook_is_kept(
    write: Write,
) -> None:
    notebook = write("print('so far')", "raise ValueError('no such service')", "print('never')")
    run = running.execute(notebook, Path("runs/t.ipynb"))
    assert (run.verdict, run.code) == (None, 3)
    assert "stopped in cell [3] with ValueError: no such service" in run.sentence
    assert "so far" in outputs(run.notebook)
    assert "papermill-error-cell" not in outputs(run.notebook)
    assert "How this run ended" in run.page.read_text()


def test_a_kernel_that_dies_leaves_the_notebook_with_a_note(write: Write) -> None:
    notebook = write("print('so far')", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    run = running.execute(notebook, Path("runs/t.ipynb"))
    assert (run.verdict, run.code) == (None, 3)
    assert "the kernel of" in run.sentence and "died" in run.sentence
    assert "so far" in outputs(run.notebook) and "How this run ended" in outputs(run.notebook)
    assert "How this run ended" in run.page.read_text()


def test_a_cell_that_takes_too_long_is_ended(write: Write) -> None:
    notebook = write("print('so far')", "import time\ntime.sleep(60)")
    run = running.execute(notebook, Path("runs/t.ipynb"), cell_timeout=1)
    assert (run.verdict, run.code) == (None, 3)
    assert "took longer than the 1 s" in run.sentence
    assert "so far" in outputs(run.notebook) and "How this run ended" in outputs(run.notebook)


def test_a_kernel_that_does_not_exist_is_an_error(write: Write) -> None:
    notebook = write()
    notebook.write_text(notebook.read_text().replace("python3", "fortran77"))
    run = running.execute(notebook, Path("runs/t.ipynb"))
    assert run.code == 3 and "could not be started" in run.sentence


def test_an_earlier_verdict_is_never_taken_for_this_runs(write: Write) -> None:
    passed = running.execute(write(REPORT), Path("runs/t.ipynb"), {"service": "pass"})
    assert passed.code == 0
    failed = running.execute(write("1 / 0"), Path("runs/t.ipynb"))
    assert (failed.code, failed.report) == (3, None)
    silent = running.execute(write("1"), Path("runs/t.ipynb"))
    assert silent.code == 3 and "ended without a report.json in runs/t" in silent.sentence
