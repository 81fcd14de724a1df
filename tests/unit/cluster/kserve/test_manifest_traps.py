"""The traps of a manifest: what is accepted and does not do what it says, and the warning of it."""

from __future__ import annotations

from typing import Any

import pytest

from calumma.cluster.objects import Object
from support.simulation import Simulation, digits
from support.traps import commands, told


def with_model(**model: Any) -> Object:
    isvc = digits()
    isvc["spec"]["predictor"]["model"].update(model)
    return isvc


def with_arguments(*arguments: str, port: str | None = None) -> Object:
    isvc = digits()
    isvc["spec"]["transformer"]["containers"][0]["args"] = list(arguments)
    if port is not None:
        ports = [{"name": port, "containerPort": 9000, "protocol": "TCP"}]
        isvc["spec"]["predictor"]["model"]["ports"] = ports
    return isvc


@pytest.mark.parametrize("form", ["onnx", "tensorrt"])
def test_a_model_format_without_protocol_version(simulation: Simulation, form: str) -> None:
    simulation.apply(with_model(modelFormat={"name": form}))
    assert simulation.services == {}
    assert simulation.isvc["status"]["modelStatus"]["transitionStatus"] == "InvalidSpec"
    found = {event.reason: event for event in simulation.events}
    assert f"no runtime for {form!r} speaks here" in found["ProtocolVersionMissing"].message
    (mend,) = commands(found["ProtocolVersionMissing"].message)
    simulation.change(mend)
    assert set(simulation.services) == {"predictor", "transformer"}


def test_a_format_that_no_protocol_helps(simulation: Simulation) -> None:
    simulation.apply(with_model(modelFormat={"name": "sklearn"}))
    assert simulation.warnings() == []


@pytest.mark.parametrize("uri", ["file:///home/me/models", "/home/me/models", "models/digits"])
def test_storage_that_is_not_portable(simulation: Simulation, uri: str) -> None:
    simulation.apply(with_model(storageUri=uri))
    reason, message = told(simulation)
    assert reason == "StorageNotPortable"
    assert f"storageUri {uri} is a folder of this machine" in message


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (["--protocol", "v2"], True),
        (["--protocol=v2"], True),
        (["--protocol", "v2", "--predictor_protocol", "v2"], False),
        (["--predictor_protocol=v2"], False),
        ([], False),
    ],
)
def test_the_protocol_argument_that_is_ignored(
    simulation: Simulation, arguments: list[str], warned: bool
) -> None:
    simulation.apply(with_arguments(*arguments))
    if not warned:
        assert simulation.warnings() == []
        return
    reason, message = told(simulation)
    assert reason == "ProtocolArgumentIgnored"
    assert "--predictor_protocol v2" in message


@pytest.mark.parametrize(
    ("arguments", "port", "warned"),
    [
        ([], "h2c", ["PredictorIsGrpcOnly"]),
        (["--predictor_protocol=v2"], "h2c", ["PredictorIsGrpcOnly"]),
        (["--predictor_protocol", "grpc-v2"], "h2c", []),
        (["--predictor_protocol", "grpc-v2"], None, ["PredictorIsNotGrpc"]),
        (["--predictor_protocol", "grpc-v2"], "http1", ["PredictorIsNotGrpc"]),
        (["--predictor_protocol", "v2"], None, []),
    ],
)
def test_a_transformer_and_a_predictor_that_do_not_meet(
    simulation: Simulation, arguments: list[str], port: str | None, warned: list[str]
) -> None:
    simulation.apply(with_arguments(*arguments, port=port))
    assert simulation.warnings() == warned


def named(name: str, *, transformer: bool = False) -> Object:
    isvc = digits()
    isvc["metadata"]["name"] = name
    if not transformer:
        del isvc["spec"]["transformer"]
    return isvc


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("my-predictor-app", "http://my-app-predictor.default.localhost:8080"),
        ("my-default-app", "http://my-default-app-predictor.default.localhost:8080"),
        ("predictor-app", "http://predictor-app.default.localhost:8080"),
    ],
)
def test_a_name_that_kserve_mangles(simulation: Simulation, name: str, url: str) -> None:
    simulation.apply(named(name))
    simulation.become_ready(f"{name}-predictor-00001")
    assert simulation.isvc["status"]["url"] == url
    if url.startswith(f"http://{name}."):
        assert simulation.warnings() == []
        return
    reason, message = told(simulation)
    assert reason == "UrlDiffersFromName"
    assert f"status.url is {url}" in message


@pytest.mark.parametrize(
    ("length", "warned"),
    [
        (46, []),
        (47, ["NameTooLongForCanary"]),
        (48, ["NameTooLongForCanary"]),
        (49, ["NameTooLongForCanary", "NameTooLongForCanary"]),
    ],
)
def test_a_name_too_long_for_a_canary(
    simulation: Simulation, length: int, warned: list[str]
) -> None:
    simulation.apply(named("a" * length, transformer=True))
    assert simulation.warnings() == warned


def test_a_tag_too_long_leaves_traffic_as_it_is(simulation: Simulation) -> None:
    name = "a" * 50
    simulation.apply(named(name))
    simulation.become_ready(*simulation.revisions)
    canary = {"canaryTrafficPercent": 10, "minReplicas": 2}
    simulation.change(lambda isvc: isvc["spec"]["predictor"].update(canary))
    simulation.become_ready(*simulation.revisions)
    assert simulation.condition("PredictorRouteReady") == (
        "False",
        "ErrorConfig",
        f'domain name error: invalid domain name "prev-{name}-predictor.default.localhost:8080": '
        f'url: Invalid value: "prev-{name}-predictor": must be no more than 63 characters',
    )
    assert [entry["percent"] for entry in simulation.predictor["traffic"]] == [100]


def test_a_name_too_long_for_a_service(simulation: Simulation) -> None:
    simulation.apply(named("a" * 54))
    status, reason, message = simulation.condition("PredictorReady")
    assert (status, reason) == ("False", "ReconcileFailed")
    assert message.endswith(
        "validation failed: not a DNS 1035 label: [must be no more than 63 characters]: "
        "metadata.name"
    )
