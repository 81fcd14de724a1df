"""KServe's own Python client against the API: the way in which programs use a cluster."""

from __future__ import annotations

import json
import sys
import textwrap

import httpx

from support.api_server import ApiServer

SCRIPT = textwrap.dedent("""
    import json, sys
    from kserve import (
        KServeClient, V1beta1InferenceService, V1beta1InferenceServiceSpec, V1beta1ModelFormat,
        V1beta1ModelSpec, V1beta1PredictorSpec,
    )
    from kubernetes import client

    namespace = sys.argv[1]
    kserve = KServeClient()

    def service(uri, **predictor):
        model = V1beta1ModelSpec(
            model_format=V1beta1ModelFormat(name="onnx"), storage_uri=uri, protocol_version="v2"
        )
        return V1beta1InferenceService(
            api_version="serving.kserve.io/v1beta1",
            kind="InferenceService",
            metadata=client.V1ObjectMeta(name="digits", namespace=namespace),
            spec=V1beta1InferenceServiceSpec(
                predictor=V1beta1PredictorSpec(model=model, **predictor)
            ),
        )

    seen = {}
    created = kserve.create(service("pvc://models/digits/v1"))
    seen["created"] = created["spec"]["predictor"]["model"]["storageUri"]
    seen["ready"] = kserve.is_isvc_ready("digits", namespace=namespace)
    patched = kserve.patch(
        "digits", service("pvc://models/digits/v2", canary_traffic_percent=10), namespace
    )
    seen["patched"] = patched["spec"]["predictor"]["canaryTrafficPercent"]
    replaced = kserve.replace("digits", service("pvc://models/digits/v3"), namespace)
    seen["generation"] = replaced["metadata"]["generation"]
    seen["listed"] = len(kserve.get(namespace=namespace)["items"])
    kserve.delete("digits", namespace)
    try:
        kserve.get("digits", namespace=namespace)
    except RuntimeError as error:
        seen["gone"] = "NotFound" in str(error.__cause__ or error) or "Not Found" in str(error)
    seen["pods"] = len(client.CoreV1Api().list_namespaced_pod(namespace).items)
    seen["version"] = client.VersionApi().get_code().major
    print(json.dumps(seen))
""")


def test_kserve_client(server: ApiServer, client: httpx.Client, namespace: str) -> None:
    answer = server.run(sys.executable, "-W", "ignore", "-c", SCRIPT, namespace)
    assert answer.code == 0, answer.error
    assert json.loads(answer.output.splitlines()[-1]) == {
        "created": "pvc://models/digits/v1",
        "ready": False,
        "patched": 10,
        "generation": 3,
        "listed": 1,
        "gone": True,
        "pods": 0,
        "version": "1",
    }
