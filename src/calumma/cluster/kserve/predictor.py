"""The predictor's pod template: the runtime that was chosen, merged with the InferenceService.

Source: kserve ``controller/v1beta1/inferenceservice/components/predictor.go``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import containers, runtimes, storage_paths, vocabulary
from calumma.cluster.objects import Object

_EXTENSION = frozenset(
    {
        "annotations",
        "autoScaling",
        "batcher",
        "canaryTrafficPercent",
        "containerConcurrency",
        "deploymentStrategy",
        "labels",
        "logger",
        "maxReplicas",
        "minReplicas",
        "scaleMetric",
        "scaleMetricType",
        "scaleTarget",
        "timeout",
    }
)
_PREDICTOR_ONLY = frozenset(
    {"model", "name", "storageUris", "storageContainerName", "workerSpec", *vocabulary.FRAMEWORKS}
)
_MODEL_ONLY = frozenset(
    {
        "confidential",
        "modelFormat",
        "protocolVersion",
        "runtime",
        "runtimeVersion",
        "storage",
        "storageUri",
    }
)
_SCHEMES = (
    "gs://",
    "s3://",
    "pvc://",
    "file://",
    "https://",
    "http://",
    "hdfs://",
    "webhdfs://",
    "oci://",
    "oci+native://",
    "oci+fetch://",
    "hf://",
)
_SCHEME = re.compile(r"\w+?://")
_AZURE = re.compile(r"https://(.+?).blob.core.windows.net/(.+)")
_RUNTIME_POD_SPEC = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "volumes",
    "imagePullSecrets",
    "schedulerName",
    "resourceClaims",
)


class Template(NamedTuple):
    """A component's pod spec, the metadata that its runtime adds, and the runtime."""

    pod_spec: Object
    labels: dict[str, str]
    annotations: dict[str, str]
    selection: runtimes.Selection | None = None


def template(isvc: Object, seen: runtimes.Runtimes, storage: Sequence[Object]) -> Template:
    """The predictor's template.

    ``storage`` are the cluster's ClusterStorageContainers. Raises ReconcileFailed or InvalidSpec.
    """
    predictor = isvc["spec"]["predictor"]
    if predictor.get("workerSpec") is not None:
        raise errors.ReconcileFailed(
            f"InferenceService {objects.name(isvc)}: spec.predictor.workerSpec asks for several "
            "nodes; a one-machine cluster has one. Remove workerSpec or use a real cluster."
        )
    uri = storage_paths.single_uri(predictor)
    _check_storage(isvc, uri)
    if uri is not None:
        check_uri(uri, storage)
    if isinstance(predictor.get("model"), Mapping):
        built = _from_model(isvc, predictor, seen)
    else:
        built = Template(pod_spec_of(predictor), {}, {})
    for container in built.pod_spec["containers"]:
        containers.set_environment(container, "INFERENCE_SERVICE_NAME", objects.name(isvc))
    return built


def pod_spec_of(component: Mapping[str, Any]) -> Object:
    """The part of a component that is a Kubernetes pod spec."""
    own = {
        key: value
        for key, value in component.items()
        if key not in _EXTENSION and key not in _PREDICTOR_ONLY
    }
    own["containers"] = [dict(container) for container in component.get("containers") or []]
    return own


def check_uri(uri: str, storage: Sequence[Object]) -> None:
    """Raise ReconcileFailed, with KServe's text, when nothing can fetch this URI."""
    for each in storage:
        for supported in objects.dig(each, "spec", "supportedUriFormats", default=[]):
            prefix, regex = supported.get("prefix"), supported.get("regex")
            if (prefix and uri.startswith(prefix)) or (regex and re.match(regex, uri)):
                return
    if not _SCHEME.search(uri) or _AZURE.search(uri) or uri.startswith(_SCHEMES):
        return
    raise errors.ReconcileFailed(
        f"StorageURI not supported: storageUri, must be one of: [{', '.join(_SCHEMES)}] or match "
        "https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path. "
        f"StorageUri [{uri}] is not supported"
    )


