"""The mutating webhook: what KServe fills in before an InferenceService is stored.

Required structs that are missing are stored empty, because that is how Go writes them.
Source: kserve ``pkg/apis/serving/v1beta1/inference_service_defaults.go``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from calumma.cluster import objects
from calumma.cluster.kserve import configuration as configuration_room
from calumma.cluster.kserve import vocabulary
from calumma.cluster.objects import Object

_V2_FRAMEWORKS = frozenset({"triton", "onnx", "huggingface"})
_V2_FORMATS = frozenset({"triton", "vLLM"})


def default(isvc: Mapping[str, Any], settings: configuration_room.Configuration) -> Object:
    """The object with KServe's defaults; the argument is left as it is."""
    defaulted = copy.deepcopy(dict(isvc))
    _default_mode(defaulted, settings)
    spec = defaulted.setdefault("spec", {"predictor": {}})
    predictor = objects.dig(defaulted, "spec", "predictor")
    if not isinstance(spec, dict) or not isinstance(predictor, dict):
        return defaulted
    framework_to_model(predictor)
    _default_model(defaulted, predictor)
    if not isinstance(predictor.get("model"), dict):
        _default_containers(predictor, settings, always_name=False)
    for component in ("transformer", "explainer"):
        if isinstance(spec.get(component), dict):
            _default_containers(spec[component], settings, always_name=True)
    if objects.dig(settings, "security", "autoMountServiceAccountToken") is False:
        for component in ("predictor", "transformer", "explainer"):
            if isinstance(spec.get(component), dict):
                spec[component].setdefault("automountServiceAccountToken", False)
    return defaulted


def _default_mode(isvc: Object, settings: configuration_room.Configuration) -> None:
    annotations = objects.annotations_of(isvc)
    asked = annotations.get(vocabulary.DEPLOYMENT_MODE)
    fallback = configuration_room.default_mode(settings)
    if asked is not None:
        annotations[vocabulary.DEPLOYMENT_MODE] = configuration_room.normal_mode(asked)
    elif fallback != "Knative":
        annotations[vocabulary.DEPLOYMENT_MODE] = fallback
    else:
        return
    isvc["metadata"]["annotations"] = annotations


def framework_to_model(predictor: Object) -> None:
    """Rewrite the first framework key as ``model``, replacing a ``model`` that is there."""
    for framework in vocabulary.FRAMEWORKS:
        if isinstance(predictor.get(framework), dict):
            rest = predictor.pop(framework)
            if framework in _V2_FRAMEWORKS:
                rest.setdefault("protocolVersion", "v2")
            predictor["model"] = {"modelFormat": {"name": framework}, **rest}
            return


def _default_model(isvc: Object, predictor: Object) -> None:
    if isinstance(predictor.get("model"), dict):
        predictor["model"].setdefault("modelFormat", {"name": ""})
    name = objects.dig(predictor, "model", "modelFormat", "name")
    if not isinstance(name, str) or not name:
        return
    if name in _V2_FORMATS:
        predictor["model"].setdefault("protocolVersion", "v2")
    annotations = objects.annotations_of(isvc)
    annotations.setdefault(vocabulary.MODEL_FORMAT, name)
    isvc["metadata"]["annotations"] = annotations


def _default_containers(
    component: Object, settings: configuration_room.Configuration, *, always_name: bool
) -> None:
    """Name the first container ``kserve-container`` and give it the default resources."""
    containers = component.get("containers")
    if not isinstance(containers, list) or not containers or not isinstance(containers[0], dict):
        return
    first = containers[0]
    if always_name or len(containers) == 1 or not first.get("name"):
        first["name"] = vocabulary.MAIN_CONTAINER
    _default_resources(first, settings)


def _default_resources(container: Object, settings: configuration_room.Configuration) -> None:
    resource = objects.dig(settings, "inferenceService", "resource", default={})
    wanted = {
        "requests": {"cpu": "cpuRequest", "memory": "memoryRequest"},
        "limits": {"cpu": "cpuLimit", "memory": "memoryLimit"},
    }
    for bound, quantities in wanted.items():
        for quantity, key in quantities.items():
            if resource.get(key):
                declared = container.setdefault("resources", {}).setdefault(bound, {})
                declared.setdefault(quantity, resource[key])
