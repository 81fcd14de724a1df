"""What rollouts ask for, in the splits of an InferenceService, in both modes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from calumma.cluster.kserve import vocabulary
from calumma.cluster.node import owners, rollouts
from calumma.cluster.objects import Object
from calumma.cluster.programs import splits
from calumma.rollout import routing
from support.node import DIGITS, Node
from support.simulation import digits, predictor_revision

STABLE, CANARY = (predictor_revision(number) for number in (1, 2))
TRANSFORMERS = tuple(f"digits-transformer-0000{number}" for number in (1, 2))
USER = {"header": "x-user"}


def asking(**content: Any) -> rollouts.Asked:
    document = {"metadata": {"name": "rollout-digits"}, "data": {routing.KEY: text(content)}}
    return rollouts.Rollouts().read(DIGITS, document)


def text(content: Any) -> str:
    return routing.Routing.model_validate_json(json.dumps(content)).text()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A service with a canary of its predictor that has nothing yet."""
    node = Node(tmp_path)
    node.apply(digits())
    node.complete()
    node.apply(with_canary(digits("v2"), 0))
    node.complete()
    return node


def with_canary(isvc: Object, percent: int) -> Object:
    isvc["spec"]["predictor"]["canaryTrafficPercent"] = percent
    return isvc


def split(node: Node, host: str) -> splits.Split:
    return next(each.split for each in node.part.hosts if each.name == host)


def mirrors(node: Node) -> dict[str, tuple[str, int]]:
    """The revision and the percentage of every split that mirrors, by host or entrance."""
    found = [(each.name, each.split) for each in node.part.hosts]
    found += [(f"entrance of {each.name}", each.split) for each in node.part.entrances]
    return {
        name: (each.mirror.backend.rsplit("/", 1)[1], each.mirror.percent)
        for name, each in found
        if each.mirror is not None
    }


def test_without_a_rollout_there_is_neither(node: Node) -> None:
    assert mirrors(node) == {}
    assert all(host.split.users is None for host in node.part.hosts)


def test_a_canary_without_traffic_is_mirrored_to_where_its_component_is_asked(node: Node) -> None:
    node.asked = asking(mirror={"percent": 50, "revisions": [CANARY]})
    node.work()
    wanted = (CANARY, 50)
    assert mirrors(node) == {
        "digits-predictor.default": wanted,
        "entrance of default/digits-predictor": wanted,
    }
    assert {b.revision for b in node.part.backends if b.mirrored} == {CANARY}
    assert node.last.complaint == ""


def test_hosts_of_one_revision_are_not_mirrored(node: Node) -> None:
    node.asked = asking(mirror={"percent": 50, "revisions": [CANARY]}, assignment=USER)
    node.work()
    alone = split(node, "prev-digits-predictor.default")
    assert (alone.mirror, alone.users) == (None, None)


def test_a_canary_with_traffic_gets_no_request_twice(node: Node) -> None:
    node.asked = asking(mirror={"percent": 50, "revisions": [CANARY]})
    node.apply(with_canary(digits("v2"), 10))
    node.complete()
    assert node.shares("digits-predictor.default") == {CANARY: 10, STABLE: 90}
    assert mirrors(node) == {}
    assert not any(backend.mirrored for backend in node.part.backends)
    node.apply(with_canary(digits("v2"), 0))
    assert len(mirrors(node)) == 2


def test_a_canary_that_nobody_can_reach_is_not_mirrored_to(node: Node) -> None:
    node.asked = asking(mirror={"percent": 50, "revisions": [CANARY]})
    node.work()
    assert mirrors(node)
    node.crash(CANARY, "broken")
    for name, row in node.programs.items():
        if CANARY in name:  # its next start is a minute away
            node.programs[name] = dataclasses.replace(row, retry_at=60.0)
    node.work()
    assert mirrors(node) == {}


def test_a_mirrored_transformers_calls_are_the_only_ones_of_its_predictor(node: Node) -> None:
    isvc = with_canary(digits("v2"), 0)
    isvc["spec"]["transformer"]["canaryTrafficPercent"] = 0
    isvc["spec"]["transformer"]["containers"][0]["args"] = ["--input_name", "other"]
    node.apply(isvc)
    node.complete()
    assert node.shares("digits.default") == {TRANSFORMERS[1]: 0, TRANSFORMERS[0]: 100}
    node.asked = asking(mirror={"percent": 20, "revisions": [CANARY, TRANSFORMERS[1]]})
    node.work()
    assert mirrors(node) == {
        "digits.default": (TRANSFORMERS[1], 20),
        "digits-transformer.default": (TRANSFORMERS[1], 20),
        "digits-predictor.default": (CANARY, 0),
        "entrance of default/digits-predictor": (CANARY, 0),
    }