def _check_storage(isvc: Object, uri: str | None) -> None:
    """Raise ReconcileFailed for a model that names its storage by ``storage``."""
    storage = objects.dig(isvc, "spec", "predictor", "model", "storage")
    if storage is None:
        return
    if uri is not None and storage.get("path") is not None:
        raise errors.ReconcileFailed("must provide only one of storageUri and storage.path")
    raise errors.ReconcileFailed(
        f"InferenceService {objects.name(isvc)}: spec.predictor.model.storage does not run on the "
        "one-machine cluster yet; use storageUri.",
        condition="PredictorReady",
    )


def _from_model(isvc: Object, predictor: Mapping[str, Any], seen: runtimes.Runtimes) -> Template:
    model = _with_runtime_defaults(predictor["model"], selection := _select(predictor, seen))
    runtime = selection.runtime
    runtime_name = objects.name(runtime)
    runtime_containers = objects.dig(runtime, "spec", "containers", default=[])
    main = _main_container(runtime_containers)
    own = {key: value for key, value in model.items() if key not in _MODEL_ONLY}
    own["name"] = vocabulary.MAIN_CONTAINER
    container = containers.merge_container(main, own)
    container = containers.fill_placeholders(container, isvc, runtime_name)
    container["image"] = containers.with_version(
        container.get("image", ""), model.get("runtimeVersion")
    )
    pod_spec = containers.merge(
        {key: runtime["spec"][key] for key in _RUNTIME_POD_SPEC if key in runtime["spec"]},
        {key: value for key, value in pod_spec_of(predictor).items() if key != "containers"},
    )
    pod_spec["containers"] = [container, *_further_containers(isvc, predictor, runtime)]
    return Template(
        pod_spec,
        dict(objects.dig(runtime, "spec", "labels", default={})),
        dict(objects.dig(runtime, "spec", "annotations", default={})),
        selection,
    )


def _select(predictor: Mapping[str, Any], seen: runtimes.Runtimes) -> runtimes.Selection:
    return runtimes.select(predictor["model"], seen)


def _with_runtime_defaults(model: Mapping[str, Any], selection: runtimes.Selection) -> Object:
    """What KServe sets for a runtime that it knows; only Triton runs on this machine."""
    defaulted = dict(model)
    if selection.server_type == "tritonserver":
        defaulted.setdefault("protocolVersion", "v2")
        if model.get("storageUri") is None and model.get("storage") is None:
            defaulted["args"] = [*(model.get("args") or []), "--model-control-mode=explicit"]
    return defaulted


def _main_container(runtime_containers: Sequence[Object]) -> Object:
    if not runtime_containers:
        text = "no container configuration found in selected serving runtime"
        raise errors.InvalidSpec(text, "InvalidPredictorSpec", text)
    for container in runtime_containers:
        if container.get("name") == vocabulary.MAIN_CONTAINER:
            return container
    text = f"failed to find {vocabulary.MAIN_CONTAINER} in ServingRuntime containers"
    raise errors.InvalidSpec(text, "InvalidPredictorSpec", text)


def _further_containers(
    isvc: Object, predictor: Mapping[str, Any], runtime: Mapping[str, Any]
) -> list[Object]:
    """A collocated transformer first, then the runtime's other containers, then the user's."""
    theirs = {c["name"]: c for c in objects.dig(runtime, "spec", "containers", default=[])}
    ours = {c["name"]: c for c in predictor.get("containers") or []}
    transformer = vocabulary.TRANSFORMER_CONTAINER
    further = []
    if transformer in theirs or transformer in ours:
        merged = containers.merge_container(theirs.get(transformer, {}), ours.get(transformer, {}))
        further.append(containers.fill_placeholders(merged, isvc, objects.name(runtime)))
    known = {vocabulary.MAIN_CONTAINER, transformer}
    further += [dict(c) for name, c in theirs.items() if name not in known]
    further += [dict(c) for name, c in ours.items() if name != transformer]
    return further
