"""Which ServingRuntime serves a model: by name where one is given, else by format and protocol.

Source: kserve ``pkg/apis/serving/v1beta1/predictor_model.go`` and
``components/predictor.go`` (``reconcileModel``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.objects import Object

_PROTOCOLS = ("v1", "v2", "grpc-v1", "grpc-v2")
_SERVER_TYPE = "serving.kserve.io/server-type"


class Runtimes(NamedTuple):
    """The runtimes that an InferenceService of one namespace can see."""

    namespaced: Sequence[Object]
    cluster: Sequence[Object]


class Selection(NamedTuple):
    """The runtime that was chosen, and whether it is a ClusterServingRuntime."""

    runtime: Object
    is_cluster: bool

    @property
    def server_type(self) -> str:
        """What KServe's annotation says the runtime is, such as ``tritonserver``."""
        declared = objects.annotations_of(self.runtime).get(_SERVER_TYPE)
        return declared or objects.name(self.runtime).removeprefix("kserve-")


def select(model: Mapping[str, Any], runtimes: Runtimes) -> Selection:
    """The runtime for ``spec.predictor.model``.

    Raises errors.InvalidSpec when the named runtime does not fit or when none does.
    """
    name = model.get("runtime")
    return _named(name, model, runtimes) if name else _automatic(model, runtimes)


def lowest_protocol(runtime: Mapping[str, Any]) -> int:
    """The rank of the runtime's first protocol (v1 before v2 before the gRPC ones)."""
    declared = objects.dig(runtime, "spec", "protocolVersions", default=[])
    ranks = [_PROTOCOLS.index(p) for p in declared if p in _PROTOCOLS]
    return min(ranks, default=len(_PROTOCOLS))


def _named(name: str, model: Mapping[str, Any], runtimes: Runtimes) -> Selection:
    candidates = [Selection(each, False) for each in runtimes.namespaced]
    candidates += [Selection(each, True) for each in runtimes.cluster]
    found = next((c for c in candidates if objects.name(c.runtime) == name), None)
    if found is None:
        raise errors.InvalidSpec(
            f"No ServingRuntimes or ClusterServingRuntimes with the name: {name}",
            "RuntimeNotRecognized",
            "Waiting for runtime to become available",
        )
    if objects.dig(found.runtime, "spec", "disabled", default=False):
        raise errors.InvalidSpec(
            f"specified runtime {name} is disabled",
            "RuntimeDisabled",
            "Specified runtime is disabled",
        )
    protocol = model.get("protocolVersion")
    if protocol is not None and not _speaks(found.runtime, protocol):
        what = "does not support specified protocol version"
        raise errors.InvalidSpec(
            f"specified runtime {name} {what}", "NoSupportingRuntime", f"Specified runtime {what}"
        )
    if not _serves(found.runtime, model, named=True):
        what = "does not support specified framework/version"
        raise errors.InvalidSpec(
            f"specified runtime {name} {what}", "NoSupportingRuntime", f"Specified runtime {what}"
        )
    return found


def _automatic(model: Mapping[str, Any], runtimes: Runtimes) -> Selection:
    for candidates, is_cluster in ((runtimes.namespaced, False), (runtimes.cluster, True)):
        fitting = [each for each in _in_order(candidates) if _fits(each, model)]
        priorities = [_priority(each, model) for each in fitting]
        if fitting:
            best = max(range(len(fitting)), key=lambda i: (priorities[i], -i))
            return Selection(fitting[best], is_cluster)
    raise errors.InvalidSpec(
        f"no runtime found to support predictor with model type: {_format_text(model)}",
        "NoSupportingRuntime",
        "No runtime found to support specified framework/version",
    )


def _in_order(candidates: Sequence[Object]) -> list[Object]:
    """By lowest protocol, then the newest first, then by name."""
    by_name = sorted(candidates, key=objects.name)
    by_age = sorted(
        by_name, key=lambda r: str(objects.dig(r, "metadata", "creationTimestamp")), reverse=True
    )
    return sorted(by_age, key=lowest_protocol)


def _fits(runtime: Object, model: Mapping[str, Any]) -> bool:
    spec = objects.dig(runtime, "spec", default={})
    return (
        not spec.get("disabled")
        and not spec.get("multiModel")
        and spec.get("workerSpec") is None
        and _serves(runtime, model, named=False)
        and _speaks(runtime, model.get("protocolVersion", "v1"))
    )


def _speaks(runtime: Mapping[str, Any], protocol: str) -> bool:
    declared = objects.dig(runtime, "spec", "protocolVersions", default=[])
    return not declared or protocol in declared


def _serves(runtime: Mapping[str, Any], model: Mapping[str, Any], *, named: bool) -> bool:
    """Whether a format matches; without a runtime's name only those with ``autoSelect`` count."""
    name, version = model["modelFormat"]["name"], model["modelFormat"].get("version")
    return any(
        (named or supported.get("autoSelect"))
        and supported["name"] == name
        and version in (None, supported.get("version"))
        for supported in objects.dig(runtime, "spec", "supportedModelFormats", default=[])
    )


def _priority(runtime: Mapping[str, Any], model: Mapping[str, Any]) -> float:
    """The priority of the first entry for the model's format; none comes after any."""
    for supported in objects.dig(runtime, "spec", "supportedModelFormats", default=[]):
        if supported["name"] == model["modelFormat"]["name"]:
            priority = supported.get("priority")
            return float("-inf") if priority is None else float(priority)
    return float("-inf")


def _format_text(model: Mapping[str, Any]) -> str:
    """The format as Go prints the struct: ``{onnx <nil>}``; a version is an address there."""
    version = model["modelFormat"].get("version")
    return f"{{{model['modelFormat']['name']} {'<nil>' if version is None else version}}}"
