"""The URL at which an InferenceService predicts, as a step of an InferenceGraph asks it.

Source: kserve ``inferenceservice/utils/utils.go`` (``GetPredictorEndpoint``, ``GetModelName``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import runtimes, vocabulary

_PATHS = {"v1": "/v1/models/{}:predict", "v2": "/v2/models/{}/infer"}
_PROTOCOL, _MULTI_MODEL, _MLSERVER_NAME = "PROTOCOL", "MULTI_MODEL_SERVER", "MLSERVER_MODEL_NAME"
_MODEL_NAME = "--model_name"


def url(isvc: Mapping[str, Any], seen: runtimes.Runtimes) -> str:
    """Where an InferenceService's model predicts: its address and the path of its protocol.

    Raises ServiceUnavailable while it has no address, ReconcileFailed where it speaks no protocol
    that a graph can.
    """
    address = objects.dig(isvc, "status", "address", "url")
    if not address:
        raise errors.ServiceUnavailable(f"service {objects.name(isvc)} is not ready")
    path = _PATHS.get(_protocol(isvc, seen) or "", "")
    return f"{address}{path.format(model_name(isvc))}"


def model_name(isvc: Mapping[str, Any]) -> str:
    """The model's name: the one that the server's arguments give, else the service's."""
    found = _argument(_first(objects.dig(isvc, "spec", "transformer", "containers")))
    model = objects.dig(isvc, "spec", "predictor", "model")
    if not found and model is not None:
        named = _environment(model).get(_MLSERVER_NAME)
        if named is not None:
            return named
        found = _argument(model)
    elif not found:
        found = _argument(_first(objects.dig(isvc, "spec", "predictor", "containers")))
    return found or objects.name(isvc)


def _protocol(isvc: Mapping[str, Any], seen: runtimes.Runtimes) -> str | None:
    """The protocol of the entrance; None for a server of several models, which has no path."""
    transformer = objects.dig(isvc, "spec", "transformer")
    if transformer is not None:
        return _environment(_first(transformer.get("containers"))).get(_PROTOCOL, "v1")
    predictor = isvc["spec"]["predictor"]
    model = predictor.get("model")
    if model is None:
        return _custom_protocol(predictor.get("containers") or [])
    formats = objects.dig(model, "modelFormat", "name", default="")
    stored = any(model.get(key) for key in ("storageUri", "storage")) or predictor.get(
        "storageUris"
    )
    if not stored and formats != "huggingface" and not predictor.get("containers"):
        return None
    protocol = str(model.get("protocolVersion") or "v1")
    return _runtime_protocol(model["runtime"], seen, protocol) if model.get("runtime") else protocol


def _custom_protocol(containers: Sequence[Mapping[str, Any]]) -> str | None:
    first = _first(containers)
    if _environment(first).get(_MULTI_MODEL) == "true":
        return None
    collocated = (c for c in containers if c.get("name") == vocabulary.TRANSFORMER_CONTAINER)
    return _environment(next(collocated, first)).get(_PROTOCOL, "v1")


def _runtime_protocol(name: str, seen: runtimes.Runtimes, otherwise: str) -> str:
    runtime = next(
        (r for r in (*seen.namespaced, *seen.cluster) if objects.name(r) == name),
        None,
    )
    if runtime is None:
        raise errors.ReconcileFailed(
            f"No ServingRuntimes or ClusterServingRuntimes with the name: {name}"
        )
    declared = objects.dig(runtime, "spec", "protocolVersions", default=[])
    if not declared:
        return otherwise
    found = next((each for each in declared if each in _PATHS), None)
    if found is None:
        raise errors.ReconcileFailed(
            "the runtime does not support a protocol compatible with Inference Graphs"
        )
    return str(found)


def _first(containers: Sequence[Mapping[str, Any]] | None) -> Mapping[str, Any]:
    return containers[0] if containers else {}


def _environment(container: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container.get("env") or []}


def _argument(container: Mapping[str, Any]) -> str:
    """The value of ``--model_name``, the last where there are several; empty for none."""
    arguments = container.get("args") or []
    found = ""
    for index, argument in enumerate(arguments):
        if not argument.startswith(_MODEL_NAME):
            continue
        _, equals, value = argument.partition("=")
        if equals:
            found = value
        elif index + 1 < len(arguments) and not arguments[index + 1].startswith("--"):
            found = arguments[index + 1]
    return found
