"""KServe's own settings: the ConfigMap ``inferenceservice-config`` of the namespace ``kserve``.

Every value of the ConfigMap is a JSON text. The one-machine cluster ships a ConfigMap without
default resources, because it does not enforce limits: a laptop would not run Triton within the
512 MiB that many manifests ask for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import vocabulary

NAMESPACE = "kserve"
NAME = "inferenceservice-config"

_LEGACY_MODES = {"Serverless": "Knative", "RawDeployment": "Standard"}
MODES = frozenset({"Knative", "Standard", "ModelMesh"})

Configuration = Mapping[str, Any]
"""The ConfigMap's keys, each with its parsed JSON."""


def parse(config_map: Mapping[str, Any] | None) -> Configuration:
    """The settings in a ConfigMap; none when there is no ConfigMap.

    Raises ConfigurationError when a value is not JSON, naming the key.
    """
    settings = {}
    for key, text in objects.dig(config_map, "data", default={}).items():
        if key.startswith("_"):
            continue
        try:
            settings[key] = json.loads(text)
        except ValueError as error:
            raise errors.ConfigurationError(
                f"The key {key!r} of the ConfigMap {NAMESPACE}/{NAME} is not JSON ({error}). "
                "Every value there is a JSON text."
            ) from error
    return settings


def normal_mode(mode: str) -> str:
    """A deployment mode in today's words: ``Serverless`` is ``Knative``, ``RawDeployment`` is
    ``Standard``."""
    return _LEGACY_MODES.get(mode, mode)


def default_mode(configuration: Configuration) -> str:
    """The mode of an InferenceService that asks for none."""
    mode = objects.dig(configuration, "deploy", "defaultDeploymentMode", default="Knative")
    return normal_mode(str(mode))


def deployment_mode(isvc: Mapping[str, Any], configuration: Configuration) -> str:
    """The mode that applies: the status' over the annotation's over the ConfigMap's."""
    recorded = objects.dig(isvc, "status", "deploymentMode", default="")
    if recorded:
        return normal_mode(recorded)
    asked = normal_mode(objects.annotations_of(isvc).get(vocabulary.DEPLOYMENT_MODE, ""))
    return asked if asked in MODES else default_mode(configuration)
