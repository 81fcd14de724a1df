"""InferenceServices as people write them, and what KServe's webhooks make of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from calumma import errors
from calumma.cluster.kserve import admission
from calumma.cluster.objects import Object

MODEL = {"modelFormat": {"name": "triton"}, "storageUri": "s3://m/v1"}
CONTAINER = {"name": "kserve-container", "image": "i"}

MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER = "serving.kserve.io/autoscalerClass"
STANDARD = {MODE: "Standard"}


def isvc(
    predictor: Object | None = None,
    *,
    name: str = "digits",
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Object:
    """An InferenceService; without a predictor it has a Triton model."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations or {}},
        "spec": {"predictor": {"model": dict(MODEL)} if predictor is None else predictor, **spec},
    }


def model(**fields: Any) -> Object:
    """A predictor with a Triton model and fields beside it."""
    return {"model": dict(MODEL), **fields}


def mutated(new: Object, settings: dict[str, Any] | None = None) -> Object:
    """What the defaulting webhook stores."""
    return admission.mutate(None, new, "CREATE", settings or {})


def refused(new: Object, old: Object | None = None) -> str:
    """The validating webhook's words against storing ``new`` in place of ``old``."""
    operation = "CREATE" if old is None else "UPDATE"
    defaulted = admission.mutate(old, copy.deepcopy(new), operation, {})
    with pytest.raises(errors.AdmissionDenied) as denied:
        admission.validate(old, defaulted, operation, {})
    assert denied.value.webhook == "inferenceservice.kserve-webhook-server.validator"
    return str(denied.value)
