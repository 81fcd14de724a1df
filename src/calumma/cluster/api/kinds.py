"""The kinds that the cluster serves, as rows.

A kind that nothing runs yet is listed and empty, as on a cluster that does not use it, and creating
one is refused by name. Columns are those of Kubernetes, KServe and Knative.
"""

from __future__ import annotations

from typing import Any, Final

from calumma.cluster.api import names
from calumma.cluster.api.resources import AGE, CUSTOM, NODE, Catalog, Column, Resource

_READY: Final = ".status.conditions[?(@.type=='Ready')]"
_URL: Final = Column("URL", "string", ".status.url")
_READY_STATUS: Final = Column("Ready", "string", f"{_READY}.status")
_READY_REASON: Final = Column("Reason", "string", f"{_READY}.reason")
_NO_RUNNER: Final = (
    "nothing runs this kind on the one-machine cluster yet; it runs InferenceService and "
    "InferenceGraph, with ServingRuntime, ClusterServingRuntime and ClusterStorageContainer"
)
_NO_CLAIM: Final = (
    "claims are folders on the one-machine cluster: `calumma up` maps them, and "
    "pvc://CLAIM/PATH finds them without an object"
)
_NO_ENTRY: Final = (
    "its containers are processes of this machine and cannot be entered from the API; "
    "`kubectl logs` shows what they write, `calumma status` their process ids"
)
_NO_TUNNEL: Final = (
    "the one-machine cluster has no tunnels; requests to an InferenceService go to the gateway, at "
    "its status.url"
)
_NO_SCALER: Final = (
    "nothing on the one-machine cluster acts on it; InferenceServices scale as Knative decides, by "
    "their minReplicas, maxReplicas and scaleTarget"
)


def _core(plural: str, kind: str, **facts: Any) -> Resource:
    """A kind of Kubernetes' core group."""
    return Resource("", "v1", plural, kind.lower(), kind, **facts)


