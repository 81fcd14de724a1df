"""What a person does with rollouts, against the real API server."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calumma import errors
from calumma.rollout import cluster, record, service, session
from calumma.rollout.policy import Policy
from calumma.rollout.state import Note, Phase, State
from support import api_server, moments
from support.patched import Knative, uri

ISVCS = f"{api_server.ISVC}/namespaces"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    cache = tmp_path_factory.mktemp("cache")
    with api_server.running(tmp_path_factory.mktemp("api") / "home", cache) as started:
        yield started


@pytest.fixture
def policy(
    server: api_server.ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Policy]:
    """A policy for a service that serves v1, in a namespace of its own."""
    monkeypatch.setenv("KUBECONFIG", str(server.home.kubeconfig))
    namespace = f"session-{next(_NUMBERS)}"
    simulated = Knative(transformer=False).serve()
    body = {key: simulated.isvc[key] for key in ("apiVersion", "kind", "spec")}
    body["metadata"] = {"name": "digits"}
    path = f"{ISVCS}/{namespace}/inferenceservices"
    with server.client() as person, server.node_client() as node:
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        assert person.post("/api/v1/namespaces", json=made).status_code == 201
        stored = person.post(path, json=body).json()
        stored["status"] = simulated.isvc["status"]
        assert node.put(f"{path}/digits/status", json=stored).status_code == 200
    yield moments.policy(namespace=namespace, project=str(tmp_path))


def write(policy: Policy, change: Callable[[record.Record], record.Record]) -> None:
    """Change what is known of the rollout, as the process that carries it out does."""
    found = cluster.Cluster()
    kept = found.record(policy.service, policy.namespace)
    assert kept is not None
    found.write(change(kept))


def put(policy: Policy, **changes: object) -> None:
    """Change the rollout's state."""

    def changed(kept: record.Record) -> record.Record:
        assert kept.state is not None
        return dataclasses.replace(kept, state=kept.state.model_copy(update=changes))

    write(policy, changed)


def test_a_rollout_begins_with_the_model_and_no_share_in_one_patch(policy: Policy) -> None:
    where = (policy.service, policy.namespace)
    before = cluster.Cluster().service(*where)
    began = session.start(policy, uri("v2"))
    after = cluster.Cluster().service(*where)
    assert began.startswith("digits-20") and began.endswith("Z")
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert after["spec"]["predictor"]["canaryTrafficPercent"] == 0
    assert after["spec"]["predictor"]["model"]["storageUri"] == uri("v2")
    found = session.state(*where)
    assert (found.id, found.phase, found.to) == (began, Phase.PENDING, uri("v2"))
    assert (found.stable, found.template) == (
        "digits-predictor-00001",
        service.view(after).template,
    )
    assert "Pending" in session.status(*where)
    assert [each.id for each in session.states(policy.namespace)] == [began]


def test_a_second_one_is_refused_and_changes_nothing(policy: Policy) -> None:
    session.start(policy, uri("v2"))
    with pytest.raises(errors.RolloutError, match="is being rolled out already"):
        session.start(policy, uri("v3"))
    isvc = cluster.Cluster().service(policy.service, policy.namespace)
    assert isvc["spec"]["predictor"]["model"]["storageUri"] == uri("v2")


def test_what_somebody_applied_without_a_share_is_taken(
    policy: Policy, server: api_server.ApiServer
) -> None:
    where = (policy.service, policy.namespace)
    with pytest.raises(errors.RolloutError, match="has nothing to roll out"):
        session.start(policy)
    isvc = cluster.Cluster().service(*where)
    stored = cluster.Cluster().patch(*where, service.begin(isvc, uri("v2"), "v2"))
    simulated = Knative(transformer=False).serve()
    simulated.patch(service.begin(simulated.isvc, uri("v2"), "v2"))
    simulated.ready(2)
    stored["status"] = simulated.isvc["status"]
    path = f"{ISVCS}/{policy.namespace}/inferenceservices/digits/status"
    with server.node_client() as node:
        assert node.put(path, json=stored).status_code == 200
    session.start(policy)
    assert session.state(*where).to is None


