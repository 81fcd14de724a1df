"""However a run ends: its sentence, its notebook up to there, and no process that is left."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calumma import errors, running
from calumma.running import engine

from .conftest import REPORT, Write, outputs

OUTPUT = Path("runs/t.ipynb")
SO_FAR = "import os\nprint('kernel', os.getpid(), 'so far')"
HUNG = "import time\ntime.sleep(600)"


def kernel(notebook: Path) -> int:
    found = re.search(r"kernel (\d+) so far", outputs(notebook))
    assert found is not None
    return int(found[1])


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_a_notebook_that_takes_too_long_says_where_and_shows_the_line(write: Write) -> None:
    run = running.execute(write(SO_FAR, HUNG, "print('never')"), OUTPUT, timeout=15)
    assert (run.verdict, run.code) == (None, 3)
    assert run.sentence.endswith("took longer than the 15 s that it may take, in cell [3]")
    assert "KeyboardInterrupt" in outputs(run.notebook)
    assert "time.sleep(600)" in re.sub("<[^>]*>", "", run.page.read_text())
    assert "How this run ended" in outputs(run.notebook)
    assert gone(kernel(run.notebook))
    cells = json.loads(run.notebook.read_text())["cells"]
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, 3, None]
    assert cells[-1]["metadata"]["papermill"]["status"] == "pending"


@pytest.mark.parametrize(
    "stubborn",
    [
        f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{HUNG}",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["deaf", "stopped"],
)
def test_a_kernel_that_does_not_listen_is_killed(write: Write, stubborn: str) -> None:
    run = running.execute(write(SO_FAR, stubborn), OUTPUT, cell_timeout=2)
    assert "was ended in cell [3], which took longer than the 2 s" in run.sentence
    assert gone(kernel(run.notebook))
    assert "How this run ended" in run.page.read_text()


def test_what_a_killed_kernel_had_started_is_killed_with_it(write: Write) -> None:
    child = (
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('child', child.pid)"
    )
    deaf = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{HUNG}"
    run = running.execute(write(child, deaf), OUTPUT, cell_timeout=2)
    found = re.search(r"child (\d+)", outputs(run.notebook))
    assert found is not None and gone(int(found[1]))


def test_a_kernel_that_kills_itself_says_by_which_signal(write: Write) -> None:
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"
    run = running.execute(write(SO_FAR, crash), OUTPUT)
    assert re.search(r"the kernel of .*t.ipynb died of SIGSEGV, in cell \[3\]$", run.sentence)
    quits = running.execute(write(SO_FAR, "import os\nos._exit(7)"), OUTPUT)
    assert "ended by itself with status 7" in quits.sentence


def test_a_run_ends_when_it_is_asked_to(write: Write) -> None:
    stop = running.Stop()
    seen: list[running.Progress] = []

    def progress(now: running.Progress) -> None:
        seen.append(now)
        if now.cell == 3:
            stop.ask("SIGTERM")
            stop.ask("something later")

    run = running.execute(write(SO_FAR, HUNG), OUTPUT, stop=stop, progress=progress)
    assert run.sentence.endswith("t.ipynb was ended in cell [3]: SIGTERM")
    assert gone(kernel(run.notebook))
    assert [each.cell for each in seen] == sorted(each.cell for each in seen)
    assert {each.of for each in seen[5:]} == {3} and seen[-1].seconds > seen[0].seconds


def test_it_runs_in_any_thread(write: Write) -> None:
    found: list[running.Run] = []
    notebook = write(REPORT)
    thread = threading.Thread(
        target=lambda: found.append(running.execute(notebook, OUTPUT, {"service": "pass"}))
    )
    thread.start()
    thread.join()
    assert found[0].code == 0


def test_progress_that_cannot_be_shown_does_not_end_the_watch(write: Write) -> None:
    def broken(_: running.Progress) -> None:
        raise BrokenPipeError

    run = running.execute(write(HUNG), OUTPUT, timeout=3, progress=broken)
    assert "took longer than the 3 s" in run.sentence


PARENT = """\
import sys
from pathlib import Path
from calumma import running
running.execute(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_kill_9_of_the_parent_leaves_all_that_was_done(write: Write) -> None:
    notebook = write(SO_FAR, "print('more'); " + HUNG.replace("\n", "; "), "print('never')")
    with subprocess.Popen([sys.executable, "-c", PARENT, str(notebook), str(OUTPUT)]) as parent:
        try:
            until(lambda: OUTPUT.exists() and "in cell 3 of 4" in outputs(OUTPUT))
            until(lambda: "more\\n" in outputs(OUTPUT))  # saved within the cell
        finally:
            parent.kill()
    until(lambda: gone(kernel(OUTPUT)))
    cells = json.loads(OUTPUT.read_text())["cells"]
    assert "**This run has not ended.** It was in cell 3 of 4" in cells[0]["source"]
    assert "it was killed there" in running.write_page(OUTPUT).read_text()


def specify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *argv: str) -> None:
    """A kernel called ``odd`` that is this program."""
    folder = tmp_path / "jupyter" / "kernels" / "odd"
    folder.mkdir(parents=True)
    content = {"argv": list(argv), "display_name": "odd", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["/nowhere/python"], "could not be started: .*No such file"),
        ([sys.executable, "-c", "raise SystemExit(5)"], "could not be started: Kernel died"),
        ([sys.executable, "-c", HUNG], "took longer than the 3 s .*while its kernel started"),
    ],
    ids=["missing", "dies", "silent"],
)
def test_a_kernel_that_cannot_start(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], said: str
) -> None:
    specify(monkeypatch, tmp_path, *argv)
    notebook = write(SO_FAR)
    notebook.write_text(notebook.read_text().replace('"name": "python3"', '"name": "odd"'))
    run = running.execute(notebook, OUTPUT, timeout=3)
    assert run.code == 3 and re.search(said, run.sentence), run.sentence
    assert "How this run ended" in run.page.read_text()


