"""Runs of a suite through papermill: what they leave, however they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from calumma import cli, errors, running
from calumma.evaluation import history, planning, record, runner
from support import suites

CALUMMA = [str(Path(sys.prefix) / "bin/calumma")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project; no cluster is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALUMMA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_leaves_all_that_a_reader_needs(folder: Path) -> None:
    suite = suites.project(folder, "offline", "drift")
    events: list[runner.Event] = []
    request = planning.Request(
        suite, revision="stable", seed=7, settings={"drift": {"right": "50"}}
    )
    done = runner.run(request, tell=events.append)
    assert (done.run.verdict, done.code, done.complaints) == ("fail", 1, ())
    assert done.run.sentence.startswith("drift: fail: accuracy is 0.500 (95% interval")
    assert done.folder.parent == Path("runs/small")
    assert record.read(done.folder) == done.run and done.run.state == "ended"
    offline, drift = done.run.sections
    assert (offline.verdict, drift.verdict) == ("pass", "fail")
    assert offline.revision == "digits-stable" and done.run.revisions == "digits-stable"
    assert offline.data["sha256"] == "d1" * 32
    assert offline.parameters == {"service": "digits", "revision": "stable", "seed": 7}
    assert drift.parameters["right"] == 50
    key = offline.keys[0]
    assert (key.name, key.value, key.n, key.verdict) == ("accuracy", 0.95, 100, "pass")
    assert key.low is not None and key.low < 0.95
    assert done.run.document["text"] == suite.read_text()
    assert done.run.environment["python"] and done.run.code == {"commit": None, "changed": None}
    for name in ("offline.ipynb", "offline.html", "offline/report.json", "offline/report.html"):
        assert (done.folder / name).exists()
    page = (done.folder / "index.html").read_text()
    assert 'href="drift/report.html"' in page and "verdict fail" in page
    assert [each.section for each in events if each.ended] == ["offline", "drift"]
    assert {each.cells for each in events if each.cell} == {4}


def test_the_same_request_gives_the_same_reports(folder: Path) -> None:
    request = planning.Request(suites.project(folder, "offline"))
    first, second = runner.run(request), runner.run(request)
    assert first.folder.name < second.folder.name
    texts = [(done.folder / "offline/report.json").read_text() for done in (first, second)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"only": ("load",)}, "has no section load; it has offline"),
        ({"settings": {"load": {"rate": "1"}}}, "has no section load"),
        ({"settings": {"offline": {"rihgt": "1"}}}, "has no parameter rihgt; it has service, rev"),
        ({"settings": {"offline": {"right": "x"}}}, "'x' is not a value of type int"),
        ({"settings": {"offline": {"right": 1.5}}}, "takes right as int, not 1.5"),
        ({"settings": {"offline": {"out": "/etc"}}}, "offline.out is the run's own"),
        ({"everywhere": {"rate": "1"}}, "no notebook of the run has a parameter rate; they have d"),
        ({"keep": 0}, "0 runs cannot be kept"),
        ({"suite": Path("evaluation/suites/none.yaml")}, "cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(
    folder: Path, change: dict[str, object], said: str
) -> None:
    given: dict[str, object] = {"suite": suites.project(folder, "offline"), **change}
    with pytest.raises(errors.CalummaError, match=said):
        runner.run(planning.Request(**given))  # type: ignore[arg-type]
    assert not Path("runs").exists()


def test_a_notebook_that_takes_no_seed_says_so_when_one_is_given(folder: Path) -> None:
    suite = suites.project(folder, "offline")
    suites.notebook(folder / "evaluation/offline.ipynb", "1", parameters='out: str = "x"  # where')
    with pytest.raises(errors.ParameterRefused, match="has a parameter seed"):
        runner.run(planning.Request(suite, seed=1))
    assert runner.run(planning.Request(suite, revision="latest")).code == 3


def test_after_nobody_answered_the_rest_is_not_tried(folder: Path) -> None:
    suite = suites.project(folder, "offline", "drift")
    suites.notebook(folder / "evaluation/offline.ipynb", suites.UNREACHABLE)
    done = runner.run(planning.Request(suite))
    assert (done.code, done.run.verdict) == (3, "error")
    assert done.run.sentence.endswith("with ServiceUnavailable: nobody answers")
    drift = done.run.sections[1]
    assert (drift.state, drift.sentence) == (
        "skipped",
        "error: not run, because offline found no service",
    )
    assert "How this run ended" in (done.folder / "offline.html").read_text()


def test_a_section_that_takes_too_long_is_ended_and_the_next_one_runs(folder: Path) -> None:
    suite = suites.project(folder, "offline", "drift", more="timeout: 20")
    suites.notebook(folder / "evaluation/offline.ipynb", suites.SO_FAR, suites.HUNG)
    done = runner.run(planning.Request(suite))
    offline, drift = done.run.sections
    assert "took longer than the 20 s that it may take, in cell [4]" in offline.sentence
    assert (offline.verdict, drift.verdict, done.run.verdict) == ("error", "pass", "error")
    assert "so far" in (done.folder / "offline.ipynb").read_text()


def test_a_run_that_is_stopped_is_in_order_and_tries_no_more(folder: Path) -> None:
    suite = suites.project(folder, "offline", "drift")
    suites.notebook(folder / "evaluation/offline.ipynb", suites.SO_FAR, suites.HUNG)
    stop = running.Stop()

    def tell(event: runner.Event) -> None:
        if printed():
            stop.ask("enough")

    done = runner.run(planning.Request(suite), stop=stop, tell=tell)
    states = [each.state for each in done.run.sections]
    assert (states, done.run.state, done.code) == (["ended", "skipped"], "ended", 3)
    assert done.run.sections[1].sentence == "error: not run, because enough"


def printed() -> re.Match[str] | None:
    """What the kernel has printed, once it is on disk: its process id."""
    text = "".join(path.read_text() for path in Path("runs").glob("*/*/offline.ipynb"))
    return re.search(r"kernel (\d+) so far", text)


def begin(suite: Path) -> subprocess.Popen[str]:
    """A run as a person starts it, in its second cell."""
    process = subprocess.Popen(
        [*CALUMMA, "evaluate", str(suite)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    until(lambda: printed() or process.poll() is not None)
    return process


def kernel() -> Path:
    found = printed()
    assert found is not None
    return Path(f"/proc/{found[1]}/fd")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_in_order(folder: Path, number: signal.Signals) -> None:
    suite = suites.project(folder, "offline", "drift")
    suites.notebook(folder / "evaluation/offline.ipynb", suites.SO_FAR, suites.HUNG)
    with begin(suite) as process:
        process.send_signal(number)
        output, error = process.communicate(timeout=60)
    assert process.returncode == 3
    assert f"was ended in cell [4]: {number.name}, so the run" in error
    assert re.search(r"drift +error", output)
    until(lambda: not kernel().exists())
    (past,) = history.read(Path("runs")).runs
    assert (past.run.state, past.run.verdict) == ("ended", "error")
    assert "KeyboardInterrupt" in (past.folder / "offline.html").read_text()
    assert (past.folder / "index.html").exists()


def test_kill_9_leaves_a_run_that_is_known_to_be_killed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suites.project(folder, "offline", "drift")
    suites.notebook(folder / "evaluation/offline.ipynb", suites.SO_FAR, suites.HUNG)
    with begin(suite) as process:
        (past,) = history.read(Path("runs")).runs
        assert (past.run.state, past.run.verdict) == ("running", None)
        assert [each.state for each in past.run.sections] == ["running", "waiting"]
        process.kill()
        process.communicate()
    (past,) = history.read(Path("runs")).runs
    assert (past.run.state, past.run.verdict) == ("killed", "error")
    assert [each.state for each in past.run.sections] == ["killed", "skipped"]
    assert json.loads((past.folder / "run.json").read_text())["state"] == "running"
    until(lambda: not kernel().exists())
    # The pages that it could not write are written when somebody wants them.
    assert cli.main(["evaluate", "open", "latest"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(past.folder / name) for name in ("index.html", "offline.html")]
    page = (past.folder / "offline.html").read_text()
    assert "This run has not ended" in page and "so far" in page
    # And the next run is not disturbed.
    suites.project(folder, "offline", "drift")
    assert cli.main(["evaluate", str(suite)]) == 0


def test_a_disk_that_takes_nothing_is_a_sentence(folder: Path) -> None:
    suite = suites.project(folder, "offline")
    Path("runs").write_text("a file")
    with pytest.raises(errors.EvaluationError, match="the run cannot be kept in runs"):
        runner.run(planning.Request(suite))


def test_the_command_line_from_a_run_to_its_history(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "home").mkdir()
    (folder / "home/kubeconfig").write_text("{}")
    suites.project(folder, "offline")
    assert cli.main(["evaluate", "small", "--keep", "2", "-p", "right", "85"]) == 2
    told = capsys.readouterr()
    assert re.search(r"offline +inconclusive +[\d.]+ s +digits-latest", told.out)
    assert "offline: inconclusive: accuracy is 0.850" in told.err
    second = ["evaluate", "small", "--only", "offline", "--set", "offline.right=97", "--json"]
    assert cli.main(second) == 0
    assert json.loads(capsys.readouterr().out)["sections"][0]["parameters"]["right"] == 97
    # The service is in the cluster of this home, as no other was named.
    (metrics,) = (folder / "home/metrics").iterdir()
    assert 'section="offline",service="digits",suite="small",verdict="pass"} 1.0' in (
        metrics.read_text()
    )
    assert cli.main(["evaluate", "history", "small", "--plot", "h.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "offline=inconclusive" in lines[1] and "offline=pass" in lines[2]
    assert Path("h.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["evaluate", "history", "--json"]) == 0
    assert [each["verdict"] for each in json.loads(capsys.readouterr().out)] == [
        "inconclusive",
        "pass",
    ]
    assert cli.main(["evaluate", "compare", "previous", "latest", "--plot", "c.png"]) == 0
    assert "inconclusive -> pass" in capsys.readouterr().out
    assert Path("c.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["evaluate", "open", "--json"]) == 0
    names = [Path(path).name for path in json.loads(capsys.readouterr().out)]
    assert names == ["index.html", "report.html", "offline.html"]
    assert cli.main(["evaluate", "--list"]) == 0
    assert "offline (0 demands)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a suite"),
        (["nowhere.yaml"], "nowhere.yaml cannot be read"),
        (
            ["small", "--set", "offline.right"],
            "--set 'offline.right' is not SECTION.PARAMETER=VALUE",
        ),
        (["small", "--fast"], "unrecognized arguments: --fast"),
        (["small", "--seed", "x"], "invalid int value"),
        (["history", "other"], "there are no runs of other"),
        (["compare", "a", "b"], "no run in runs is 'a'"),
        (["open"], "no run in runs is 'latest'"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_3(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    suites.project(folder, "offline")
    try:
        code = cli.main(["evaluate", *words])
    except SystemExit as ended:
        code = ended.code  # type: ignore[assignment]
    assert code == 3 and said in capsys.readouterr().err


def test_a_suite_that_is_none_is_listed_with_its_mistake(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suites.project(folder, "offline")
    (folder / "evaluation/suites/bad.yaml").write_text("name: bad\n")
    assert cli.main(["evaluate", "list"]) == 3
    told = capsys.readouterr()
    assert "small" in told.out and "bad.yaml: service is missing" in told.err


class Gateway(BaseHTTPRequestHandler):
    """Takes what is pushed."""

    pushed: ClassVar[dict[str, str]] = {}

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.pushed[self.path] = body.decode()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_metrics_go_to_a_pushgateway_and_one_that_is_away_fails_nothing(folder: Path) -> None:
    suite = suites.project(folder, "offline")
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert runner.run(planning.Request(suite, pushgateway=url)).complaints == ()
        server.shutdown()
        thread.join()
    ((path, text),) = Gateway.pushed.items()
    assert path.startswith("/metrics/job/calumma-evaluation/")
    assert "/section/offline" in path and "/suite/small" in path
    assert 'calumma_evaluation_metric{metric="accuracy"' in text
    away = runner.run(planning.Request(suite, pushgateway="http://127.0.0.1:1"))
    (complaint,) = away.complaints
    assert away.code == 0 and "http://127.0.0.1:1 did not take offline" in complaint
