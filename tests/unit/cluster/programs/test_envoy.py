"""Envoy's files for a canary, whole, and what must differ when something changes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from calumma.cluster.programs import envoy, splits, upstreams

GOLDEN = Path(__file__).parent / "golden"
DIRECTORY = Path("/calumma/envoy")

STABLE, CANARY = (
    upstreams.Backend("default", "digits", "predictor", f"digits-predictor-0000{number}", (port,))
    for number, port in ((1, 20001), (2, 20002))
)
SPLIT = splits.Split("predictor", ((CANARY.name, 10), (STABLE.name, 90)), 300.0)
GATEWAY = envoy.Gateway(
    port=8080,
    address="127.0.0.1",
    statistics_port=20000,
    hosts=(
        envoy.Host(
            "digits.default",
            ("digits.default.localhost", "digits.default"),
            SPLIT,
            "digits-predictor.default.svc.cluster.local",
            {"KServe-Isvc-Name": "digits"},
        ),
    ),
    entrances=(envoy.Entrance("default/digits-predictor", 20003, SPLIT),),
    backends=(STABLE, CANARY),
)


def test_the_files_of_a_canary() -> None:
    made = envoy.files(GATEWAY, DIRECTORY)
    everything = [made.listeners, *made.routes, made.clusters]
    found = {each.name: each.content for each in everything}
    assert found == json.loads((GOLDEN / "envoy.json").read_text())


def test_the_routes_and_clusters_of_a_canary_that_is_mirrored_to_and_of_users_who_stay() -> None:
    split = dataclasses.replace(
        SPLIT,
        shares=((CANARY.name, 0), (STABLE.name, 100)),
        mirror=splits.Mirror(CANARY.name, 50),
        users=splits.Users(cookie="user"),
    )
    changed = dataclasses.replace(
        GATEWAY,
        hosts=(dataclasses.replace(GATEWAY.hosts[0], split=split),),
        entrances=(dataclasses.replace(GATEWAY.entrances[0], split=split),),
        backends=(STABLE, dataclasses.replace(CANARY, mirrored=True)),
    )
    made = envoy.files(changed, DIRECTORY)
    found = {each.name: each.content for each in (*made.routes, made.clusters)}
    assert found == json.loads((GOLDEN / "envoy-rollout.json").read_text())


def test_the_bootstrap() -> None:
    found = envoy.bootstrap(DIRECTORY, Path("/calumma/run/envoy.sock"))
    assert found == json.loads((GOLDEN / "envoy-bootstrap.json").read_text())


def test_new_weights_change_the_routes_alone() -> None:
    split = dataclasses.replace(SPLIT, shares=((CANARY.name, 50), (STABLE.name, 50)))
    changed = dataclasses.replace(
        GATEWAY,
        hosts=(dataclasses.replace(GATEWAY.hosts[0], split=split),),
        entrances=(dataclasses.replace(GATEWAY.entrances[0], split=split),),
    )
    before, after = envoy.files(GATEWAY, DIRECTORY), envoy.files(changed, DIRECTORY)
    assert before.listeners == after.listeners
    assert before.clusters == after.clusters
    versions = [each.content["version_info"] for each in (*before.routes, *after.routes)]
    assert len(set(versions)) == 4


def test_a_restarted_pod_changes_its_own_cluster_alone() -> None:
    moved = dataclasses.replace(CANARY, endpoints=(20009,))
    changed = dataclasses.replace(GATEWAY, backends=(STABLE, moved))
    before, after = envoy.files(GATEWAY, DIRECTORY), envoy.files(changed, DIRECTORY)
    assert before[:2] == after[:2]
    was, now = (each.clusters.content["resources"] for each in (before, after))
    assert was[0] == now[0]
    assert was[1] != now[1]


def test_envoy_watches_as_many_files_for_one_service_as_for_many() -> None:
    def sources(gateway: envoy.Gateway) -> set[str]:
        made = envoy.files(gateway, DIRECTORY)
        text = json.dumps([each.content for each in (made.listeners, made.clusters)])
        return set(re.findall(r'"path": "([^"]+\.json)"', text))

    many = dataclasses.replace(
        GATEWAY,
        entrances=tuple(envoy.Entrance(f"e/{port}", port, SPLIT) for port in range(40000, 40100)),
        backends=tuple(dataclasses.replace(STABLE, service=f"s{index}") for index in range(100)),
    )
    assert sources(many) == sources(GATEWAY)
    assert len(sources(many)) == 2


def test_grpc_inference_has_a_way_of_its_own_where_there_is_a_port_for_it() -> None:
    split = dataclasses.replace(SPLIT, grpc=True)
    changed = dataclasses.replace(
        GATEWAY, hosts=(dataclasses.replace(GATEWAY.hosts[0], split=split),)
    )
    made = envoy.files(changed, DIRECTORY).routes[0].content
    first, second = made["resources"][0]["virtual_hosts"][0]["routes"]
    assert first["match"]["prefix"] == "/inference.GRPCInferenceService/"
    assert first["match"]["headers"][0]["string_match"] == {"prefix": "application/grpc"}
    assert second["match"] == {"prefix": "/"}
    found = [
        {
            each["name"]: each["response_headers_to_add"][0]["header"]["value"]
            for each in route["route"]["weighted_clusters"]["clusters"]
        }
        for route in (first, second)
    ]
    assert found[0] == {f"{each.name}+grpc": each.revision for each in (CANARY, STABLE)}
    assert found[1] == {each.name: each.revision for each in (CANARY, STABLE)}


def test_a_backend_that_speaks_http2() -> None:
    grpc = dataclasses.replace(STABLE, http2=True)
    made = envoy.files(dataclasses.replace(GATEWAY, backends=(grpc,)), DIRECTORY)
    (cluster,) = made.clusters.content["resources"]
    (options,) = cluster["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}
