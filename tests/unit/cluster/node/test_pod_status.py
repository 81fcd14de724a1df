"""A pod's status from its programs, in the words of the kubelet."""

from __future__ import annotations

from typing import Any

import pytest

from calumma.cluster.kserve import vocabulary
from calumma.cluster.node import pod_status, pods
from calumma.cluster.node.record import Ended, Observed, Wanted

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
INIT, MAIN = (f"pods/default/digits-1/{name}" for name in (vocabulary.STORAGE_INITIALIZER, "main"))
FAILED = Ended(1, 0, 5.0, 6.0, "")


def pod() -> pods.Pod:
    revision = {
        "metadata": {
            "name": "digits",
            "namespace": "default",
            "annotations": {vocabulary.STORAGE_URI: "pvc://models/digits"},
        },
        "spec": {"containers": [{"name": "main", "image": "team/model:1"}]},
    }
    return pods.Pod(revision, "digits-1")


def row(name: str, state: Any, last: Ended | None = None, restarts: int = 0) -> Observed:
    wanted = Wanted(name, ("true",), {}, "/", "/dev/null")
    return Observed(wanted, state, 7.0, pid=1, last=last, restarts=restarts)


def seen(*rows: Observed, ready: str = "", words: str = "", refusal: str | None = None) -> Any:
    programs = {each.wanted.name: each for each in rows}
    return pod_status.Seen(programs, frozenset({ready}), {INIT: words, MAIN: words}, refusal)


def status(found: pod_status.Seen) -> dict[str, Any]:
    return pod_status.status(pod(), found, {}, NOW)


def test_a_pod_whose_model_is_fetched() -> None:
    found = status(seen(row(INIT, "running")))
    assert found["phase"] == "Pending"
    assert found["initContainerStatuses"][0]["state"] == {
        "running": {"startedAt": "1970-01-01T00:00:07Z"}
    }
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_a_pod_that_is_ready() -> None:
    found = status(seen(row(INIT, "completed"), row(MAIN, "running"), ready=MAIN))
    assert found["phase"] == "Running"
    assert {each["type"]: each["status"] for each in found["conditions"]} == {
        "ContainersReady": "True",
        "Initialized": "True",
        "PodScheduled": "True",
        "Ready": "True",
    }
    assert found["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"


def test_a_model_that_cannot_be_fetched_is_the_pods_problem() -> None:
    failing = seen(row(INIT, "waiting", FAILED, 2), words="no such model")
    problem = pod_status.problem(pod(), failing)
    assert problem is not None
    assert problem.reason == "ExitCode1"
    assert problem.message == "Container failed with: no such model"
    initializer = status(failing)["initContainerStatuses"][0]
    assert initializer["restartCount"] == 2
    assert initializer["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert initializer["lastState"]["terminated"]["message"] == "no such model"


def test_a_container_that_crashed_and_is_back_is_no_problem() -> None:
    rows = (row(INIT, "completed"), row(MAIN, "running", FAILED, 1))
    assert pod_status.problem(pod(), seen(*rows)) is not None
    assert pod_status.problem(pod(), seen(*rows, ready=MAIN)) is None
    killed = Ended(137, 9, 5.0, 6.0, "")
    found = status(seen(row(INIT, "completed"), row(MAIN, "running", killed), ready=MAIN))
    assert found["containerStatuses"][0]["lastState"]["terminated"]["signal"] == 9


def test_an_image_without_a_program() -> None:
    found = status(seen(refusal="no program"))
    assert found["containerStatuses"][0]["state"] == {
        "waiting": {"reason": "ErrImagePull", "message": "no program"}
    }
    problem = pod_status.problem(pod(), seen(refusal="no program"))
    assert problem is not None
    assert problem.message == "no program"


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    rows = (row(INIT, "completed"), row(MAIN, "running"))
    before = status(seen(*rows))
    after = pod_status.status(pod(), seen(*rows, ready=MAIN), before, LATER)
    times = {each["type"]: each["lastTransitionTime"] for each in after["conditions"]}
    assert times == {
        "ContainersReady": LATER,
        "Initialized": NOW,
        "PodScheduled": NOW,
        "Ready": LATER,
    }


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("loading\n\nready\n", "loading\nready"),
        (
            "starting\nTraceback (most recent call last):\n"
            '  File "main.py", line 3, in <module>\n    open("x")\n'
            "FileNotFoundError: [Errno 2] No such file: 'x'\n",
            "FileNotFoundError: [Errno 2] No such file: 'x'",
        ),
        (
            "Traceback (most recent call last):\n  File ...\nKeyError: 1\n\n"
            "During handling of the above exception, another exception occurred:\n\n"
            "Traceback (most recent call last):\n  File ...\nValueError: no model 1\n",
            "ValueError: no model 1",
        ),
        (
            "usage: main.py [-h]\n               [--model_name NAME]\n"
            "main.py: error: unrecognized arguments: --x\n",
            "main.py: error: unrecognized arguments: --x",
        ),
        ("", ""),
    ],
)
def test_last_words_are_the_reason(log: str, expected: str) -> None:
    assert pod_status.last_words(log) == expected


def test_last_words_are_bounded() -> None:
    assert len(pod_status.last_words("x" * 10_000)) == pod_status.LONGEST_MESSAGE
