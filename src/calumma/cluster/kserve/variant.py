"""The predictor's variants in Standard mode: the stable one and its canaries.

A canary is written as what differs from the stable predictor. This room lays it over, counts its
pods, and divides the traffic. :mod:`.canary` has checked the numbers.
Source: kserve ``components/predictor.go`` (``buildCanaryPredictor``, ``canaryReplicaCount``,
``adjustStableMinReplicasForCanaries``) and ``applyCanaryWeights`` in
``reconcilers/ingress/httproute_reconciler.go``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from calumma.cluster import objects
from calumma.cluster.kserve import defaults, vocabulary
from calumma.cluster.objects import Object

MOST = 100
"""Pods of one component; one machine runs no more processes than that."""

_SCALING = ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")


class Variant(NamedTuple):
    """One canary: its name, its share in percent, and the InferenceService as it would be with the
    canary as its predictor."""

    name: str
    percent: int
    isvc: Object

    @property
    def deployment(self) -> str:
        """The name of its Deployment and its Service."""
        return vocabulary.service_name(self.isvc, "predictor")

    @property
    def replicas(self) -> int:
        """How many pods it has."""
        return replicas(self.isvc["spec"]["predictor"])


def replicas(component: Mapping[str, Any]) -> int:
    """How many pods a component has: its minimum, and at least one, as with an autoscaler."""
    return max(1, int(objects.dig(component, "minReplicas", default=1)))


def canaries(isvc: Mapping[str, Any]) -> list[Variant]:
    """The canaries of ``spec.canary``."""
    stable = isvc["spec"]["predictor"]
    found = []
    for entry in objects.dig(isvc, "spec", "canary", default=[]):
        own = dict(entry["predictor"])
        defaults.framework_to_model(own)
        predictor = overlay(stable, own)
        for field in _SCALING:
            predictor.pop(field, None)
        predictor["minReplicas"] = _pods(stable, entry)
        name = str(entry["predictor"]["name"])
        spec = {**isvc["spec"], "predictor": predictor}
        found.append(Variant(name, int(entry["trafficPercent"]), {**isvc, "spec": spec}))
    return found


def overlay(stable: Mapping[str, Any], canary: Mapping[str, Any]) -> Object:
    """The stable predictor with what the canary sets.

    Objects are merged, everything else is replaced, lists as a whole, and a value that is empty
    (null, ``""``, 0, false, ``[]``) replaces nothing: this is how Go's ``mergo`` merges structs.
    """
    merged = dict(stable)
    for key, value in canary.items():
        present = merged.get(key)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            merged[key] = overlay(present, value)
        elif key not in merged or value:
            merged[key] = value
    return merged


def stable_replicas(
    isvc: Mapping[str, Any], variants: Sequence[Variant], ready: Collection[str]
) -> int:
    """The stable predictor's pods: fewer by those of its ready canaries, and at least one."""
    least = replicas(isvc["spec"]["predictor"])
    return max(1, least - sum(each.replicas for each in variants if each.name in ready))


def shares(
    stable: str, variants: Sequence[Variant], ready: Collection[str]
) -> list[tuple[str, int]]:
    """The traffic by Deployment: a canary that is not ready gets none, and the stable one gets what
    is left."""
    taking = [(each.deployment, each.percent) for each in variants if each.name in ready]
    return [(stable, 100 - sum(percent for _, percent in taking)), *taking]


def _pods(stable: Mapping[str, Any], entry: Mapping[str, Any]) -> int:
    """The pods of a canary: as many as it asks for, else its share of the stable predictor's."""
    asked = objects.dig(entry, "predictor", "minReplicas")
    if asked is not None:
        return int(asked)
    least = int(objects.dig(stable, "minReplicas", default=1))
    return math.ceil(least * int(entry["trafficPercent"]) / 100)
