"""The ``agent`` container: a component's logger and batcher, from its spec to its pods. Pure.

As in KServe it takes two steps. The controller writes what is asked for into annotations of the
template (:func:`as_annotations`), so that a change of it makes a new revision; whoever makes a pod
adds the container to it that these annotations ask for (:func:`with_agent`), as KServe's webhook
does. :mod:`calumma.sidecar` is the program behind the image.
Source: kserve ``components/component.go``, ``pkg/webhook/admission/pod/agent_injector.go``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from calumma.cluster import objects
from calumma.cluster.kserve import configuration, vocabulary
from calumma.cluster.objects import Object

AGENT: Final = "agent"
AGENT_PORT: Final = 9081

_PREFIX = "internal.serving.kserve.io"
LOGGER: Final = f"{_PREFIX}/logger"
LOGGER_URL: Final = f"{_PREFIX}/logger-sink-url"
LOGGER_MODE: Final = f"{_PREFIX}/logger-mode"
LOGGER_HEADERS: Final = f"{_PREFIX}/logger-metadata-headers"
LOGGER_ANNOTATIONS: Final = f"{_PREFIX}/logger-metadata-annotations"
BATCHER: Final = f"{_PREFIX}/batcher"
BATCHER_SIZE: Final = f"{_PREFIX}/batcher-max-batchsize"
BATCHER_LATENCY: Final = f"{_PREFIX}/batcher-max-latency"

_IMAGE = "kserve/agent:latest"
_DEFAULT_URL = "http://default-broker"
_COMPONENT_PORT = 8080
_BLOB_STORAGE = ("s3", "gs", "abfs")
_BLOB_FIELDS = ("storage", "marshallerUrl", "batchSize", "batchInterval")
_LOGGER_LISTS = ((LOGGER_HEADERS, "metadataHeaders"), (LOGGER_ANNOTATIONS, "metadataAnnotations"))
_RESOURCES = {
    "limits": {"cpu": "cpuLimit", "memory": "memoryLimit"},
    "requests": {"cpu": "cpuRequest", "memory": "memoryRequest"},
}


def as_annotations(spec: Mapping[str, Any]) -> dict[str, str]:
    """What a component's logger and batcher are in the annotations of its template.

    A batcher's ``timeout`` is nowhere in KServe but in its schema.
    """
    found = {}
    logger, batcher = spec.get("logger"), spec.get("batcher")
    if logger is not None:
        found = {LOGGER: "true", LOGGER_MODE: logger.get("mode", "")}
        if logger.get("url") is not None:
            found[LOGGER_URL] = logger["url"]
        for key, name in _LOGGER_LISTS:
            if logger.get(name) is not None:
                found[key] = ",".join(logger[name])
    if batcher is not None:
        found[BATCHER] = "true"
        for key, name in ((BATCHER_SIZE, "maxBatchSize"), (BATCHER_LATENCY, "maxLatency")):
            if batcher.get(name) is not None:
                found[key] = str(batcher[name])
    return found


def unbuilt(spec: Mapping[str, Any], settings: configuration.Configuration) -> str | None:
    """The part of a component's logger that does not run here, by its path in the spec, or None."""
    logger = spec.get("logger")
    if logger is None:
        return None
    for field in _BLOB_FIELDS:
        if logger.get(field) is not None:
            return f"logger.{field}, which is for events in blob storage,"
    url = logger.get("url") or _default_url(settings)
    if url.startswith(_BLOB_STORAGE):
        return f"logger.url {url}, which is blob storage,"
    if url.startswith("https") and objects.dig(settings, "logger", "caBundle"):
        return "logger.url with the caBundle of the ConfigMap inferenceservice-config"
    return None


