"""The validating webhook: what KServe refuses, in its order and with its words.

Source: kserve ``pkg/apis/serving/v1beta1/inference_service_validation.go``.
The API server has checked the schema before, so types are as declared. What KServe does *not*
check here (the range of ``canaryTrafficPercent``, the scheme of ``storageUri``, whether a runtime
exists) shows up when the controller acts, as in KServe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from calumma.cluster import objects
from calumma.cluster.kserve import (
    canary,
    component_rules,
    configuration,
    multinode_rules,
    scaling_rules,
    storage_paths,
    vocabulary,
)

_NAME = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_NAME_FORMAT = "[a-z]([-a-z0-9]*[a-z0-9])?"
_AUTOSCALERS = ("hpa", "external", "keda", "none")
_BLOCKED_ENVIRONMENT = ("PYTHONPATH",)
_KEY_RESOURCE = re.compile(r"^kbs:///[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+$")


def problem(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str | None:
    """The first objection to storing ``new`` in place of ``old``, or None."""
    if objects.dig(new, "metadata", "deletionTimestamp"):
        return None
    if old is not None:
        for objection in (_mode_change(old, new), _predictor_rename(old, new)):
            if objection:
                return objection
    return next(_objections(new), None)


def _objections(isvc: Mapping[str, Any]) -> Iterator[str]:
    spec = isvc["spec"]
    if not _NAME.match(objects.name(isvc)):
        yield (
            f'the InferenceService "{objects.name(isvc)}" is invalid: a InferenceService name must '
            "consist of lower case alphanumeric characters or '-', and must start with "
            'alphabetical character. (e.g. "my-name" or "abc-123", regex used for validation is '
            f"'{_NAME_FORMAT}')"
        )
    autoscaler = objects.annotations_of(isvc).get(vocabulary.AUTOSCALER_CLASS)
    if autoscaler is not None and autoscaler not in _AUTOSCALERS:
        yield f"[{autoscaler}] is not a supported autoscaler class type"
    yield from _blocked_environment(isvc)
    yield from multinode_rules.objections(isvc)
    yield from _collocated_storage(spec["predictor"])
    yield from _standard_name(spec["predictor"])
    for component in ("transformer", "explainer", "predictor"):
        if spec.get(component) is not None:
            yield from storage_paths.objections(spec[component])
    yield from _confidential(spec["predictor"])
    for component in ("predictor", "transformer", "explainer"):
        if spec.get(component) is not None:
            yield from component_rules.objections(component, spec[component])
            yield from scaling_rules.objections(isvc, spec[component])
    yield from canary.objections(isvc)


def _blocked_environment(isvc: Mapping[str, Any]) -> Iterator[str]:
    for container in _containers(isvc["spec"]):
        for variable in container.get("env") or []:
            if variable.get("name") in _BLOCKED_ENVIRONMENT:
                yield (
                    f'the InferenceService "{objects.name(isvc)}" is invalid: setting '
                    f'{variable["name"]} in container "{container.get("name", "")}" is not '
                    "allowed for security reasons"
                )


def _containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Everything in an InferenceService that is a container, in KServe's order."""
    predictor = spec["predictor"]
    yield from _pod_containers(predictor)
    for key in ("model", *vocabulary.FRAMEWORKS):
        if isinstance(predictor.get(key), Mapping):
            yield predictor[key]
            break
    for pod in (predictor.get("workerSpec"), spec.get("transformer"), spec.get("explainer")):
        if pod is not None:
            yield from _pod_containers(pod)
    art = objects.dig(spec, "explainer", "art")
    if art is not None:
        yield art


def _pod_containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from pod.get("containers") or []
    yield from pod.get("initContainers") or []


def _collocated_storage(predictor: Mapping[str, Any]) -> Iterator[str]:
    for container in predictor.get("containers") or []:
        if container.get("name") == vocabulary.TRANSFORMER_CONTAINER:
            if any(v.get("name") == "STORAGE_URI" for v in container.get("env") or []):
                yield "storage uri should not be specified in transformer container"
            return


def _standard_name(predictor: Mapping[str, Any]) -> Iterator[str]:
    for key in (*vocabulary.FRAMEWORKS, "model"):
        if objects.dig(predictor, key, "name"):
            yield "the 'name' field is not allowed in standard predictor"


def _confidential(predictor: Mapping[str, Any]) -> Iterator[str]:
    confidential = objects.dig(predictor, "model", "confidential", default={})
    if not confidential.get("enabled"):
        return
    if not storage_paths.single_uri(predictor):
        yield "confidential model serving requires storageUri to be set"
    resource = confidential.get("resourceId")
    if resource and not _KEY_RESOURCE.match(resource):
        yield (
            f'spec.predictor.confidential.resourceId: Invalid value: "{resource}": must be in the '
            "format kbs:///<repo>/<type>/<tag>"
        )


def _mode_change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    recorded = configuration.normal_mode(objects.dig(old, "status", "deploymentMode", default=""))
    asked = objects.annotations_of(new).get(vocabulary.DEPLOYMENT_MODE)
    if not recorded or asked is None or asked == recorded:
        return None
    return f"update rejected: deploymentMode cannot be changed from '{recorded}' to '{asked}'"


def _predictor_rename(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    def identity(isvc: Mapping[str, Any]) -> tuple[str, str]:
        predictor = objects.dig(isvc, "spec", "predictor", default={})
        return predictor.get("name", ""), storage_paths.single_uri(predictor) or ""

    (old_name, old_uri), (new_name, new_uri) = identity(old), identity(new)
    if old_name != new_name and old_uri == new_uri:
        return "predictor.name change requires a model change (e.g. storageUri)"
    return None
