"""A container's view translated to this machine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from calumma import errors
from calumma.cluster.objects import Object
from calumma.cluster.programs import container, images

HOSTS = {"digits-predictor.default": "127.0.0.1:20009"}
PLACE = container.Place(
    pod="default/pod",
    namespace="default",
    gateway="127.0.0.1:8080",
    models=Path("/home/models/pod"),
    backends=Path("/home/backends"),
    ports=container.Ports(http=20001, grpc=20002, metrics=20003),
    address_of=HOSTS.get,
)
KSERVE = images.Match("kserve", ("python", "main.py"), Path("/project"))
PLAIN = images.Match("plain", ("serve",), Path("/project"))
TRITON = images.Match("triton", (), Path())


def argv(each: Object, match: images.Match = KSERVE) -> tuple[str, ...]:
    return container.program(each, match, PLACE, {}).argv


def test_kserves_arguments_get_this_machines_ports_and_hosts() -> None:
    given = ["--model_name", "digits", "--predictor_host", "digits-predictor.default"]
    assert argv({"name": "c", "args": [*given, "--http_port=8080"]}) == (
        "python",
        "main.py",
        "--model_name",
        "digits",
        "--predictor_host",
        "127.0.0.1:20009",
        "--http_port",
        "20001",
        "--grpc_port",
        "20002",
        "--enable_grpc",
        "false",
    )


def test_grpc_is_there_when_the_manifest_declares_it() -> None:
    port = {"name": "h2c", "containerPort": 8081}
    assert "--enable_grpc" not in argv({"name": "c", "ports": [port]})


def test_a_host_elsewhere_stays() -> None:
    assert "example.com" in argv({"name": "c", "args": ["--predictor_host=example.com"]})


def test_the_containers_command_wins() -> None:
    words = argv({"name": "c", "command": ["python", "-m", "mine"], "args": ["--flag"]})
    assert words[:4] == ("python", "-m", "mine", "--flag")


def test_plain_programs_read_their_port() -> None:
    program = container.program({"name": "c", "args": ["a b"]}, PLAIN, PLACE, {"K_REVISION": "r"})
    assert program.argv == ("serve", "a b")
    assert program.environment["PORT"] == "20001"
    assert program.environment["K_REVISION"] == "r"
    assert program.directory == Path("/project")


def test_the_models_mount_is_a_folder() -> None:
    each = {
        "name": "c",
        "args": ["/mnt/models", "--dir=/mnt/models/x", "/mnt/modelsmore"],
        "env": [{"name": "STORAGE_URI", "value": "/mnt/models"}],
    }
    program = container.program(each, PLAIN, PLACE, {})
    assert program.argv[1:] == (
        "/home/models/pod",
        "--dir=/home/models/pod/x",
        "/mnt/modelsmore",
    )
    assert program.environment["STORAGE_URI"] == "/home/models/pod"


def test_tritons_arguments_are_its_rooms_business() -> None:
    words = argv({"name": "c", "args": ["tritonserver", "--model-store=/mnt/models"]}, TRITON)
    assert "--model-store=/home/models/pod" in words
    assert "--http-port=20001" in words
    assert "--metrics-port=20003" in words


def test_our_own_environment_does_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = container.program({"name": "c"}, PLAIN, PLACE, {}).environment
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert "PYTHONPATH" not in environment
    assert environment["PATH"].split(":")[0].endswith("bin")


def test_values_from_elsewhere_are_refused_by_name() -> None:
    each = {"name": "c", "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {}}}]}
    with pytest.raises(errors.ConfigurationError, match="env KEY has valueFrom"):
        container.program(each, PLAIN, PLACE, {})
