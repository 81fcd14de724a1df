"""What the published schemas demand and the Python models of kserve and kubernetes cannot say.

Those models carry names, types and required fields, but no integer widths, defaults, enumerations,
patterns or merge keys. This module lists the missing facts as data; :mod:`.derivation` applies
them. The source of each row is KServe's CustomResourceDefinition or Kubernetes' API types; a
field is named by its JSON name, or by ``Model.field`` where the name alone says too little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Node = dict[str, Any]
"""One schema, in the vocabulary of OpenAPI v3 with Kubernetes' extensions."""

QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

INT_OR_STRING: Final[Node] = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
QUANTITY: Final[Node] = {**INT_OR_STRING, "pattern": QUANTITY_PATTERN}
STRING: Final[Node] = {"type": "string"}
TIME: Final[Node] = {"type": "string", "format": "date-time"}

TYPES: Final[dict[str, Node]] = {
    "str": STRING,
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "datetime": TIME,
    "object": INT_OR_STRING,
    "ResourceQuantity": QUANTITY,
    "V1beta1MetricQuantity": QUANTITY,
    "KnativeURL": STRING,
    "KnativeVolatileTime": STRING,
    "V1Time": TIME,
}
"""Types of the models that are not themselves models."""

SUBSTITUTES: Final = {
    "K8sIoApiAppsV1DeploymentStrategy": "V1DeploymentStrategy",
    "K8sIoApiAutoscalingV2HorizontalPodAutoscalerBehavior": "V2HorizontalPodAutoscalerBehavior",
}
"""Kubernetes models that kserve's names differently."""

DEFINITIONS: Final[dict[str, Node]] = {
    "KnativeDevServingPkgApisServingV1TrafficTarget": {
        "type": "object",
        "properties": {
            "configurationName": STRING,
            "latestRevision": {"type": "boolean"},
            "percent": {"type": "integer", "format": "int64"},
            "revisionName": STRING,
            "tag": STRING,
            "url": STRING,
        },
    },
    "V1FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "KnativeAddressable": {
        "type": "object",
        "properties": {"CACerts": STRING, "audience": STRING, "name": STRING, "url": STRING},
    },
    "V1alpha1WorkerSpec": {
        "type": "object",
        "required": ["containers"],
        "properties": {
            "affinity": {"$ref": "V1Affinity"},
            "annotations": {"type": "object", "additionalProperties": STRING},
            "containers": {"type": "array", "items": {"$ref": "V1Container"}},
            "hostIPC": {"type": "boolean"},
            "imagePullSecrets": {"type": "array", "items": {"$ref": "V1LocalObjectReference"}},
            "labels": {"type": "object", "additionalProperties": STRING},
            "nodeSelector": {"type": "object", "additionalProperties": STRING},
            "pipelineParallelSize": {"type": "integer"},
            "resourceClaims": {
                "type": "array",
                "items": {"$ref": "V1PodResourceClaim"},
                "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-list-type": "map",
            },
            "schedulerName": STRING,
            "tensorParallelSize": {"type": "integer"},
            "tolerations": {"type": "array", "items": {"$ref": "V1Toleration"}},
            "volumes": {"type": "array", "items": {"$ref": "V1Volume"}},
        },
    },
}
"""Models that kserve's refer to and do not contain."""

INT64: Final = frozenset(
    [
        "activeDeadlineSeconds",
        "canaryTrafficPercent",
        "containerConcurrency",
        "deletionGracePeriodSeconds",
        "expirationSeconds",
        "fsGroup",
        "generation",
        "gid",
        "gracePeriodSeconds",
        "observedGeneration",
        "remainingItemCount",
        "runAsGroup",
        "runAsUser",
        "seconds",
        "supplementalGroups",
        "terminationGracePeriodSeconds",
        "timeout",
        "tolerationSeconds",
        "uid",
        "V1alpha1InferenceStep.weight",
        *(
            f"V1alpha1InfereceGraphRouterTimeouts.{each}"
            for each in ("serverIdle", "serverRead", "serverWrite", "serviceClient")
        ),
    ]
)
PLAIN_INTEGERS: Final = frozenset(
    [
        "batchSize",
        "failedCopies",
        "maxBatchSize",
        "maxLatency",
        "memBufferBytes",
        "modelLoadingTimeoutMillis",
        "pipelineParallelSize",
        "runtimeManagementPort",
        "tensorParallelSize",
        "totalCopies",
        "V1alpha1ServingRuntimeSpec.replicas",
        "V1beta1Batcher.timeout",
    ]
)
"""Go's ``int``, which has no format; every other integer is an int32."""

QUANTITIES: Final = frozenset(
    [
        "allocatable",
        "allocatedResources",
        "averageValue",
        "capacity",
        "divisor",
        "limits",
        "overhead",
        "requests",
        "sizeLimit",
        "tolerance",
        "V2MetricTarget.value",
    ]
)
"""Quantities that the kubernetes client types as plain strings."""

