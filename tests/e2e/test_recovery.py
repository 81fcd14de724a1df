"""Whatever is killed comes back, and what did not depend on it went on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from calumma.cluster import lifecycle
from calumma.cluster.node import process
from calumma.load import users
from support.cluster import Cluster, condition, image, manifest, running, shares


def answers(cluster: Cluster) -> bool:
    picture, label = image(0)
    try:
        answer = cluster.predict(picture)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.json()["predictions"][0]["label"] == label


def restarted(cluster: Cluster, program: str, since: int) -> None:
    """Wait until a program runs again as another process."""

    def another() -> bool:
        found = [pid for name, pid in cluster.programs().items() if program in name]
        return bool(found) and since not in found

    cluster.until(f"{program} runs again", another)


def kill(cluster: Cluster, program: str) -> int:
    """``kill -9`` one program; its process id."""
    (pid,) = (pid for name, pid in cluster.programs().items() if program in name)
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.mark.parametrize("program", ["agent", "api", "prometheus"])
def test_the_control_plane_is_killed_and_no_request_notices(
    digits_service: Cluster, program: str
) -> None:
    with users.Users(digits_service.get()["status"]["url"], "digits", rate=40.0) as live:
        killed = kill(digits_service, program)
        restarted(digits_service, program, killed)
        digits_service.until(
            "the API answers", lambda: digits_service.kubectl("get", "isvc").code == 0
        )
        digits_service.canary("v2", 10)
        assert shares(digits_service.get()) == {"00002": 10, "00001": 90}
    assert live.count > 40
    assert live.summary.failures == {}


def test_envoy_is_killed(digits_service: Cluster) -> None:
    digits_service.canary("v2", 50)
    killed = kill(digits_service, "envoy")
    restarted(digits_service, "envoy", killed)
    digits_service.until("answers", lambda: answers(digits_service))
    digits_service.canary("v2", 20)
    assert shares(digits_service.get()) == {"00002": 20, "00001": 80}


@pytest.mark.parametrize("part", ["predictor-00001", "transformer-00001"])
def test_a_server_is_killed(digits_service: Cluster, part: str) -> None:
    killed = kill(digits_service, part)
    restarted(digits_service, part, killed)
    digits_service.until_ready()
    digits_service.until("answers", lambda: answers(digits_service))
    pods = json.loads(digits_service.kubectl("get", "pods", "-o", "json").output)["items"]
    (pod,) = (each for each in pods if part in each["metadata"]["name"])
    (container,) = pod["status"]["containerStatuses"]
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["signal"] == signal.SIGKILL


def test_a_models_process_inside_triton_is_killed(digits_service: Cluster) -> None:
    """Triton would answer that it is ready, and fail every request for ever."""
    (triton,) = (pid for name, pid in digits_service.programs().items() if "predictor" in name)
    for part in process.members(triton):
        os.kill(part, signal.SIGKILL)
    restarted(digits_service, "predictor", triton)
    digits_service.until("answers", lambda: answers(digits_service))


def test_the_stable_side_serves_while_the_canary_crashes(digits_service: Cluster) -> None:
    digits_service.canary("v2", 0)
    with users.Users(digits_service.get()["status"]["url"], "digits", rate=40.0) as live:
        killed = kill(digits_service, "predictor-00002")
        restarted(digits_service, "predictor-00002", killed)
        digits_service.until_ready()
    assert live.summary.failures == {}


def test_everything_is_killed_and_starts_again(tmp_path: Path, models: Path) -> None:
    claim = ("--claim", f"models={models}")
    with running(tmp_path, *claim) as cluster:
        cluster.kubectl("apply", "-f", "-", document=manifest())
        cluster.until_ready()
        cluster.canary("v2", 10)
        before = cluster.get()
        supervisor = int(cluster.home.supervisor_lock.read_text())
        os.kill(supervisor, signal.SIGKILL)
        cluster.until("all processes gone", lambda: not cluster.processes(), seconds=10)
        assert cluster.calumma("status").code == 1
        began = time.monotonic()
        assert cluster.up(*claim).code == 0
        assert time.monotonic() - began < 30
        assert answers(cluster)
        cluster.until_ready()
        assert shares(cluster.get()) == {"00002": 10, "00001": 90}
        assert cluster.get()["spec"] == before["spec"]
        assert cluster.get()["metadata"]["uid"] == before["metadata"]["uid"]


def test_down_leaves_nothing_and_up_brings_it_back(tmp_path: Path, models: Path) -> None:
    claim = ("--claim", f"models={models}")
    with running(tmp_path, *claim) as cluster:
        cluster.kubectl("apply", "-f", "-", document=manifest())
        cluster.until_ready()
        picture, _ = image(0)
        assert cluster.calumma("down").code == 0
        assert not cluster.processes()
        with pytest.raises(httpx.TransportError):
            cluster.predict(picture)
        assert cluster.up(*claim).code == 0
        assert answers(cluster)
        assert condition(cluster.get(), "Ready")["status"] == "True"
        assert shares(cluster.get()) == {"00001": 100}
        cluster.canary("v2", 50)
        assert shares(cluster.get()) == {"00002": 50, "00001": 50}


def test_an_object_that_the_node_cannot_read_harms_no_other_service(
    digits_service: Cluster,
) -> None:
    """Only the node may write revisions; one that makes no sense stands for any defect of ours."""
    cluster = digits_service
    assert cluster.kubectl("create", "-f", "-", document=manifest("v1", "other")).code == 0
    cluster.until_ready("other")
    labels = {
        "serving.kserve.io/inferenceservice": "other",
        "serving.knative.dev/service": "other-predictor",
        "serving.knative.dev/configurationGeneration": "many",
    }
    revision = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {"name": "other-predictor-00009", "labels": labels},
    }
    as_node = ("--kubeconfig", str(cluster.home.node_kubeconfig))
    assert cluster.kubectl(*as_node, "create", "-f", "-", document=revision).code == 0
    cluster.until(
        "an event about it",
        lambda: "the node failed with" in cluster.kubectl("events", "--for=isvc/other").output,
    )
    cluster.canary("v2", 10)
    assert shares(cluster.get()) == {"00002": 10, "00001": 90}
    restarted(cluster, "agent", kill(cluster, "agent"))
    cluster.canary("v2", 20)
    assert shares(cluster.get()) == {"00002": 20, "00001": 80}
    assert cluster.kubectl(*as_node, "delete", "revision", "other-predictor-00009").code == 0
    assert cluster.kubectl("delete", "isvc", "other").code == 0


def test_a_port_that_a_stranger_takes_meanwhile_is_given_up(digits_service: Cluster) -> None:
    rows = asyncio.run(lifecycle.programs_of(digits_service.home))
    (row,) = (each for each in rows if "transformer-00001" in each.wanted.name)
    port = row.wanted.notes["ports"]["http"]
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kill(digits_service, "transformer-00001")
        digits_service.until("taken", lambda: bound(stranger, port), pause=0)
        stranger.listen()
        digits_service.until("answers", lambda: answers(digits_service))


def bound(stranger: socket.socket, port: int) -> bool:
    try:
        stranger.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
