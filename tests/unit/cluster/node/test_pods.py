"""Which of a program's ports takes requests, and by which one its readiness is found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calumma.cluster import layout
from calumma.cluster.kserve import vocabulary
from calumma.cluster.node import containers, pods, settings
from calumma.cluster.programs import images

HTTP, GRPC, METRICS = 20000, 20001, 20002


def notes(tmp_path: Path, image: str, *names: str, **more: Any) -> Any:
    """What is noted of the program of a predictor whose container has ports of these names."""
    ports = [{"name": name, "containerPort": 9000} for name in names]
    main = {"name": vocabulary.MAIN_CONTAINER, "image": image, "ports": ports, **more}
    revision = {
        "kind": "Revision",
        "metadata": {"name": "m-predictor-00001", "namespace": "default", "uid": "u"},
        "spec": {"containers": [main]},
    }
    rows = (
        images.Row("example/kserve", "kserve", ("python",), str(tmp_path)),
        images.Row("example/plain", "plain", ("serve",), str(tmp_path)),
        *images.defaults(tmp_path),
    )
    machine = containers.Machine(
        layout.Home(tmp_path),
        settings.Settings(1, 8080, 2, 3, 4, "now", images=rows),
        lambda _: None,
        {},
    )
    (pod,) = pods.of(revision, 1, {})
    free = iter((HTTP, GRPC, METRICS))
    (wanted,) = containers.programs(pod, machine, {}, lambda: next(free))
    return wanted.notes


@pytest.mark.parametrize(
    ("image", "names", "endpoint"),
    [
        ("example/kserve", (), HTTP),
        ("example/kserve", ("http1",), HTTP),
        ("example/kserve", ("h2c",), GRPC),
        ("example/plain", (), HTTP),
        ("example/plain", ("h2c",), HTTP),  # the one that its PORT says
    ],
)
def test_a_container_is_ready_when_the_port_that_takes_requests_is_open(
    image: str, names: tuple[str, ...], endpoint: int, tmp_path: Path
) -> None:
    found = notes(tmp_path, image, *names)
    assert found["endpoint"] == endpoint
    assert found["probe"] == {"port": endpoint, "path": None}
    assert found["http2"] == ("h2c" in names)


def test_tritons_readiness_is_its_own_word_by_http(tmp_path: Path) -> None:
    found = notes(tmp_path, "nvcr.io/nvidia/tritonserver:23.05-py3", "h2c")
    assert found["endpoint"] == GRPC
    assert found["probe"] == {"port": HTTP, "path": "/v2/health/ready", "crew": True}


def test_a_declared_http_probe_is_followed(tmp_path: Path) -> None:
    headers = [{"name": "X-Asked", "value": "yes"}]
    probe = {"httpGet": {"path": "/ready", "httpHeaders": headers}}
    found = notes(tmp_path, "example/kserve", "h2c", readinessProbe=probe)
    assert found["probe"] == {"port": HTTP, "path": "/ready", "headers": {"X-Asked": "yes"}}