LIST_KEYS: Final[dict[str, list[str]]] = {
    "claims": ["name"],
    "env": ["name"],
    "resourceClaims": ["name"],
    "schedulingGates": ["name"],
    "topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
    "volumeDevices": ["devicePath"],
    "volumeMounts": ["mountPath"],
    "V1Container.ports": ["containerPort", "protocol"],
    "V1EphemeralContainer.ports": ["containerPort", "protocol"],
    "V1ServiceSpec.ports": ["port", "protocol"],
    "V1ObjectMeta.ownerReferences": ["uid"],
    "V1PodSpec.containers": ["name"],
    "V1PodSpec.ephemeralContainers": ["name"],
    "V1PodSpec.hostAliases": ["ip"],
    "V1PodSpec.imagePullSecrets": ["name"],
    "V1PodSpec.initContainers": ["name"],
    "V1PodSpec.volumes": ["name"],
    "V1PodStatus.conditions": ["type"],
    "V1PodStatus.hostIPs": ["ip"],
    "V1PodStatus.podIPs": ["ip"],
    "V1NamespaceStatus.conditions": ["type"],
    "V1ServiceAccount.secrets": ["name"],
}
"""Lists whose items are told apart by these fields; embedded ModelSpecs have ``ports`` as well."""

CONTAINER_PORTS: Final = "V1ContainerPort"
LIST_SETS: Final = frozenset(
    {"V1ObjectMeta.finalizers", "V1ContainerRestartRuleOnExitCodes.values"}
)
ATOMIC_LISTS: Final = frozenset(
    [
        "args",
        "canary",
        "canaryStatuses",
        "command",
        "envFrom",
        "resizePolicy",
        "restartPolicyRules",
        "storageUris",
    ]
)
"""Atomic lists of KServe's own models; lists of Kubernetes' models are atomic by default."""

ATOMIC_MAPS: Final = frozenset(
    [
        "V1ConfigMapEnvSource",
        "V1ConfigMapKeySelector",
        "V1ConfigMapProjection",
        "V1ConfigMapVolumeSource",
        "V1FileKeySelector",
        "V1LabelSelector",
        "V1LocalObjectReference",
        "V1NodeSelector",
        "V1NodeSelectorTerm",
        "V1ObjectFieldSelector",
        "V1ObjectReference",
        "V1ResourceFieldSelector",
        "V1SecretEnvSource",
        "V1SecretKeySelector",
        "V1SecretProjection",
        "V1SecretReference",
        "V1TypedLocalObjectReference",
    ]
)
"""Models that are applied as a whole."""

