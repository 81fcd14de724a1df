"""A logger and a batcher: from the spec to the template's annotations and the pod's container."""

from __future__ import annotations

import json
from typing import Any

import pytest

from calumma.cluster.kserve import configuration, injection
from calumma.cluster.objects import Object
from calumma.sidecar import options
from support.simulation import Simulation, bundled, digits, predictor_revision

SETTINGS = configuration.parse(bundled("ConfigMap")[0])
PREFIX = "internal.serving.kserve.io"
LOGGER = {"mode": "request", "url": "http://dumper.default", "metadataHeaders": ["A", "B"]}


def template(*containers: Object, **spec: Any) -> Object:
    labels = {"serving.kserve.io/inferenceservice": "digits", "component": "predictor"}
    annotations = {"team": "blue, green", **injection.as_annotations(spec)}
    main = {"name": "kserve-container", "image": "team/model:1"}
    return {
        "metadata": {"namespace": "default", "labels": labels, "annotations": annotations},
        "spec": {"containers": list(containers) or [main]},
    }


def agent(*containers: Object, settings: Any = SETTINGS, **spec: Any) -> Object:
    return injection.with_agent("pod-1", template(*containers, **spec), settings)[-1]


def flag(container: Object, name: str) -> str:
    words: list[str] = container["args"]
    return words[words.index(name) + 1]


def test_the_annotations_are_kserves() -> None:
    batcher = {"maxBatchSize": 8, "maxLatency": 50, "timeout": 60}
    logger = {**LOGGER, "metadataAnnotations": ["team", "x"]}
    assert injection.as_annotations({"logger": logger, "batcher": batcher}) == {
        f"{PREFIX}/logger": "true",
        f"{PREFIX}/logger-mode": "request",
        f"{PREFIX}/logger-sink-url": "http://dumper.default",
        f"{PREFIX}/logger-metadata-headers": "A,B",
        f"{PREFIX}/logger-metadata-annotations": "team,x",
        f"{PREFIX}/batcher": "true",
        f"{PREFIX}/batcher-max-batchsize": "8",
        f"{PREFIX}/batcher-max-latency": "50",
    }
    assert injection.as_annotations({}) == {}
    assert injection.as_annotations({"batcher": {}}) == {f"{PREFIX}/batcher": "true"}


def test_the_container_is_the_webhooks() -> None:
    logger = {**LOGGER, "metadataAnnotations": ["team", "missing"]}
    container = agent(logger=logger, batcher={"maxBatchSize": 8})
    assert container["name"] == "agent"
    assert container["image"] == "kserve/agent:latest"
    assert container["args"] == [
        *("--enable-batcher", "--max-batchsize", "8"),
        *("--log-url", "http://dumper.default", "--source-uri", "pod-1"),
        *("--log-mode", "request", "--inference-service", "digits"),
        *("--namespace", "default", "--endpoint", "", "--component", "predictor"),
        *("--metadata-headers", "A,B", "--metadata-annotations", '"team=blue, green"'),
        *("--logger-tls-skip-verify", "false", "--component-port", "8080"),
    ]
    assert container["ports"] == [{"name": "agent-port", "containerPort": 9081, "protocol": "TCP"}]
    assert container["readinessProbe"]["httpGet"] == {
        "httpHeaders": [{"name": "K-Network-Probe", "value": "queue"}],
        "path": "/",
        "port": 9081,
        "scheme": "HTTP",
    }
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_the_program_understands_what_the_webhook_writes() -> None:
    container = agent(logger=LOGGER, batcher={"maxLatency": 50})
    environment = {each["name"]: each["value"] for each in container["env"]}
    found = options.parse(container["args"], environment)
    assert found.batcher == options.Batcher(32, 0.05)
    assert found.logger == options.Logger(
        "http://dumper.default",
        "request",
        "pod-1",
        "digits",
        "default",
        "",
        "predictor",
        ("A", "B"),
    )


