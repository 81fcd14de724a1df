"""A rollout's patches on a running cluster under load: no request fails, none goes astray."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from calumma import errors
from calumma.load import users
from calumma.rollout import cluster as api
from calumma.rollout import record, service, traffic
from support.askers import Askers
from support.cluster import Cluster, Object, manifest
from support.moments import state
from support.patched import uri

R1, R2, R3 = (f"digits-predictor-{number:05d}" for number in (1, 2, 3))
PARTS = ("predictor",)


class Rollout:
    """What a driver does: look, patch, and look again until it is in effect."""

    def __init__(self) -> None:
        self.api = api.Cluster()
        self.former: str | None = None

    @property
    def isvc(self) -> Object:
        return self.api.service("digits", "default")

    @property
    def view(self) -> service.View:
        return service.view(self.isvc, self.former)

    def act(self, make: Callable[..., traffic.Patch], *arguments: Any, **named: Any) -> None:
        """Patch what was read; what the controller writes in between is no harm."""
        while True:
            try:
                isvc = self.isvc
                self.api.patch("digits", "default", make(isvc, *arguments, **named))
                return
            except errors.Conflict:
                continue

    def until(self, what: str, true: Callable[[service.View], object]) -> service.View:
        """Wait until the view shows something."""
        deadline = time.monotonic() + 90
        while not (true(seen := self.view) and seen.observed):
            if time.monotonic() > deadline:
                raise AssertionError(f"not {what}: {seen}")
            time.sleep(0.1)
        return seen


@pytest.fixture
def rollout(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    monkeypatch.setenv("KUBECONFIG", str(cluster.home.kubeconfig))
    return Rollout()


@pytest.fixture
def standard(cluster: Cluster) -> Iterator[Cluster]:
    """The example's predictor in Standard mode."""
    isvc = manifest()
    isvc["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Standard"}
    del isvc["spec"]["transformer"]
    applied = cluster.kubectl("apply", "-f", "-", document=isvc)
    assert applied.code == 0, applied.error
    cluster.until_ready()
    yield cluster
    cluster.kubectl("delete", "isvc", "--all")


def test_knative_mode(digits_service: Cluster, rollout: Rollout) -> None:
    """Begin, grow, promote, undo, begin over what was rolled back, roll back."""
    url = digits_service.get()["status"]["url"]
    times: list[float] = []

    def hold() -> None:
        """Leave things as they are for more than a second, and note when that began."""
        times.append(time.monotonic() - started)
        time.sleep(1.5)

    with users.Users(url, "digits", 20) as live:
        started = time.monotonic()
        rollout.act(service.begin, uri("v2"), "v2", pairs=True)
        seen = rollout.until("ready", lambda view: view.canary_ready)
        assert (seen.canary, seen.components) == (R2, PARTS)
        traffic_now = rollout.isvc["status"]["components"]["predictor"]["traffic"]
        assert {each["tag"] for each in traffic_now} == {"latest", "prev"}
        hold()
        rollout.act(service.weigh, PARTS, 30)
        rollout.until("30%", lambda view: view.effective.get(R2) == 30)
        kept = service.previous(rollout.isvc)
        rollout.act(service.promote, PARTS)
        rollout.until("promoted", lambda view: view.stable == R2)
        hold()
        rollout.act(service.undo, kept)
        rollout.until("undone", lambda view: view.effective == {R2: 0, R1: 100})
        hold()
        rollout.former = R2
        rollout.act(service.begin, uri("v3"), "v3")
        rollout.until("ready", lambda view: view.canary_ready)
        hold()
        rollout.act(service.weigh, PARTS, 50)
        rollout.until("50%", lambda view: view.effective.get(R3) == 50)
        hold()
        rollout.act(service.roll_back, PARTS)
        rollout.until("rolled back", lambda view: view.effective == {R3: 0, R1: 100})
        hold()
    assert [each.failure for each in live.outcomes if each.failure] == []
    held = [
        {each.answer.revision for each in live.outcomes if begun + 0.5 < each.sent < begun + 1.4}
        for begun in times
    ]
    assert held == [{R1}, {R2}, {R1}, {R1}, {R1, R3}, {R1}]


def test_standard_mode(standard: Cluster, rollout: Rollout) -> None:
    """The same, where promotion, undo and rollback take several steps each."""
    stable, canary = "digits-predictor", "digits-v2-predictor"
    before = copy.deepcopy(rollout.isvc["spec"])
    with Askers(rollout.isvc["status"]["url"], number=2) as askers:
        rollout.act(service.begin, uri("v2"), "v2")
        rollout.until("ready", lambda view: view.canary_ready)
        began = len(askers.replies)
        rollout.act(service.weigh, PARTS, 30)
        rollout.until("30%", lambda view: view.effective.get(canary) == 30)
        kept = service.previous(rollout.isvc)
        again(rollout, service.promote, (PARTS,), lambda view: view.stable == canary)
        promoted = len(askers.replies)
        time.sleep(1)
        again(
            rollout,
            service.undo,
            (kept,),
            lambda view: view.stable == stable and view.canary is None,
        )
        rollout.act(service.begin, uri("v3"), "v2")
        rollout.until("ready", lambda view: view.canary_ready)
        rollout.act(service.weigh, PARTS, 50)
        rollout.until("50%", lambda view: view.effective.get(canary) == 50)
        again(rollout, service.roll_back, (PARTS,), lambda view: view.canary is None)
        time.sleep(1)
    assert askers.failures == []
    assert rollout.isvc["spec"] == before
    early = {each.revisions.predictor for each in askers.replies[:began]}
    assert early == {stable}, "a canary at 0% had users"
    late = {each.revisions.predictor for each in askers.replies[promoted + 4 : promoted + 20]}
    assert late == {canary}


def again(
    rollout: Rollout,
    make: Callable[..., traffic.Patch],
    arguments: tuple[Any, ...],
    done: Callable[[service.View], object],
) -> None:
    """Ask for the next patch until the view shows that there is none left."""
    deadline = time.monotonic() + 90
    while not (done(seen := rollout.view) and seen.observed):
        if time.monotonic() > deadline:
            raise AssertionError(f"{make.__name__}: {seen}")
        rollout.act(make, *arguments)
        time.sleep(0.3)


def test_what_is_known_goes_with_the_service(digits_service: Cluster, rollout: Rollout) -> None:
    """The ConfigMap is the InferenceService's, and kubectl shows the Events."""
    isvc = rollout.isvc
    rollout.api.write(record.empty(isvc).begun(state(), isvc))
    rollout.api.event(isvc, "StepStarted", "10% for the canary", False)
    told = digits_service.kubectl("describe", "isvc", "digits").output
    assert "calumma-rollout" in told and "10% for the canary" in told
    assert rollout.api.prometheus() is not None
    assert "rollout-digits" in digits_service.kubectl("get", "configmaps").output
    digits_service.kubectl("delete", "isvc", "digits")
    digits_service.until("gone", lambda: rollout.api.record("digits", "default") is None)
    with pytest.raises(errors.ServiceMissing):
        rollout.api.service("digits", "default")