_INVOLVED: Final = "kind namespace name uid apiVersion resourceVersion fieldPath"
_EVENT_FIELDS: Final = {
    **{f"involvedObject.{field}": ("involvedObject", field) for field in _INVOLVED.split()},
    "reason": ("reason",),
    "reportingComponent": ("reportingComponent",),
    "source": ("source", "component"),
    "type": ("type",),
}
_POD_FIELDS: Final = {
    "spec.nodeName": ("spec", "nodeName"),
    "spec.restartPolicy": ("spec", "restartPolicy"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
    "status.phase": ("status", "phase"),
    "status.podIP": ("status", "podIP"),
}

CONFIG_MAPS: Final = _core("configmaps", "ConfigMap", schema="V1ConfigMap", short_names=("cm",))
EVENTS: Final = _core(
    "events", "Event", schema="CoreV1Event", short_names=("ev",), fields=_EVENT_FIELDS
)
NAMESPACES: Final = _core(
    "namespaces",
    "Namespace",
    namespaced=False,
    schema="V1Namespace",
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=("status",),
    name_rule=names.dns_label,
    fields={"name": ("metadata", "name"), "status.phase": ("status", "phase")},
)
_CORE: Final = (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    _core(
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        schema="V1PersistentVolumeClaim",
        short_names=("pvc",),
        refusal=_NO_CLAIM,
    ),
    _core(
        "pods",
        "Pod",
        schema="V1Pod",
        short_names=("po",),
        categories=("all",),
        subresources=("log", "status"),
        fields=_POD_FIELDS,
        writer=NODE,
        refused_parts={
            "attach": _NO_ENTRY,
            "exec": _NO_ENTRY,
            "portforward": _NO_TUNNEL,
        },
    ),
    _core("secrets", "Secret", schema="V1Secret", fields={"type": ("type",)}),
    _core("serviceaccounts", "ServiceAccount", schema="V1ServiceAccount", short_names=("sa",)),
    _core(
        "services",
        "Service",
        schema="V1Service",
        short_names=("svc",),
        categories=("all",),
        subresources=("status",),
        writer=NODE,
    ),
)
SCALERS: Final = Resource(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "horizontalpodautoscaler",
    "HorizontalPodAutoscaler",
    schema="V2HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=("status",),
    refusal=_NO_SCALER,
)


def _apps(plural: str, kind: str, short_name: str) -> Resource:
    """A kind of Kubernetes' group ``apps``, which only the node writes."""
    return Resource(
        "apps",
        "v1",
        plural,
        kind.lower(),
        kind,
        short_names=(short_name,),
        categories=("all",),
        subresources=("status",),
        writer=NODE,
    )


_APPS: Final = (
    _apps("deployments", "Deployment", "deploy"),
    _apps("replicasets", "ReplicaSet", "rs"),
)


def _review(group: str, plural: str, kind: str) -> Resource:
    """A question that is answered when it is posted, and not stored."""
    facts: Any = {"namespaced": False, "verbs": ("create",), "schema": f"V1{kind}"}
    return Resource(group, "v1", plural, kind.lower(), kind, **facts)


_REVIEWS: Final = (
    _review("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    _review("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
)
DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "customresourcedefinition",
    "CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    verbs=("get", "list"),
)


def _knative(plural: str, kind: str, short_names: tuple[str, ...], *columns: Column) -> Resource:
    """A kind of Knative Serving, which only the node writes."""
    return Resource(
        "serving.knative.dev",
        "v1",
        plural,
        kind.lower(),
        kind,
        custom=True,
        short_names=short_names,
        categories=("all", "knative", "serving"),
        verbs=CUSTOM,
        subresources=("status",),
        columns=columns,
        writer=NODE,
    )


_LATEST_CREATED: Final = Column("LatestCreated", "string", ".status.latestCreatedRevisionName")
_LATEST_READY: Final = Column("LatestReady", "string", ".status.latestReadyRevisionName")
_CONFIGURATION: Final = r".metadata.labels['serving\.knative\.dev/configuration']"
_GENERATION: Final = r".metadata.labels['serving\.knative\.dev/configurationGeneration']"
_CONFIGURATION_COLUMNS: Final = (_LATEST_CREATED, _LATEST_READY, _READY_STATUS, _READY_REASON)
_REVISION_COLUMNS: Final = (
    Column("Config Name", "string", _CONFIGURATION),
    Column("Generation", "string", _GENERATION),
    _READY_STATUS,
    _READY_REASON,
    Column("Actual Replicas", "integer", ".status.actualReplicas"),
    Column("Desired Replicas", "integer", ".status.desiredReplicas"),
)
_KNATIVE: Final = (
    _knative("configurations", "Configuration", ("config", "cfg"), *_CONFIGURATION_COLUMNS),
    _knative("revisions", "Revision", ("rev",), *_REVISION_COLUMNS),
    _knative("routes", "Route", ("rt",), _URL, _READY_STATUS, _READY_REASON),
    _knative("services", "Service", ("kservice", "ksvc"), _URL, *_CONFIGURATION_COLUMNS),
)


def _kserve(
    version: str,
    plural: str,
    kind: str,
    *columns: Column,
    schema: str = "",
    has_status: bool = True,
    **facts: Any,
) -> Resource:
    """A kind of KServe; one without a schema is not run yet."""
    return Resource(
        "serving.kserve.io",
        version,
        plural,
        kind.lower(),
        kind,
        custom=True,
        schema=schema,
        verbs=CUSTOM,
        subresources=("status",) if has_status else (),
        columns=columns or (AGE,),
        refusal="" if schema else _NO_RUNNER,
        **facts,
    )


_TRAFFIC: Final = ".status.components.predictor.traffic"
_PREVIOUS: Final = f"{_TRAFFIC}[?(@.tag=='prev')]"
_LATEST: Final = f"{_TRAFFIC}[?(@.latestRevision==true)]"
_SERVICE_COLUMNS: Final = (
    _URL,
    _READY_STATUS,
    Column("Prev", "integer", f"{_PREVIOUS}.percent"),
    Column("Latest", "integer", f"{_LATEST}.percent"),
    Column("PrevRolledoutRevision", "string", f"{_PREVIOUS}.revisionName"),
    Column("LatestReadyRevision", "string", f"{_LATEST}.revisionName"),
    AGE,
)
_RUNTIME_COLUMNS: Final = (
    Column("Disabled", "boolean", ".spec.disabled"),
    Column("ModelType", "string", ".spec.supportedModelFormats[*].name"),
    Column("Containers", "string", ".spec.containers[*].name"),
    AGE,
)
_LLM_COLUMNS: Final = (
    _URL,
    _READY_STATUS,
    _READY_REASON,
    AGE,
    Column("URLs", "string", ".status.addresses[*].url", priority=1),
)
_LLM_CONFIG_COLUMNS: Final = (_READY_STATUS, _READY_REASON, AGE)
_SHORT_COLUMNS: Final = (_URL, _READY_STATUS, AGE)


def _llm(version: str, stored_version: str) -> tuple[Resource, Resource]:
    """The kinds for language models, which KServe serves in two versions."""
    config = ("llminferenceserviceconfigs", "LLMInferenceServiceConfig")
    service = ("llminferenceservices", "LLMInferenceService")
    short_names = ("llmisvc",)
    return (
        _kserve(version, *config, *_LLM_CONFIG_COLUMNS, stored_version=stored_version),
        _kserve(
            version,
            *service,
            *_LLM_COLUMNS,
            short_names=short_names,
            stored_version=stored_version,
        ),
    )


INFERENCE_SERVICES: Final = _kserve(
    "v1beta1",
    "inferenceservices",
    "InferenceService",
    *_SERVICE_COLUMNS,
    schema="V1beta1InferenceService",
    short_names=("isvc",),
)
INFERENCE_GRAPHS: Final = _kserve(
    "v1alpha1",
    "inferencegraphs",
    "InferenceGraph",
    *_SHORT_COLUMNS,
    schema="V1alpha1InferenceGraph",
    short_names=("ig",),
)
_KSERVE: Final = (
    INFERENCE_SERVICES,
    *_llm("v1alpha2", ""),
    _kserve(
        "v1alpha1",
        "clusterservingruntimes",
        "ClusterServingRuntime",
        *_RUNTIME_COLUMNS,
        schema="V1alpha1ClusterServingRuntime",
        namespaced=False,
        has_status=False,
    ),
    _kserve(
        "v1alpha1",
        "clusterstoragecontainers",
        "ClusterStorageContainer",
        schema="V1alpha1ClusterStorageContainer",
        namespaced=False,
        has_status=False,
    ),
    INFERENCE_GRAPHS,
    *_llm("v1alpha1", "v1alpha2"),
    _kserve("v1alpha1", "localmodelcaches", "LocalModelCache", namespaced=False),
    _kserve("v1alpha1", "localmodelnamespacecaches", "LocalModelNamespaceCache"),
    _kserve(
        "v1alpha1",
        "localmodelnodegroups",
        "LocalModelNodeGroup",
        namespaced=False,
        has_status=False,
    ),
    _kserve("v1alpha1", "localmodelnodes", "LocalModelNode", namespaced=False),
    _kserve(
        "v1alpha1",
        "servingruntimes",
        "ServingRuntime",
        *_RUNTIME_COLUMNS,
        schema="V1alpha1ServingRuntime",
        has_status=False,
    ),
    _kserve("v1alpha1", "trainedmodels", "TrainedModel", *_SHORT_COLUMNS, short_names=("tm",)),
)

CATALOG: Final = Catalog((*_CORE, *_APPS, SCALERS, *_REVIEWS, DEFINITIONS, *_KNATIVE, *_KSERVE))
"""Every served kind."""
