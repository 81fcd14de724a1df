"""Rollouts as a person drives them, by ``calumma`` and by kubectl, while users are there."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma.load import users
from support.cluster import ROOT, Answer, Cluster, Object, image, manifest, shares

R1, R2 = (f"digits-predictor-{number:05d}" for number in (1, 2))
RECORD = "rollout-digits"
VERDICTS = {"02-promoting": "pass", "01-rolledback": "fail"}
POLICY = ROOT / "evaluation/rollouts/digits.yaml"


class Rollouts:
    """What a person has: a cluster, and a project with the notebook of the evidence."""

    def __init__(self, cluster: Cluster, project: Path) -> None:
        self.cluster, self.project = cluster, project

    def policy(self, **changes: Any) -> Object:
        """The example's policy with short times, and margins that a few requests show."""
        found: Object = yaml.safe_load(POLICY.read_text())
        for metric in found["metrics"]:
            metric.update(margin=0.2, planned=120)
        found["sources"]["pairs"]["rate"] = 40
        steps = [{"weight": weight, "seconds": 2} for weight in (0, 50)]
        times = {"interval": 2, "warmUp": 1, "deadline": 200, "quiet": 20}
        return found | times | {"steps": steps, "project": str(self.project)} | changes

    def start(self, version: str, *words: str, **changes: Any) -> Answer:
        """``calumma rollout start``."""
        file = self.project / "policy.yaml"
        file.write_text(yaml.safe_dump(self.policy(**changes)))
        to = ("--to", f"pvc://models/digits/{version}")
        return self.calumma("start", str(file), *to, "--project", str(self.project), *words)

    def calumma(self, *words: str) -> Answer:
        """``calumma rollout``."""
        return self.cluster.calumma("rollout", *words)

    def record(self) -> Object:
        """The data of the rollout's ConfigMap; empty while there is none."""
        answer = self.cluster.kubectl("get", "configmap", RECORD, "-o", "json")
        found: Object = {} if answer.code else json.loads(answer.output)["data"]
        return found

    def state(self) -> Object:
        """What is known of the rollout; empty while there is none."""
        found: Object = json.loads(self.record().get("state.json", "{}"))
        return found

    def until(self, phase: str, **more: object) -> Object:
        """The state once it is in a phase, and has these values."""
        wanted = {"phase": phase, **more}
        self.cluster.until(
            f"a rollout with {wanted}", lambda: wanted.items() <= self.state().items(), 90
        )
        return self.state()

    def request(self, verb: str) -> str:
        """Ask by kubectl alone; the answer."""
        text = json.dumps({"data": {"request": verb, "answer": None}})
        asked = self.cluster.kubectl("patch", "configmap", RECORD, "--type", "merge", "-p", text)
        assert asked.code == 0, asked.error
        self.cluster.until("answered", lambda: "request" not in self.record())
        return str(self.record()["answer"])

    def events(self) -> list[str]:
        """The rollout's Events of the InferenceService: each reason with what it says."""
        about = f"involvedObject.uid={self.cluster.get()['metadata']['uid']}"
        found = self.cluster.kubectl("get", "events", "--field-selector", about, "-o", "json")
        items = json.loads(found.output)["items"]
        ours = [each for each in items if each["source"]["component"] == "calumma-rollout"]
        return [f"{each['reason']}: {each['message']}" for each in ours]


@pytest.fixture
def rollouts(digits_service: Cluster, tmp_path: Path) -> Rollouts:
    (tmp_path / "evaluation").symlink_to(ROOT / "evaluation")
    return Rollouts(digits_service, tmp_path)


@pytest.fixture
def live(digits_service: Cluster) -> Iterator[users.Users]:
    """Users who are there all the time, and of whose requests none may fail."""
    with users.Users(digits_service.get()["status"]["url"], "digits", rate=40.0) as found:
        yield found
    assert found.count > 100
    assert found.summary.failures == {}


@pytest.mark.usefixtures("live")
def test_promoted_then_rolled_back_then_alike(rollouts: Rollouts, models: Path) -> None:
    """A better model is promoted, a bad one rolled back, and one that is the same promoted."""
    cluster = rollouts.cluster
    good = rollouts.start("v2", "--wait")
    assert good.code == 0, good.output + good.error
    assert shares(cluster.get()) == {"00002": 100}
    assert "StepStarted: step 2 of 2: 50% go to digits-predictor-00002" in good.output
    bad = rollouts.start("v3", "--wait")
    assert bad.code == 1, bad.output + bad.error
    assert "correct is worse" in bad.output
    assert shares(cluster.get()) == {"00003": 0, "00002": 100}
    shutil.copytree(models / "digits/v2", models / "digits/v2b", dirs_exist_ok=True)
    same = rollouts.start("v2b", "--wait")
    assert same.code == 0, same.output + same.error
    assert shares(cluster.get()) == {"00004": 100}
    ended = rollouts.calumma("history", "digits").output.splitlines()[1:]
    assert [tuple(line.split()[3:6]) for line in ended] == [
        ("Promoted", "digits-predictor-00004", "pvc://models/digits/v2b"),
        ("RolledBack", "digits-predictor-00003", "pvc://models/digits/v3"),
        ("Promoted", R2, "pvc://models/digits/v2"),
    ]
    status = rollouts.calumma("status", "digits").output
    assert "Promoted: all 2 steps are passed" in status
    assert any(each.startswith("RolledBack: at 0%: correct is worse") for each in rollouts.events())
    links = [each.partition(". Evidence: ")[2] for each in rollouts.events()]
    assert len([link for link in links if link]) == 5  # two steps twice, one rollback
    is_there(rollouts, ended)