@pytest.mark.parametrize("settings", [SETTINGS, {}])
def test_without_a_url_events_go_to_the_default_broker(settings: Any) -> None:
    assert flag(agent(settings=settings, logger={"mode": "all"}), "--log-url") == (
        "http://default-broker"
    )


def test_kserves_settings_say_image_and_default_url() -> None:
    settings = {"agent": {"image": "mine:1"}, "logger": {"defaultUrl": "http://broker.default"}}
    container = agent(settings=settings, logger={"mode": "all"})
    assert container["image"] == "mine:1"
    assert flag(container, "--log-url") == "http://broker.default"


def test_the_component_is_the_container_with_a_port_and_its_probe_is_the_agents() -> None:
    probe = {"httpGet": {"path": "/ready", "port": 9000}}
    main = {"name": "kserve-container"}
    front = {
        "name": "transformer-container",
        "ports": [{"containerPort": 9000}],
        "readinessProbe": probe,
    }
    container = agent(main, front, batcher={})
    assert flag(container, "--component-port") == "9000"
    assert json.loads(container["env"][0]["value"]) == probe
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_nothing_is_added_where_nothing_asks_or_where_it_is_there() -> None:
    assert len(injection.with_agent("pod-1", template(), SETTINGS)) == 1
    there = template({"name": "kserve-container"}, {"name": "agent"}, batcher={})
    assert len(injection.with_agent("pod-1", there, SETTINGS)) == 2


@pytest.mark.parametrize(
    ("logger", "settings", "named"),
    [
        ({"url": "s3://bucket/logs"}, {}, "logger.url s3://bucket/logs"),
        ({"url": "gs://bucket"}, {}, "logger.url gs://bucket"),
        ({"storage": {"path": "/logs"}}, {}, "logger.storage"),
        ({"url": "http://a", "marshallerUrl": "http://m"}, {}, "logger.marshallerUrl"),
        ({"url": "http://a", "batchSize": 2}, {}, "logger.batchSize"),
        ({}, {"logger": {"defaultUrl": "s3://bucket"}}, "logger.url s3://bucket"),
        ({"url": "https://a"}, {"logger": {"caBundle": "own"}}, "caBundle"),
    ],
)
def test_what_is_not_built_is_named(logger: Object, settings: Object, named: str) -> None:
    assert named in (injection.unbuilt({"logger": logger}, settings) or "")


def test_what_is_built_is_not() -> None:
    assert injection.unbuilt({"logger": LOGGER, "batcher": {}}, SETTINGS) is None
    assert injection.unbuilt({}, SETTINGS) is None


@pytest.mark.parametrize("component", ["predictor", "transformer"])
def test_a_change_of_logger_or_batcher_makes_a_revision(component: str) -> None:
    simulation = Simulation()
    simulation.apply(digits())
    changes: list[Object] = [
        {"logger": LOGGER},
        {"logger": {**LOGGER, "mode": "all"}},
        {"batcher": {}},
    ]
    for number, change in enumerate(changes, 2):

        def edit(isvc: Object, change: Object = change) -> None:
            isvc["spec"][component].update(change)

        simulation.change(edit)
        assert f"digits-{component}-{number:05d}" in simulation.revisions
    annotations = simulation.revisions[f"digits-{component}-00004"]["metadata"]["annotations"]
    assert annotations[f"{PREFIX}/logger-mode"] == "all"
    other = "transformer" if component == "predictor" else "predictor"
    assert f"digits-{other}-00002" not in simulation.revisions


def test_users_cannot_take_the_annotations_over() -> None:
    isvc = digits(logger=LOGGER)
    isvc["metadata"]["annotations"] = {f"{PREFIX}/logger-mode": "response"}
    simulation = Simulation()
    simulation.apply(isvc)
    made = simulation.revisions[predictor_revision(1)]
    assert made["metadata"]["annotations"][f"{PREFIX}/logger-mode"] == "request"
