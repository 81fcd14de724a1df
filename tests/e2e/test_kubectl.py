"""What a person looks at with kubectl while real services start, fail, change and go."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from support import cluster as support
from support.cluster import Cluster, image, manifest

SELECTOR = "serving.kserve.io/inferenceservice=digits"


class Open:
    """A kubectl that goes on, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def text(self) -> str:
        return self._output.read_text(errors="replace")


@contextmanager
def opened(cluster: Cluster, output: Path, *words: str) -> Iterator[Open]:
    """Run a kubectl that goes on until it ends or the block does."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [str(support.KUBECTL), *words],
            env=cluster.environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Open(process, output)
    finally:
        process.terminate()
        process.wait(20)


def pod_names(cluster: Cluster, component: str) -> list[str]:
    labels = f"{SELECTOR},component={component}"
    return cluster.kubectl("get", "pods", "-l", labels, "-o", "name").output.split()


def test_pods_are_found_by_their_labels(digits_service: Cluster) -> None:
    cluster = digits_service
    table = cluster.kubectl("get", "pods", "-l", SELECTOR, "--sort-by=.metadata.name").output
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [row[1:4] for row in rows[1:]] == [["1/1", "Running", "0"]] * 2
    assert rows[1][0].startswith("digits-predictor-00001-deployment-")
    assert rows[2][0].startswith("digits-transformer-00001-deployment-")
    assert cluster.kubectl("get", "pods", "-l", f"{SELECTOR}x").output == ""
    wide = cluster.kubectl("get", "pods", "-l", SELECTOR, "-o", "wide", "--no-headers").output
    assert all(line.split()[5:7] == ["127.0.0.1", "calumma"] for line in wide.splitlines())
    revisions = cluster.kubectl("get", "revisions", "--no-headers").output.splitlines()
    assert sorted(line.split()[0] for line in revisions) == [
        "digits-predictor-00001",
        "digits-transformer-00001",
    ]
    done = cluster.kubectl("wait", "--for=condition=Ready", "pods", "-l", SELECTOR, "--timeout=20s")
    assert done.output.count("condition met") == 2


def test_logs_are_followed_over_a_crash_until_the_pod_goes(
    digits_service: Cluster, tmp_path: Path
) -> None:
    cluster = digits_service
    (predictor,) = pod_names(cluster, "predictor")
    follow = ("logs", "-f", predictor, "-c", "kserve-container")
    with opened(cluster, tmp_path / "out", *follow) as log:
        cluster.until("started", lambda: "Started HTTPService" in log.text)
        assert cluster.kubectl("logs", predictor, "--previous").code == 1
        cluster.kill("predictor")
        cluster.until("started again", lambda: log.text.count("Started HTTPService") == 2)
        present = cluster.kubectl("logs", predictor, "-c", "kserve-container").output
        assert present.count("Started HTTPService") == 1
        restarts = "jsonpath={.status.containerStatuses[0].restartCount}"
        cluster.until(
            "told", lambda: cluster.kubectl("get", predictor, "-o", restarts).output == "1"
        )
        before = cluster.kubectl("logs", predictor, "--previous", "-c", "kserve-container").output
        assert before.count("Started HTTPService") == 1
        assert log.text.startswith(before)
        cluster.until_ready()
        cluster.kubectl("delete", "isvc", "digits")
        assert log.process.wait(60) == 0
        assert log.text.startswith(before + present)
    cluster.until("logs gone", lambda: not list((cluster.home.logs / "pods").glob("*/digits-*")))


def test_logs_of_many_containers(digits_service: Cluster) -> None:
    cluster = digits_service
    logs = ("logs", "-l", SELECTOR, "--all-containers", "--prefix", "--tail=-1")
    lines = cluster.kubectl(*logs).output.splitlines()
    sources = {line.split("] ")[0].removeprefix("[") for line in lines}
    pods = pod_names(cluster, "predictor") + pod_names(cluster, "transformer")
    assert sources == {f"{pod}/kserve-container" for pod in pods}
    assert len(sources) == 2
    (predictor,) = pod_names(cluster, "predictor")
    stamped = cluster.kubectl(
        "logs", predictor, "-c", "kserve-container", "--timestamps"
    ).output.splitlines()
    times = [line.split(" ", 1)[0] for line in stamped]
    assert times == sorted(times)
    assert all(len(time) == len("2026-11-21T10:00:00.000000000Z") for time in times)
    bare = cluster.kubectl("logs", predictor, "-c", "kserve-container").output.splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == bare
    ended = f"--since-time={times[-1][:19]}Z"
    late = cluster.kubectl("logs", predictor, "-c", "kserve-container", ended).output.splitlines()
    assert late == [
        line.split(" ", 1)[1] for line in stamped if line[:30] >= f"{times[-1][:19]}.000000000Z"
    ]
    assert cluster.calumma("logs", predictor.removeprefix("pod/"), "-n", "1").output.endswith(
        f"{bare[-1]}\n"
    )
    assert cluster.kubectl("logs", "isvc/digits").code == 1


def test_events_and_descriptions_tell_the_story(cluster: Cluster, tmp_path: Path) -> None:
    watch = ("events", "--for", "isvc/digits", "-w")
    with (
        opened(cluster, tmp_path / "for", *watch) as about,
        opened(cluster, tmp_path / "all", "get", "events", "-w", "--no-headers") as everything,
    ):
        applied = cluster.kubectl("apply", "-k", "inferenceservices/digits/overlays/local")
        assert applied.output == "inferenceservice.serving.kserve.io/digits created\n"
        met = cluster.kubectl("wait", "--for=condition=Ready", "isvc/digits", "--timeout=90s")
        assert met.output == "inferenceservice.serving.kserve.io/digits condition met\n"
        ready = "InferenceService [digits] is Ready"
        cluster.until("told", lambda: ready in about.text and ready in everything.text)
        assert "InferenceService/digits" in about.text
        cluster.patch({"predictor": {"model": {"storageUri": "pvc://models/nothing"}}})
        failed = 'Latest created revision "digits-predictor-00002" has failed'
        cluster.until("failure told", lambda: failed in about.text)
    described = cluster.kubectl("describe", "isvc", "digits").output
    assert failed in described.split("Events:")[1]
    assert "Latest Ready Revision:" in described
    revision = cluster.kubectl("describe", "revision", "digits-predictor-00002").output
    assert "Kind:         Revision" in revision
    (pod,) = (name for name in pod_names(cluster, "predictor") if "00002" in name)
    about_pod = cluster.kubectl("describe", pod).output
    assert "Init Containers:\n  storage-initializer:" in about_pod
    assert "Controlled By:" in about_pod
    assert cluster.kubectl("delete", "isvc", "digits", "--cascade=foreground").code == 0
    gone = cluster.kubectl("wait", "--for=delete", "pods", "-l", SELECTOR, "--timeout=60s")
    assert gone.code == 0
    cluster.until("no revisions", lambda: not cluster.kubectl("get", "revisions").output)


def test_overlays_are_compared_applied_and_pruned(cluster: Cluster, tmp_path: Path) -> None:
    base = support.ROOT / "inferenceservices/digits/base/inferenceservice.yaml"
    (tmp_path / "base").mkdir()
    (tmp_path / "base/isvc.yaml").write_text(base.read_text())
    (tmp_path / "base/kustomization.yaml").write_text("resources: [isvc.yaml]\n")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    kustomization = {
        "resources": ["../base"],
        "namePrefix": "team-",
        "labels": [{"pairs": {"team": "vision"}}],
        "patches": [
            {
                "target": {"kind": "InferenceService"},
                "patch": '[{"op":"add","path":"/spec/predictor/minReplicas","value":2}]',
            }
        ],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    name = "inferenceservice.serving.kserve.io/team-digits"
    assert cluster.kubectl("diff", "-k", str(overlay)).code == 1
    assert cluster.kubectl("apply", "-k", str(overlay)).output == f"{name} created\n"
    assert cluster.kubectl("diff", "-k", str(overlay)) == (0, "", "")
    assert cluster.kubectl("apply", "-k", str(overlay)).output == f"{name} unchanged\n"
    cluster.until_ready("team-digits")
    assert len(cluster.kubectl("get", "pods", "--no-headers").output.splitlines()) == 3
    kustomization["patches"] = []
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    difference = cluster.kubectl("diff", "-k", str(overlay))
    assert difference.code == 1
    assert "-    minReplicas: 2" in difference.output
    kept = manifest(name="kept")
    kept["metadata"]["labels"] = {"team": "vision"}
    pruned = cluster.kubectl(
        *("apply", "--prune", "-l", "team=vision", "-f", "-"),
        "--prune-allowlist=serving.kserve.io/v1beta1/InferenceService",
        document=kept,
    )
    assert pruned.output.splitlines() == [
        "inferenceservice.serving.kserve.io/kept created",
        f"{name} pruned",
    ]
    cluster.until_ready("kept")
    names = cluster.kubectl("get", "isvc", "-o", "jsonpath={.items[*].metadata.name}").output
    assert names == "kept"
    assert cluster.kubectl("delete", "isvc", "--all", "--wait=false").code == 0
    cluster.until("clean", lambda: "pods/" not in cluster.calumma("status").output)


def test_a_watch_prints_a_canary_and_its_promotion(digits_service: Cluster, tmp_path: Path) -> None:
    cluster = digits_service
    with opened(cluster, tmp_path / "out", "get", "isvc", "digits", "-w") as watch:
        cluster.until("listed", lambda: len(watch.text.splitlines()) >= 2)
        cluster.canary("v2", 10)
        cluster.until(
            "canary", lambda: watch.text.splitlines()[-1].split()[2:5] == ["True", "90", "10"]
        )
        cluster.canary("v2", None)
        cluster.until(
            "promoted", lambda: watch.text.splitlines()[-1].split()[2:4] == ["True", "100"]
        )
    assert watch.text.startswith("NAME     URL")
    assert watch.text.count("NAME") == 1
    picture, label = image(0)
    assert cluster.predict(picture).json()["predictions"][0]["label"] == label