def is_there(rollouts: Rollouts, ended: list[str]) -> None:
    """The evidence of each step and each verdict, at the page that the history names."""
    passed = ["01-step-1", "02-promoting"]
    for line, moments in zip(ended, (passed, ["01-rolledback"], passed), strict=True):
        page = Path(line.split()[-1])
        rollouts.cluster.until(f"{page} made", page.exists)
        folder = page.parents[1]
        assert folder.parent == rollouts.project / "runs/rollouts/digits"
        assert sorted(each.name for each in folder.glob("0*")) == moments
        for each in moments:
            notebook = json.loads((folder / each / "rollout.ipynb").read_text())
            outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
            assert {output.get("ename") for output in outputs} <= {None, "VerdictNotPassed"}
            report = json.loads((folder / each / "report.json").read_text())
            assert report["verdict"] == VERDICTS.get(each, "inconclusive")
            assert (folder / each / "report.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.usefixtures("live")
def test_a_driver_that_is_killed_again_and_again(rollouts: Rollouts) -> None:
    """Whoever comes next goes on; and a promotion can be taken back."""
    cluster = rollouts.cluster
    steps = [{"weight": weight, "seconds": 2} for weight in (0, 10, 50)]
    rollouts.start("v2", steps=steps)
    cluster.kill("rollouts")
    for step in range(len(steps)):
        rollouts.until("Progressing", step=step)
        cluster.until("a driver", lambda: "rollouts" in cluster.programs())
        cluster.kill("rollouts")
    rollouts.until("Promoted")
    assert shares(cluster.get()) == {"00002": 100}
    undone = rollouts.calumma("undo", "digits")
    assert f"{R1} gets the traffic back." in undone.output, undone.output + undone.error
    rollouts.until("Undone")
    assert shares(cluster.get()) == {"00002": 0, "00001": 100}
    answers = [cluster.predict(image()[0]) for _ in range(10)]
    assert {each.headers["x-calumma-predictor-revision"] for each in answers} == {R1}


@pytest.mark.usefixtures("live")
def test_kubectl_alone(rollouts: Rollouts) -> None:
    """A policy in a ConfigMap, a manifest, and verbs and shares by patches."""
    cluster = rollouts.cluster
    steps = [{"weight": 0, "seconds": 2}, {"weight": 10, "seconds": 60}]
    policy = yaml.safe_dump(rollouts.policy(steps=steps))
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "digits-policy"}}
    applied = cluster.kubectl(
        "apply", "-f", "-", document=document | {"data": {"policy.yaml": policy}}
    )
    assert applied.code == 0, applied.error
    isvc = manifest("v2", canaryTrafficPercent=0)
    isvc["metadata"]["annotations"] = {"rollout.calumma.dev/policy": "digits-policy"}
    applied = cluster.kubectl("apply", "-f", "-", document=isvc)
    assert applied.code == 0, applied.error
    rollouts.until("Progressing", step=1)
    refused = rollouts.start("v3")
    assert refused.code != 0
    assert "is being rolled out already" in refused.error
    assert rollouts.request("pause").startswith("Paused at ")
    rollouts.until("Paused")
    assert rollouts.request("resume") == "It goes on; its share is 10%."
    assert rollouts.request("sing").startswith("'sing' was asked for; accepted are pause, resume")
    rollouts.until("Progressing")
    cluster.until("10%", lambda: 10 in shares(cluster.get()).values())
    cluster.patch({"predictor": {"canaryTrafficPercent": 30}})
    why = rollouts.until("Paused")["why"]
    assert why.startswith("somebody set the canary's share to 30% while it was at 10% in step 2")
    time.sleep(5)
    assert 30 in shares(cluster.get()).values()
    assert rollouts.request("abort") == f"{R1} gets all of the traffic."
    rollouts.until("RolledBack")
    assert shares(cluster.get())["00001"] == 100
    reasons = {each.partition(":")[0] for each in rollouts.events()}
    assert {"PausedByPerson", "Resumed", "ChangedByPerson", "RolledBack"} <= reasons


@pytest.mark.usefixtures("live")
def test_what_cannot_be_known_promotes_nothing(rollouts: Rollouts) -> None:
    """A policy that nothing can satisfy is refused; without Prometheus nothing goes on."""
    cluster = rollouts.cluster
    before = cluster.get()["metadata"]["generation"]
    metrics = [{"name": "errors", "kind": "errors", "margin": 0.001, "planned": 100}]
    refused = rollouts.start("v2", metrics=metrics)
    assert refused.code != 0
    assert "The metric errors has a margin of 0.001 and plans 100 observations" in refused.error
    assert cluster.get()["metadata"]["generation"] == before
    sources = rollouts.policy()["sources"] | {"prometheus": "http://127.0.0.1:9"}
    rollouts.start("v2", sources=sources, deadline=30, quiet=4, inconclusive="rollback")
    why = rollouts.until("RolledBack")["why"]
    assert why.startswith("the deadline of 30 s is over and this is missing: ")
    assert "errors to be shown not worse" in why
    assert "NothingKnown: nothing is known of errors after 4 s" in rollouts.events()
    assert shares(cluster.get()) == {"00002": 0, "00001": 100}
