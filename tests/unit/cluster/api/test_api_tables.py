"""JSONPath, ages, the columns of every kind and the cells of pods and events."""

from __future__ import annotations

from typing import Any

import pytest

from calumma.cluster.api import jsonpath, kinds, printers, tables
from calumma.cluster.api.resources import Resource
from calumma.cluster.objects import Object

NOW = 1_795_255_200.0
"""2026-11-21T10:00:00Z."""

VALUE = {
    "a": {"b": 1},
    "list": [{"type": "x", "v": 1}, {"type": "y", "v": 2, "on": True}],
    "labels": {"k.d/e": "z"},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]),
        (".a.nosuch.b", []),
        (".list[*].v", [1, 2]),
        (".list[1].v", [2]),
        (".list[9].v", []),
        (".list[?(@.type=='y')].v", [2]),
        (".list[?(@.type=='q')].v", []),
        (".list[?(@.on==true)].v", [2]),
        (r".labels['k\.d/e']", ["z"]),
        (".a[*]", []),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    assert jsonpath.find(VALUE, path) == found


@pytest.mark.parametrize("path", ["a", ".a[", ".a..b", ".a[?(@.b>1)]"])
def test_json_paths_that_are_not_known(path: str) -> None:
    with pytest.raises(ValueError, match="JSONPath"):
        jsonpath.find(VALUE, path)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (12000, "3h20m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (52 * 3600, "2d4h"),
        (8 * 86400 + 3600, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (800 * 86400, "2y70d"),
        (3000 * 86400, "8y"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert printers.duration(seconds) == shown


def cells(resource: Resource, obj: Object) -> list[Any]:
    view = tables.table(resource, [obj], {}, "None", NOW)
    (row,) = view["rows"]
    assert len(row["cells"]) == len(view["columnDefinitions"])
    found: list[Any] = row["cells"]
    return found


@pytest.mark.parametrize("resource", kinds.CATALOG.rows, ids=lambda row: str(row.name))
def test_an_empty_object_of_every_kind_has_a_row(resource: Resource) -> None:
    assert cells(resource, {"metadata": {"name": "a"}})[0] == "a" or resource is kinds.EVENTS


def test_the_cells_of_an_inference_service() -> None:
    traffic = [
        {"tag": "prev", "percent": 90, "revisionName": "a-predictor-00001"},
        {"latestRevision": True, "percent": 10, "revisionName": "a-predictor-00002"},
    ]
    isvc = {
        "metadata": {"name": "a", "creationTimestamp": "2026-11-21T09:58:00Z"},
        "status": {
            "url": "http://a",
            "conditions": [{"type": "Ready", "status": "True"}],
            "components": {"predictor": {"traffic": traffic}},
        },
    }
    assert cells(kinds.INFERENCE_SERVICES, isvc) == [
        "a",
        "http://a",
        "True",
        90,
        10,
        "a-predictor-00001",
        "a-predictor-00002",
        "2m",
    ]


def pod(*statuses: dict[str, Any], **state: Any) -> list[Any]:
    resource = kinds.CATALOG.at("api/v1", "pods")
    assert resource is not None
    obj = {
        "metadata": {"name": "p", "creationTimestamp": "2026-11-21T09:59:00Z"},
        "spec": {
            "initContainers": [{"name": "first"}],
            "containers": [{"name": str(number)} for number in range(2)],
            "nodeName": "n",
        },
        "status": {"phase": "Running", "containerStatuses": list(statuses), **state},
    }
    return cells(resource, obj)


def test_the_cells_of_pods() -> None:
    running = {"ready": True, "state": {"running": {}}}
    assert pod(running, running, podIP="127.0.0.1") == [
        "p",
        "2/2",
        "Running",
        "0",
        "60s",
        "127.0.0.1",
        "n",
        "<none>",
        "<none>",
    ]
    crashed = {
        "ready": False,
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-11-21T09:59:30Z"}},
    }
    assert pod(running, crashed)[1:4] == ["1/2", "CrashLoopBackOff", "3 (30s ago)"]
    assert pod({"state": {"terminated": {"exitCode": 2}}})[2] == "ExitCode:2"
    assert pod({"state": {"terminated": {"signal": 9}}})[2] == "Signal:9"
    assert pod({"state": {"terminated": {"reason": "Error"}}})[2] == "Error"
    assert pod(phase="Pending")[2] == "Pending"


@pytest.mark.parametrize(
    ("state", "restarts", "shown"),
    [
        ({"running": {}}, 0, ["Init:0/1", "0"]),
        ({"waiting": {"reason": "PodInitializing"}}, 0, ["Init:0/1", "0"]),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, 2, ["Init:CrashLoopBackOff", "2"]),
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, 1, ["Init:Error", "1"]),
        ({"terminated": {"exitCode": 1}}, 0, ["Init:ExitCode:1", "0"]),
        ({"terminated": {"exitCode": 0}}, 1, ["PodInitializing", "0"]),
    ],
)
def test_the_cells_of_a_pod_that_initializes(
    state: dict[str, Any], restarts: int, shown: list[str]
) -> None:
    first = {"state": state, "restartCount": restarts}
    waiting = {"ready": False, "state": {"waiting": {"reason": "PodInitializing"}}}
    begun = {"initContainerStatuses": [first]}
    assert pod(waiting, **begun)[2:4] == shown
    done = [{"type": "Initialized", "status": "True"}]
    assert pod(waiting, **begun, conditions=done)[2] == "PodInitializing"


def test_the_cells_of_a_deployment_its_replica_sets_and_its_service() -> None:
    made = {"name": "a", "creationTimestamp": "2026-11-21T09:59:00Z"}
    containers = [{"name": "c", "image": "i"}]
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "isvc.a"}},
        "template": {"spec": {"containers": containers}},
    }
    wide = ["c", "i", "app=isvc.a"]
    deployment = {
        "metadata": made,
        "spec": spec,
        "status": {"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2, "replicas": 4},
    }
    rows = {
        "deployments": (deployment, ["a", "2/3", 1, 2, "60s", *wide]),
        "replicasets": (deployment, ["a", 3, 4, 2, "60s", *wide]),
    }
    for plural, (obj, expected) in rows.items():
        resource = kinds.CATALOG.at("apis/apps/v1", plural)
        assert resource is not None
        assert cells(resource, obj) == expected
    service = kinds.CATALOG.at("api/v1", "services")
    assert service is not None
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 9000}]
    described = {"type": "ClusterIP", "clusterIP": "None", "ports": ports, "selector": {"b": "c"}}
    assert cells(service, {"metadata": made, "spec": described}) == [
        "a",
        "ClusterIP",
        "None",
        "<none>",
        "80/TCP,9000/TCP",
        "60s",
        "b=c",
    ]


def test_the_cells_of_an_event() -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p"},
        "type": "Warning",
        "reason": "BackOff",
        "message": " again\n",
        "source": {"component": "node", "host": "h"},
        "firstTimestamp": "2026-11-21T09:50:00Z",
        "lastTimestamp": "2026-11-21T09:59:00Z",
        "count": 4,
    }
    assert cells(kinds.EVENTS, event) == [
        "60s",
        "Warning",
        "BackOff",
        "pod/p",
        "",
        "node, h",
        "again",
        "10m",
        4,
        "e",
    ]


def test_how_much_of_each_object_a_row_carries() -> None:
    obj = {"metadata": {"name": "a"}, "data": {"x": "1"}}
    rows = {
        include: tables.table(kinds.CONFIG_MAPS, [obj], {}, include, NOW)["rows"][0]
        for include in ("Object", "None", "Metadata")
    }
    assert rows["Object"]["object"] == obj
    assert "object" not in rows["None"]
    assert rows["Metadata"]["object"]["kind"] == "PartialObjectMetadata"
