"""A canary judged by users' requests that were labelled later, and by pairs, in both modes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from calumma import evidence
from calumma.feedback import folder
from calumma.inference import classification
from calumma.models import digits
from support import cluster as support
from support.cluster import ROOT, Cluster, manifest

HELD_OUT = digits.held_out()
PREDICTOR = yaml.safe_load((ROOT / "evaluation/suites/digits.yaml").read_text())["online"][
    "predictor"
]


class Receiver(NamedTuple):
    """A running ``python -m calumma.feedback``."""

    url: str
    place: Path

    def label(self, id: str, label: str, by: str) -> None:
        token = (self.place / "token").read_text().strip()
        given = {"id": id, "label": label, "by": by}
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.post(f"{self.url}/labels", json=given, headers=headers).status_code == 201


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    place = tmp_path / "feedback"
    command = [sys.executable, "-m", "calumma.feedback", "--folder", str(place), "--port", "0"]
    with subprocess.Popen(
        [*command, "--sample", "1", "--unsure", "0"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        found = re.search(r"go to (http://[\d.:]+),", process.stderr.readline())
        assert found
        yield Receiver(found[1], place)
        process.terminate()


@pytest.fixture(autouse=True)
def clean(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.kubectl("delete", "isvc", "digits", "--ignore-not-found")
    cluster.until("clean", lambda: "/digits-" not in cluster.calumma("status").output)


def apply(cluster: Cluster, isvc: dict[str, Any]) -> None:
    applied = cluster.kubectl("apply", "-f", "-", document=isvc)
    assert applied.code == 0, applied.error
    cluster.until_ready()


def judge(cluster: Cluster, place: Path, **section: Any) -> tuple[int, dict[str, Any]]:
    """The exit status of the notebook, and its report."""
    suite = place / "suite.yaml"
    online = {"predictor": PREDICTOR, "settle": 3.0, **section}
    suite.write_text(yaml.safe_dump({"name": "digits", "service": "digits", "online": online}))
    words = (str(place / "out.ipynb"), "-p", "suite", str(suite), "-p", "out", str(place / "out"))
    done = cluster.papermill("evaluation/online.ipynb", *words)
    report = evidence.read(place / "out")
    assert report is not None, done.error
    return done.code, report


def metrics(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for table in report["metrics"] for each in table["metrics"]}


def test_users_requests_that_are_labelled_later_condemn_a_canary(
    cluster: Cluster, receiver: Receiver, tmp_path: Path
) -> None:
    isvc = manifest("v2")
    isvc["metadata"]["annotations"] = {"serving.kserve.io/enable-tag-routing": "true"}
    logger = {"url": receiver.url, "metadataHeaders": ["X-Request-Id"]}
    isvc["spec"]["transformer"]["logger"] = {"mode": "all", **logger}
    isvc["spec"]["predictor"]["logger"] = {"mode": "response", **logger}
    apply(cluster, isvc)
    cluster.canary("v3", 50)
    address = f"{cluster.gateway}/v1/models/digits:predict"
    with httpx.Client(timeout=30) as client:
        for number in range(200):
            body = classification.encode([digits.png(HELD_OUT.images[number])])
            headers = {"host": "digits.default.localhost", "ce-id": f"user-{number}"}
            assert client.post(address, content=body, headers=headers).status_code == 200

    def kept() -> int:
        return len(folder.read(receiver.place).predictions)

    cluster.until("all predictions kept", lambda: kept() == 200)
    found = folder.read(receiver.place).predictions
    assert {each.revision for each in found} == {f"digits-predictor-0000{n}" for n in (1, 2)}
    for number in range(160):
        receiver.label(f"user-{number}", str(HELD_OUT.labels[number]), "ann")
    receiver.label("user-100", "none", "bob")
    first, last = (pick(each.time for each in found) for pick in (min, max))
    maturity = time.time() - first + 1  # enough for every label, and the same for every prediction
    time.sleep(max(0.0, last + maturity - time.time()))
    code, report = judge(
        cluster,
        tmp_path,
        traffic="replay",
        rate=50.0,
        seconds=4.0,
        margins={"feedback": 0.1, "minimum": 20},
        feedback={"folder": str(receiver.place), "maturity": maturity},
    )
    assert code != 0
    verdicts = {each["metric"]: each["verdict"] for each in report["gates"]}
    assert verdicts == {
        "accuracy, canary minus stable": "fail",
        "accuracy by feedback, canary minus stable": "fail",
        "failed requests, canary minus stable": "pass",
    }
    measured = metrics(report)
    assert measured["accuracy of canary"]["n"] == measured["accuracy of stable"]["n"] == 159
    assert measured["p of equally good"]["value"] < 1e-6
    assert (measured["disagreement of readers"]["count"], report["data"]["images"]) == (1, 200)
    begun: dict[str | None, float] = {}
    for each in sorted(found, key=lambda each: each.time):
        begun.setdefault(each.revision, each.time)
    both = [each for each in found if each.time >= max(begun.values())]  # since both answer
    known = {f"user-{number}" for number in range(160)} - {"user-100"}
    assert len(both) > 180
    labelled = [measured[f"labelled of {role}"] for role in ("stable", "canary")]
    assert sum(each["n"] for each in labelled) == len(both)
    assert sum(each["count"] for each in labelled) == sum(each.id in known for each in both)
    assert measured["label delay p50 of canary"]["value"] > 0
    sums = [each for each in report["counts"] if each["source"] == "feedback"]
    assert sum(each["requests"] for each in sums) == len(both)
    assert sum(each["right"] + each["wrong"] for each in sums) == sum(x.id in known for x in both)


def test_a_canary_of_standard_mode_is_judged_too(cluster: Cluster, tmp_path: Path) -> None:
    isvc = manifest("v1")
    isvc["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Standard"}
    del isvc["spec"]["transformer"]
    apply(cluster, isvc)
    model = {"modelFormat": {"name": "triton"}, "storageUri": "pvc://models/digits/v2"}
    isvc["spec"]["canary"] = [{"trafficPercent": 50, "predictor": {"name": "v2", "model": model}}]
    apply(cluster, isvc)
    ready = "AllCanariesReady"
    kind = "CanaryPredictorReady"
    cluster.until(ready, lambda: support.condition(cluster.get(), kind).get("reason") == ready)
    code, report = judge(
        cluster,
        tmp_path,
        traffic="live",
        dataset="digits",
        rate=40.0,
        seconds=8.0,
        margins={"accuracy": 0.1, "failures": 0.1},
    )
    assert (code, report["verdict"]) == (0, "pass"), report["sentence"]
    assert report["subject"]["stable"] == "digits-predictor"
    assert report["subject"]["canary"] == "digits-v2-predictor"
    measured = metrics(report)
    assert measured["failed requests of canary"]["n"] > 100
    assert measured["accuracy of canary"]["value"] > measured["accuracy of stable"]["value"]
