"""The rules of ``spec.canary``, KServe's canary for Standard mode (since 0.20).

Source: kserve ``validateCanarySpecs`` in ``inference_service_validation.go``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from calumma.cluster import objects
from calumma.cluster.kserve import component_rules, storage_paths, vocabulary

_FIXED_REPLICAS = ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")


def objections(isvc: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the canaries of an InferenceService, in KServe's order."""
    canaries = objects.dig(isvc, "spec", "canary", default=[])
    if not canaries:
        return
    stable = isvc["spec"]["predictor"]
    if objects.annotations_of(isvc).get(vocabulary.DEPLOYMENT_MODE) != "Standard":
        yield "canary is only supported in Standard deployment mode"
    if storage_paths.single_uri(stable) is None and stable.get("model") is None:
        yield (
            "canary requires a stable predictor with a model (multi-model serving is not "
            "supported with canary)"
        )
    seen: set[str] = set()
    for index, entry in enumerate(canaries):
        yield from _entry(index, entry, stable, seen)
        seen.add(entry["predictor"].get("name", ""))
    total = sum(entry["trafficPercent"] for entry in canaries)
    if total > 100:
        yield f"sum of canary trafficPercent values ({total}) must be <= 100"


def _entry(
    index: int, entry: Mapping[str, Any], stable: Mapping[str, Any], seen: set[str]
) -> Iterator[str]:
    predictor = entry["predictor"]
    name = predictor.get("name", "")
    if not name:
        yield f"canary[{index}] predictor.name is required"
    if name in seen:
        yield f'canary predictor.name "{name}" is duplicated'
    if name == stable.get("name", ""):
        yield f'canary predictor.name "{name}" conflicts with stable predictor name'
    percent = entry["trafficPercent"]
    if not 0 <= percent <= 100:
        yield f'canary "{name}" trafficPercent must be between 0 and 100, got {percent}'
    for objection in component_rules.objections("predictor", predictor):
        yield f'canary "{name}" predictor: {objection}'
    if predictor.get("workerSpec") is not None:
        yield (
            f'canary "{name}" must not set workerSpec (multi-node is not yet supported for canary)'
        )
    for field in _FIXED_REPLICAS:
        # In Go an integer that is not given is 0; the others are pointers.
        if predictor.get(field) is not None and (field, predictor[field]) != ("maxReplicas", 0):
            yield f'canary "{name}" must not set {field} (canary uses fixed replicas)'
    replicas = predictor.get("minReplicas")
    stable_replicas = objects.dig(stable, "minReplicas", default=1)
    if replicas is not None and replicas > stable_replicas:
        yield (
            f'canary "{name}" minReplicas ({replicas}) must not exceed stable predictor '
            f"minReplicas ({stable_replicas})"
        )
