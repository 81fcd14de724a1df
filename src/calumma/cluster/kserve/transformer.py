"""The transformer's pod template: the user's containers with the arguments that KServe injects.

Source: kserve ``pkg/apis/serving/v1beta1/transformer_custom.go`` and
``components/transformer.go``.
"""

from __future__ import annotations

from collections.abc import Sequence

from calumma.cluster import objects
from calumma.cluster.kserve import containers, predictor, storage_paths, vocabulary
from calumma.cluster.objects import Object

HTTP_PORT = "8080"


def template(isvc: Object, storage: Sequence[Object]) -> predictor.Template:
    """The transformer's template; raises ReconcileFailed for an unsupported STORAGE_URI."""
    transformer = isvc["spec"]["transformer"]
    uri = storage_paths.single_uri(transformer)
    if uri is not None:
        predictor.check_uri(uri, storage)
    pod_spec = predictor.pod_spec_of(transformer)
    first = pod_spec["containers"][0]
    first["args"] = arguments(isvc, first.get("args") or [])
    containers.set_environment(first, "INFERENCE_SERVICE_NAME", objects.name(isvc))
    return predictor.Template(pod_spec, {}, {})


def arguments(isvc: Object, given: Sequence[str]) -> list[str]:
    """The container's arguments with those that KServe adds unless one of that prefix is there."""
    host = f"{vocabulary.service_name(isvc, 'predictor')}.{objects.namespace(isvc)}"
    injected = [
        ("--model_name", objects.name(isvc)),
        ("--predictor_host", host),
        ("--http_port", HTTP_PORT),
    ]
    concurrency = objects.dig(isvc, "spec", "transformer", "containerConcurrency")
    if concurrency is not None:
        injected.append(("--workers", str(concurrency)))
    complete = list(given)
    for flag, value in injected:
        if not containers.has_argument(given, flag):
            complete += [flag, value]
    return complete