def test_users_are_told_apart_in_every_split_alike(node: Node) -> None:
    node.asked = asking(assignment=USER)
    node.work()
    names = ("digits.default", "digits-transformer.default", "digits-predictor.default")
    found = [split(node, name) for name in names]
    found += [each.split for each in node.part.entrances]
    assert {each.users for each in found} == {splits.Users(header="x-user")}


def test_the_canary_comes_first_at_every_weight(node: Node) -> None:
    for percent in (10, 50, 99, 0):
        node.apply(with_canary(digits("v2"), percent))
        node.complete()
        assert list(node.shares("digits-predictor.default")) == [CANARY, STABLE]


def test_a_revision_that_is_not_there_is_named(node: Node) -> None:
    node.asked = asking(mirror={"percent": 50, "revisions": [CANARY, "digits-predictor-00009"]})
    node.work()
    assert "mirrored to digits-predictor-00009, which the service does not" in node.last.complaint
    assert mirrors(node)["digits-predictor.default"] == (CANARY, 50)


def standard(percent: int, *, transformer: bool) -> Object:
    isvc = digits()
    isvc["metadata"]["annotations"] = {vocabulary.DEPLOYMENT_MODE: "Standard"}
    if not transformer:
        del isvc["spec"]["transformer"]
    model = {"modelFormat": {"name": "triton"}, "storageUri": "pvc://models/digits/v2"}
    predictor = {"name": "v2", "model": model, "minReplicas": 1}
    isvc["spec"]["canary"] = [{"trafficPercent": percent, "predictor": predictor}]
    return isvc


@pytest.mark.parametrize("transformer", [False, True])
def test_in_standard_mode_the_stable_predictor_is_mirrored_from(
    tmp_path: Path, *, transformer: bool
) -> None:
    node = Node(tmp_path)
    node.apply(standard(0, transformer=transformer))
    for _ in range(5):
        node.complete()
    canary = "digits-v2-predictor"
    node.asked = asking(mirror={"percent": 50, "revisions": [canary]}, assignment=USER)
    node.work()
    hosts = {"digits-predictor-default", "digits-predictor.default"}
    hosts.add("entrance of default/digits-predictor")
    if not transformer:
        hosts.add("digits-default")
    assert mirrors(node) == dict.fromkeys(hosts, (canary, 50))
    assert split(node, "digits-default").users == splits.Users(header="x-user")
    node.apply(standard(10, transformer=transformer))
    for _ in range(5):
        node.complete()
    assert node.shares("digits-predictor-default") == {"digits-predictor": 90, canary: 10}
    assert mirrors(node) == {}


def config_map(data: dict[str, str], name: str = "rollout-digits") -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


def test_a_config_map_that_breaks_leaves_what_was_asked_before() -> None:
    known = rollouts.Rollouts()
    good = known.read(DIGITS, config_map({routing.KEY: '{"assignment": {"cookie": "user"}}'}))
    assert good.complaint == ""
    broken = known.read(DIGITS, config_map({routing.KEY: '{"assignment": {"cookies": "user"}}'}))
    assert broken.routing == good.routing
    assert broken.complaint == (
        "ConfigMap rollout-digits: routing.json: assignment.cookies is not known here; accepted "
        "are header, cookie; requests go where they went before"
    )
    other = owners.Owner("InferenceService", "default", "other")
    assert known.read(other, config_map({routing.KEY: "{"})).routing == routing.Routing()


@pytest.mark.parametrize("gone", [None, config_map({}), config_map({"state.json": "{}"})])
def test_a_rollout_that_asks_for_nothing_has_nothing(gone: Object | None) -> None:
    known = rollouts.Rollouts()
    known.read(DIGITS, config_map({routing.KEY: '{"assignment": {"cookie": "user"}}'}))
    assert known.read(DIGITS, gone) == rollouts.Asked()
    assert known.read(DIGITS, config_map({routing.KEY: "{"})).routing == routing.Routing()


def test_a_config_map_belongs_to_the_service_in_its_name() -> None:
    assert rollouts.owner_of(config_map({})) == DIGITS
    assert rollouts.owner_of(config_map({}, "digits")) is None