_BYTES: Node = {"type": "object", "additionalProperties": {"type": "string", "format": "byte"}}
_NAMES = {"name": {"default": ""}}
_METRIC_TYPES = ["Utilization", "Value", "AverageValue"]
_MODEL_STATES = ["", "Pending", "Standby", "Loading", "Loaded", "FailedToLoad"]
FACETS: Final[dict[str, dict[str, Node]]] = {
    "V1ConfigMapEnvSource": _NAMES,
    "V1ConfigMapKeySelector": _NAMES,
    "V1ConfigMapProjection": _NAMES,
    "V1ConfigMapVolumeSource": _NAMES,
    "V1LocalObjectReference": _NAMES,
    "V1SecretEnvSource": _NAMES,
    "V1SecretKeySelector": _NAMES,
    "V1SecretProjection": _NAMES,
    "V1FileKeySelector": {"optional": {"default": False}},
    "V1GRPCAction": {"service": {"default": ""}},
    "V1ContainerPort": {"protocol": {"default": "TCP"}},
    "V1ServicePort": {"protocol": {"default": "TCP"}},
    "V1AzureDiskVolumeSource": {"fsType": {"default": "ext4"}, "readOnly": {"default": False}},
    "V1ISCSIVolumeSource": {"iscsiInterface": {"default": "default"}},
    "V1RBDVolumeSource": {
        "keyring": {"default": "/etc/ceph/keyring"},
        "pool": {"default": "rbd"},
        "user": {"default": "admin"},
    },
    "V1ScaleIOVolumeSource": {
        "fsType": {"default": "xfs"},
        "storageMode": {"default": "ThinProvisioned"},
    },
    "V1alpha1InferenceRouter": {
        "routerType": {"enum": ["Sequence", "Splitter", "Ensemble", "Switch"]}
    },
    "V1alpha1InferenceStep": {"dependency": {"enum": ["Soft", "Hard"]}},
    "V1alpha1StorageContainerSpec": {
        "supportsMultiModelDownload": {"default": False},
        "workloadType": {"default": "initContainer"},
    },
    "V1alpha1SupportedModelFormat": {"priority": {"minimum": 1}},
    "V1beta1CanarySpec": {"trafficPercent": {"minimum": 0, "maximum": 100}},
    "V1beta1LoggerSpec": {"mode": {"enum": ["all", "request", "response"]}},
    "V1beta1StorageUri": {
        "uri": {"minLength": 1},
        "mountPath": {"default": "/mnt/models", "maxLength": 255, "pattern": "^/.*"},
    },
    "V1beta1PredictorSpec": {"name": {"pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}},
    "V1beta1ExternalMetrics": {"backend": {"enum": ["prometheus", "graphite"]}},
    "V1beta1PodMetrics": {"backend": {"enum": ["opentelemetry"]}},
    "V1beta1MetricTarget": {"type": {"enum": _METRIC_TYPES}},
    "V1beta1MetricsSpec": {"type": {"enum": ["Resource", "External", "PodMetric"]}},
    "V1beta1ResourceMetricSource": {"name": {"enum": ["cpu", "memory"]}},
    "V1beta1ModelCopies": {"failedCopies": {"default": 0}},
    "V1beta1ModelRevisionStates": {
        "activeModelState": {"default": "Pending", "enum": _MODEL_STATES},
        "targetModelState": {"default": "", "enum": _MODEL_STATES},
    },
    "V1beta1ModelStatus": {
        "transitionStatus": {
            "default": "UpToDate",
            "enum": ["", "UpToDate", "InProgress", "BlockedByFailedLoad", "InvalidSpec"],
        }
    },
    "V1beta1FailureInfo": {
        "reason": {
            "enum": [
                "ModelLoadFailed",
                "RuntimeUnhealthy",
                "RuntimeDisabled",
                "NoSupportingRuntime",
                "RuntimeNotRecognized",
                "InvalidPredictorSpec",
            ]
        }
    },
}
"""Defaults, enumerations, bounds and patterns: model, field, what to add."""

FIELD_FACETS: Final[dict[str, Node]] = {
    "nodeSelector": {"x-kubernetes-map-type": "atomic"},
    "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
    "scaleMetricType": {"enum": _METRIC_TYPES},
    "storageUris": {"minItems": 1},
}
"""The same for fields that several models embed."""

OVERRIDES: Final[dict[str, Node]] = {
    "V1ConfigMap.binaryData": _BYTES,
    "V1Secret.data": _BYTES,
    "V1ManagedFieldsEntry.fieldsV1": {"$ref": "V1FieldsV1"},
    "V1PersistentVolumeClaimTemplate.metadata": {"type": "object"},
    "V1alpha1ClusterServingRuntime.status": {"type": "object"},
    "V1alpha1ServingRuntime.status": {"type": "object"},
}
"""Fields whose type the models leave open, or that the CustomResourceDefinition narrows."""

REQUIRED: Final = frozenset(
    {
        "V1alpha1SupportedModelFormat.name",
        "V1beta1AuthenticationRef.name",
        "V1beta1ModelFormat.name",
    }
)
OPTIONAL: Final = frozenset(
    {
        "V1beta1ARTExplainerSpec.name",
        "V1beta1ARTExplainerSpec.type",
        "V1beta1ModelSpec.modelFormat",
    }
)
"""Where KServe's CustomResourceDefinition requires other fields than its Python models do."""

_POD = ("schedulingGroup",)
_COMPONENT = ("ephemeralContainers", "schedulingGroup")
ABSENT: Final[dict[str, tuple[str, ...]]] = {
    "V1PodCertificateProjection": ("userAnnotations",),
    "V1beta1ExplainerSpec": _COMPONENT,
    "V1beta1InferenceServiceSpec": ("tracing",),
    "V1beta1PredictorSpec": _COMPONENT,
    "V1beta1TransformerSpec": _COMPONENT,
    "V1beta1WorkerSpec": _POD,
}
"""Fields of a model that the CustomResourceDefinition leaves out."""

OPEN: Final = frozenset({"V1beta1InferenceServiceStatus"})
"""Models whose unknown fields are kept."""


class Variant(NamedTuple):
    """A definition like another one's, with some fields made optional or given another type."""

    base: str
    optional: tuple[str, ...] = ()
    fields: Mapping[str, Node] = {}


_PROBE: Node = {"$ref": "ProbeWithDefaultPort"}
_PROBES: dict[str, Node] = {"livenessProbe": _PROBE, "readinessProbe": _PROBE}
VARIANTS: Final = {
    "HTTPGetActionWithDefaultPort": Variant("V1HTTPGetAction", ("port",)),
    "TCPSocketActionWithDefaultPort": Variant("V1TCPSocketAction", ("port",)),
    "ProbeWithDefaultPort": Variant(
        "V1Probe",
        (),
        {
            "httpGet": {"$ref": "HTTPGetActionWithDefaultPort"},
            "tcpSocket": {"$ref": "TCPSocketActionWithDefaultPort"},
        },
    ),
    "ComponentContainer": Variant("V1Container", (), _PROBES),
}
"""KServe fills the port of a component's liveness and readiness probes in."""

COMPONENT_FIELDS: Final[dict[str, Node]] = {
    **_PROBES,
    "containers": {"type": "array", "items": {"$ref": "ComponentContainer"}},
}
"""Fields of KServe's InferenceService models that are of a variant's type."""