def with_agent(
    pod: str, template: Mapping[str, Any], settings: configuration.Configuration
) -> Sequence[Object]:
    """A pod's containers: its template's, and the agent where the template asks for one.

    ``template`` is what the pod is made from (a revision), ``settings`` are KServe's own.
    """
    containers: Sequence[Object] = template["spec"]["containers"]
    asked = objects.annotations_of(template)
    wanted = LOGGER in asked or BATCHER in asked
    if not wanted or any(each["name"] == AGENT for each in containers):
        return containers
    arguments: list[str] = []
    if BATCHER in asked:
        arguments += _batcher(asked)
    if LOGGER in asked:
        arguments += _logger(pod, template, settings)
    component = component_of(containers)
    port = _port(component)
    probe = component.get("readinessProbe") or {}
    agent: Object = {
        "name": AGENT,
        "image": objects.dig(settings, "agent", "image", default=_IMAGE),
        "args": [*arguments, "--component-port", str(port)],
        "env": [{"name": "SERVING_READINESS_PROBE", "value": _probe(probe, port)}],
        "ports": [{"name": "agent-port", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {
                "httpHeaders": [{"name": "K-Network-Probe", "value": "queue"}],
                "path": objects.dig(probe, "httpGet", "path", default="/"),
                "port": AGENT_PORT,
                "scheme": "HTTP",
            }
        },
        "resources": _resources(settings),
    }
    if containers[0].get("securityContext") is not None:
        agent["securityContext"] = containers[0]["securityContext"]
    return [*containers, agent]


def component_of(containers: Iterable[Object]) -> Object:
    """The container that the agent stands in front of, and that takes requests where none does:
    the one with a port, else KServe's main one, else the first."""
    own = [each for each in containers if each["name"] != AGENT]
    with_port = [each for each in own if each.get("ports")]
    main = [each for each in own if each["name"] == vocabulary.MAIN_CONTAINER]
    return [*with_port, *main, *own][0]


def _batcher(asked: Mapping[str, str]) -> list[str]:
    arguments = ["--enable-batcher"]
    for flag, key in (("--max-batchsize", BATCHER_SIZE), ("--max-latency", BATCHER_LATENCY)):
        if key in asked:
            arguments += [flag, asked[key]]
    return arguments


def _logger(
    pod: str, template: Mapping[str, Any], settings: configuration.Configuration
) -> list[str]:
    asked, labels = objects.annotations_of(template), objects.labels_of(template)
    given = {
        "--log-url": asked.get(LOGGER_URL) or _default_url(settings),
        "--source-uri": pod,
        "--log-mode": asked.get(LOGGER_MODE) or "all",
        "--inference-service": labels.get(vocabulary.SERVICE_LABEL, ""),
        "--namespace": objects.namespace(template),
        "--endpoint": labels.get("endpoint", ""),
        "--component": labels.get(vocabulary.COMPONENT_LABEL, ""),
    }
    if LOGGER_HEADERS in asked:
        given["--metadata-headers"] = asked[LOGGER_HEADERS]
    if LOGGER_ANNOTATIONS in asked:
        names = [name for name in asked[LOGGER_ANNOTATIONS].split(",") if name in asked]
        given["--metadata-annotations"] = _line(f"{name}={asked[name]}" for name in names)
    certificate = objects.dig(settings, "logger", "caCertFile")
    if certificate:
        given["--logger-ca-cert-file"] = certificate
    skip = objects.dig(settings, "logger", "tlsSkipVerify", default=False)
    given["--logger-tls-skip-verify"] = json.dumps(skip)
    return [word for pair in given.items() for word in pair]


def _default_url(settings: configuration.Configuration) -> str:
    return str(objects.dig(settings, "logger", "defaultUrl", default=_DEFAULT_URL))


def _line(values: Iterable[str]) -> str:
    """Values as one flag, quoted where one has a comma; KServe's agent would stumble over it."""
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(list(values))
    return written.getvalue()


def _port(component: Mapping[str, Any]) -> int:
    ports = component.get("ports") or [{"containerPort": _COMPONENT_PORT}]
    return int(ports[0]["containerPort"])


def _probe(declared: Mapping[str, Any], port: int) -> str:
    """The component's probe, or the connection that Knative tries where it has none."""
    if declared.get("httpGet") is not None or declared.get("tcpSocket") is not None:
        return json.dumps(declared)
    return json.dumps({"tcpSocket": {"port": port, "host": "127.0.0.1"}, "successThreshold": 1})


def _resources(settings: configuration.Configuration) -> Object:
    """The agent's resources, as far as KServe's settings name them."""
    named = objects.dig(settings, "agent", default={})
    return {
        bound: {quantity: named[key] for quantity, key in keys.items() if named.get(key)}
        for bound, keys in _RESOURCES.items()
        if any(named.get(key) for key in keys.values())
    }