def test_without_a_rollout_there_is_a_sentence(policy: Policy) -> None:
    where = (policy.service, policy.namespace)
    looking: list[Callable[[str, str], object]] = [
        session.status,
        session.state,
        session.driven,
        session.history,
        lambda name, namespace: next(session.follow(name, namespace)),
    ]
    for look in looking:
        with pytest.raises(errors.RolloutError, match="has no rollout; `calumma rollout start`"):
            look(*where)
    with pytest.raises(errors.RolloutError, match="no rollout that could pause"):
        session.ask(*where, "pause")
    assert session.states(policy.namespace) == []
    assert session.history(None, policy.namespace) == []


def test_who_asks_gets_the_answer_of_who_carries_it_out(policy: Policy) -> None:
    where = (policy.service, policy.namespace)
    session.start(policy, uri("v2"))
    assert not session.driven(*where, 0)
    write(policy, lambda kept: cluster.Cluster().take(kept))
    assert session.driven(*where, 0)

    def answer() -> None:
        found = cluster.Cluster()
        while (kept := found.record(*where)) is None or kept.request is None:
            time.sleep(0.05)
        assert kept.wish == "pause"
        found.write(dataclasses.replace(kept, request=None, answer="Paused at 0%."))

    driver = threading.Thread(target=answer)
    driver.start()
    assert session.ask(*where, "pause") == "Paused at 0%."
    driver.join()


def test_following_shows_what_changes_and_ends_with_it(policy: Policy) -> None:
    where = (policy.service, policy.namespace)
    began = session.start(policy, uri("v2"))
    looks = session.follow(*where)
    assert next(looks).state.phase is Phase.PENDING
    note = Note(time=moments.BEGAN, reason="StepStarted", text="10% go to v2")
    put(policy, phase=Phase.PROGRESSING, notes=(note,))
    second = next(looks)
    assert second.state.phase is Phase.PROGRESSING and "Progressing" in second.text
    (line,) = second.news
    assert line.endswith(" StepStarted: 10% go to v2")
    put(policy, phase=Phase.PROMOTED, ended=moments.BEGAN)
    assert next(looks).state.phase is Phase.PROMOTED
    assert next(looks, None) is None
    shown: list[State] = []
    assert session.wait(*where, lambda now: shown.append(now.state))
    assert [each.id for each in shown] == [began]


def test_what_has_ended_is_history_and_makes_room(policy: Policy) -> None:
    where = (policy.service, policy.namespace)
    first = session.start(policy, uri("v2"))
    assert session.history(*where) == []
    put(policy, phase=Phase.ROLLED_BACK, ended=moments.BEGAN)
    assert not session.wait(*where, lambda _: None)
    assert [past.id for past in session.history(*where)] == [first]
    time.sleep(1.1)  # ids are of a second
    second = session.start(policy, uri("v3"))
    put(policy, phase=Phase.PROMOTED)
    assert [past.id for past in session.history(*where)] == [second, first]
    assert [past.to for past in session.history(None, policy.namespace)] == [uri("v3"), uri("v2")]


def test_a_change_of_the_controllers_meanwhile_is_read_again(
    policy: Policy, server: api_server.ApiServer
) -> None:
    path = f"{ISVCS}/{policy.namespace}/inferenceservices/digits"
    over = threading.Event()

    def disturb() -> None:
        with server.client() as person:
            for number in itertools.count():
                if over.is_set():
                    return
                change = {"metadata": {"labels": {"seen": str(number)}}}
                headers = {"content-type": api_server.MERGE}
                person.patch(path, json=change, headers=headers)
                time.sleep(0.05)

    busy = threading.Thread(target=disturb)
    busy.start()
    try:
        session.start(policy, uri("v2"))
    finally:
        over.set()
        busy.join()
    assert session.state(policy.service, policy.namespace).to == uri("v2")


def test_a_policy_is_read_with_its_project(tmp_path: Path) -> None:
    text = "service: digits\nproject: here\nsteps: [{weight: 10}]\n"
    text += "metrics: [{name: errors, kind: errors, margin: 0.05}]\n"
    (tmp_path / "policy.yaml").write_text(text)
    found = session.read(tmp_path / "policy.yaml", tmp_path)
    assert found.project == str(tmp_path / "here")
    (tmp_path / "policy.yaml").write_text(text.replace("margin: 0.05", "margin: 5"))
    with pytest.raises(errors.DocumentInvalid, match=r"metrics.0.errors.margin is 5"):
        session.read(tmp_path / "policy.yaml", tmp_path)
