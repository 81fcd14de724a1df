"""What a cluster is started with: free ports, or a sentence about the one that is not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from calumma import errors
from calumma.cluster import layout, preparation
from calumma.cluster.node import settings


def settle(**options: object) -> tuple[settings.Settings, list[str]]:
    told: list[str] = []
    ports = {"gateway_port": 0, "api_port": 0, "prometheus_port": 0}
    request = preparation.Request(**{"project": Path(), **ports, **options})  # type: ignore[arg-type]
    return preparation.settle(layout.Home(Path("/home/of/a/test")), request, told.append), told


def test_ports_that_were_left_open_are_different() -> None:
    found, _ = settle()
    ports = [found.gateway_port, found.api_port, found.statistics_port, found.node_port]
    assert len(set(ports)) == 4


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("gateway_port", "--port"),
        ("api_port", "--api-port"),
        ("prometheus_port", "--prometheus-port"),
    ],
)
def test_a_port_in_use_is_named_with_its_option(name: str, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(errors.PortInUse, match=f"Port {port} of 127.0.0.1 .* {option},"):
            settle(**{name: port})


def test_without_prometheus_services_run_without_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found, told = settle()
    assert found.prometheus_port is None
    assert "services will run without metrics" in told[0]
    assert "calumma install prometheus" in told[0]


def test_the_persons_images_come_before_ours(tmp_path: Path) -> None:
    table = tmp_path / "images.yaml"
    table.write_text("images: [{image: calumma/digits, command: [python, -m, mine]}]")
    found, _ = settle(project=tmp_path, images=preparation.read_images(table))
    commands = [row.command for row in found.images]
    assert commands[0] == ("python", "-m", "mine")
    assert len(commands) == 5
