"""A component's Knative Service: template, autoscaling annotations and traffic.

Source: kserve ``reconcilers/knative/ksvc_reconciler.go`` and ``v1alpha1/utils/utils.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calumma.cluster import objects
from calumma.cluster.knative import revision, route
from calumma.cluster.kserve import injection, predictor, storage_paths, traffic, vocabulary
from calumma.cluster.objects import Object

KPA = "kpa.autoscaling.knative.dev"


def service(
    isvc: Object, component: vocabulary.Component, built: predictor.Template, latest: str
) -> Object:
    """The Knative Service of one component; ``latest`` is its latest rolled out revision."""
    spec = isvc["spec"][component]
    scaled = own_annotations(isvc, component, built)
    set_scaling(scaled, spec)
    managed = {key: scaled.pop(key) for key in (vocabulary.ROLLOUT_DURATION,) if key in scaled}
    own = own_labels(isvc, component, built)
    tags = scaled.get(vocabulary.TAG_ROUTING) == "true"
    pod_spec = dict(built.pod_spec)
    if spec.get("timeout") is not None:
        pod_spec["timeoutSeconds"] = pod_spec["responseStartTimeoutSeconds"] = spec["timeout"]
    if spec.get("containerConcurrency") is not None:
        pod_spec["containerConcurrency"] = spec["containerConcurrency"]
    template_labels = {k: v for k, v in own.items() if k != route.VISIBILITY_LABEL}
    return {
        "apiVersion": revision.API_VERSION,
        "kind": "Service",
        "metadata": {
            "name": vocabulary.service_name(isvc, component),
            "namespace": objects.namespace(isvc),
            "labels": own,
            "annotations": managed,
            "ownerReferences": [objects.owner(isvc)],
        },
        "spec": {
            "template": {
                "metadata": {"labels": template_labels, "annotations": scaled},
                "spec": pod_spec,
            },
            "traffic": traffic.targets(spec.get("canaryTrafficPercent"), latest, tags=tags),
        },
    }


def own_labels(
    isvc: Mapping[str, Any], component: vocabulary.Component, built: predictor.Template
) -> dict[str, str]:
    """A component's labels: the runtime's, the object's, its own, KServe's, in that order."""
    return {
        **built.labels,
        **objects.labels_of(isvc),
        **(isvc["spec"][component].get("labels") or {}),
        vocabulary.SERVICE_LABEL: objects.name(isvc),
        vocabulary.COMPONENT_LABEL: component,
    }


def own_annotations(
    isvc: Mapping[str, Any], component: vocabulary.Component, built: predictor.Template
) -> dict[str, str]:
    """A component's annotations: the runtime's, the object's, its own, in that order."""
    spec = isvc["spec"][component]

    def allowed(given: Mapping[str, str]) -> dict[str, str]:
        return {k: v for k, v in given.items() if k not in vocabulary.NOT_PROPAGATED}

    found = {**allowed(built.annotations), **allowed(objects.annotations_of(isvc))}
    found.update(injection.as_annotations(spec))
    uri = storage_paths.single_uri(spec)
    if uri is not None:
        found[vocabulary.STORAGE_URI] = uri
    found.update(allowed(spec.get("annotations") or {}))
    return found


def set_scaling(annotations: dict[str, str], spec: Mapping[str, Any]) -> None:
    """Add what Knative's autoscaler reads, from the fields of a component or a graph."""
    annotations.setdefault(vocabulary.KNATIVE_AUTOSCALING_CLASS, KPA)
    for field, annotation in (
        ("scaleTarget", vocabulary.SCALE_TARGET),
        ("scaleMetric", vocabulary.SCALE_METRIC),
    ):
        if spec.get(field) is not None:
            annotations[annotation] = str(spec[field])
    annotations[vocabulary.MIN_SCALE] = str(objects.dig(spec, "minReplicas", default=1))
    if spec.get("maxReplicas"):
        annotations[vocabulary.MAX_SCALE] = str(spec["maxReplicas"])
