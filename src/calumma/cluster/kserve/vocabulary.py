"""KServe's words: labels, annotations, container names and the names of a component's objects.

Source: kserve ``pkg/constants/constants.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from calumma.cluster import objects
from calumma.cluster.knative import revision

Component = Literal["predictor", "transformer"]
COMPONENTS: tuple[Component, ...] = ("predictor", "transformer")

API_VERSION = "serving.kserve.io/v1beta1"
FINALIZER = "inferenceservice.finalizers"

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
GRAPH_LABEL = "serving.kserve.io/inferencegraph"
KIND_LABEL = "serving.kserve.io/kind"
COMPONENT_LABEL = "component"

DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
TAG_ROUTING = "serving.kserve.io/enable-tag-routing"
STOP = "serving.kserve.io/stop"
DISABLE_AUTO_UPDATE = "serving.kserve.io/disable-auto-update"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
STORAGE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"
MODEL_FORMAT = "modelFormat"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KNATIVE_AUTOSCALING_CLASS = "autoscaling.knative.dev/class"
MIN_SCALE = revision.MIN_SCALE
MAX_SCALE = "autoscaling.knative.dev/max-scale"
SCALE_TARGET = "autoscaling.knative.dev/target"
SCALE_METRIC = "autoscaling.knative.dev/metric"
ROLLOUT_DURATION = "serving.knative.dev/rollout-duration"

NOT_PROPAGATED = frozenset({MIN_SCALE, MAX_SCALE, STORAGE_URI, LAST_APPLIED, MODEL_FORMAT})
"""Annotations of the InferenceService that stay out of its components' templates."""

MAIN_CONTAINER = "kserve-container"
TRANSFORMER_CONTAINER = "transformer-container"
STORAGE_INITIALIZER = "storage-initializer"
MODEL_MOUNT = "/mnt/models"

FRAMEWORKS = (
    "sklearn",
    "tensorflow",
    "xgboost",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)
"""The predictor's framework keys, in the order in which the defaulter looks for them."""


def service_name(isvc: Mapping[str, Any], component: Component) -> str:
    """The name of a component's Knative Service."""
    if component == "predictor":
        variant = objects.dig(isvc, "spec", "predictor", "name", default="")
        if variant:
            return f"{objects.name(isvc)}-{variant}-predictor"
    return f"{objects.name(isvc)}-{component}"


def is_stopped(isvc: Mapping[str, Any]) -> bool:
    """Whether the stop annotation asks for no processes at all."""
    return objects.annotations_of(isvc).get(STOP, "").lower() == "true"


def component_of(obj: Mapping[str, Any]) -> Component | None:
    """The component that an object belongs to by its label, or None."""
    label = objects.labels_of(obj).get(COMPONENT_LABEL)
    return next((component for component in COMPONENTS if component == label), None)