def test_a_notebook_without_a_kernel_is_refused(write: Write) -> None:
    notebook = write(SO_FAR)
    content = json.loads(notebook.read_text())
    del content["metadata"]["kernelspec"]
    notebook.write_text(json.dumps(content))
    with pytest.raises(errors.EvaluationError, match="No kernel name found"):
        running.execute(notebook, OUTPUT)


@pytest.mark.parametrize("junk", ["{", "[]", '{"verdict": "splendid", "sentence": ""}'])
def test_a_report_that_is_none_is_an_error(write: Write, junk: str) -> None:
    leave = f"import pathlib\npathlib.Path(out).mkdir(parents=True, exist_ok=True)\n\
pathlib.Path(out, 'report.json').write_text({junk!r})"
    run = running.execute(write(leave), OUTPUT)
    assert (run.verdict, run.report) == (None, None)
    assert "left a report.json in runs/t that is none" in run.sentence


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"api_token": "abc"}, 'api_token: str = ""  # opens the door'),
        ({"password": "abc"}, 'password: str = ""  # opens the door'),
        ({"s3_secret_key": "abc"}, 's3_secret_key: str = ""  # opens the door'),
        ({"url": "https://me:abc@example.org/"}, 'url: str = ""  # where'),
    ],
)
def test_secrets_are_not_taken(write: Write, given: dict[str, Any], line: str) -> None:
    with pytest.raises(errors.ParameterRefused, match="looks like a secret") as refused:
        running.execute(write(parameters=line), OUTPUT, given)
    assert "abc" not in str(refused.value) and not OUTPUT.exists()


def test_what_only_sounds_like_a_secret_is_taken(write: Write) -> None:
    line = 'tokenizer: str = ""  # which\nurl: str = ""  # where\nout: str = "runs/t"  # the report'
    given = {"tokenizer": "bert", "url": "http://127.0.0.1:9090/a:b@c"}
    assert (
        "ended without a report" in running.execute(write(parameters=line), OUTPUT, given).sentence
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("service", "7", "7"),
        ("rate", "7", 7.0),
        ("count", "-7", -7),
        ("quick", "True", True),
        ("quick", "false", False),
    ],
)
def test_text_becomes_a_value_of_the_declared_type(
    write: Write, name: str, text: str, value: object
) -> None:
    notebook = write()
    found = running.parse(notebook, running.parameters(notebook), name, text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("count", "2.5", "takes count as int, and '2.5' is not a value of type int"),
        ("quick", "1", "takes quick as bool, and '1' is not true or false"),
        ("rte", "1", "has no parameter rte; it has service, rate, count, quick, out"),
    ],
)
def test_text_that_is_no_such_value_is_refused(
    write: Write, name: str, text: str, said: str
) -> None:
    notebook = write()
    with pytest.raises(errors.ParameterRefused, match=said):
        running.parse(notebook, running.parameters(notebook), name, text)


def test_the_first_reason_to_stop_counts() -> None:
    stop = engine.Stop()
    stop.ask("first")
    stop.ask("second")
    assert stop.reason == "first"
