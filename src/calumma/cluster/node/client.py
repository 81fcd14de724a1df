"""The node's client for the Kubernetes API: the verbs it needs, over TLS with its own token.

Kinds are rows here as they are in the API server; a verb takes a row and plain objects and raises
ApiError with the server's own reason and text.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.objects import Object


@dataclass(frozen=True)
class Resource:
    """A kind's place in the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of a collection or of one object."""
        root = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


INFERENCE_SERVICE = Resource("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
INFERENCE_GRAPH = Resource("serving.kserve.io/v1alpha1", "InferenceGraph", "inferencegraphs")
SERVING_RUNTIME = Resource("serving.kserve.io/v1alpha1", "ServingRuntime", "servingruntimes")
CLUSTER_SERVING_RUNTIME = Resource(
    "serving.kserve.io/v1alpha1", "ClusterServingRuntime", "clusterservingruntimes", False
)
CLUSTER_STORAGE_CONTAINER = Resource(
    "serving.kserve.io/v1alpha1", "ClusterStorageContainer", "clusterstoragecontainers", False
)
SERVICE = Resource("serving.knative.dev/v1", "Service", "services")
REVISION = Resource("serving.knative.dev/v1", "Revision", "revisions")
DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
REPLICA_SET = Resource("apps/v1", "ReplicaSet", "replicasets")
CORE_SERVICE = Resource("v1", "Service", "services")
POD = Resource("v1", "Pod", "pods")
EVENT = Resource("v1", "Event", "events")
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps")
SECRET = Resource("v1", "Secret", "secrets")
SERVICE_ACCOUNT = Resource("v1", "ServiceAccount", "serviceaccounts")


class Listing(NamedTuple):
    """A collection and the version of the whole cluster at which it was read."""

    items: list[Object]
    resource_version: str


class Client:
    """A connection pool to one API server. Use it as an asynchronous context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._http = httpx.AsyncClient(
            base_url=cluster["server"],
            headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
            verify=ssl.create_default_context(cadata=authority),
            timeout=httpx.Timeout(10.0),
            trust_env=False,
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def list(self, resource: Resource) -> Listing:
        """All objects of a kind in all namespaces."""
        answer = await self._request("GET", resource.path())
        identity = {"apiVersion": resource.api_version, "kind": resource.kind}
        items = [{**identity, **item} for item in answer["items"]]
        return Listing(items, answer["metadata"]["resourceVersion"])

    async def watch(self, resource: Resource, version: str) -> AsyncIterator[tuple[str, Object]]:
        """Changes after ``version`` as ``(type, object)``; ends when the server ends the watch."""
        parameters = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        timeout = httpx.Timeout(10.0, read=None)
        async with self._http.stream(
            "GET", resource.path(), params=parameters, timeout=timeout
        ) as answer:
            if answer.status_code != 200:
                await answer.aread()
                raise _error(answer)
            async for line in answer.aiter_lines():
                if line:
                    change = json.loads(line)
                    yield change["type"], change["object"]

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object."""
        return await self._request("GET", resource.path(namespace, name))

    async def create(self, resource: Resource, obj: Mapping[str, Any]) -> Object:
        """Store a new object."""
        return await self._request("POST", resource.path(objects.namespace(obj)), obj)

    async def update(self, resource: Resource, obj: Mapping[str, Any]) -> Object:
        """Replace an object; its ``resourceVersion`` must be the stored one."""
        return await self._request("PUT", _path(resource, obj), obj)

    async def update_status(self, resource: Resource, obj: Mapping[str, Any]) -> Object:
        """Replace an object's status."""
        return await self._request("PUT", f"{_path(resource, obj)}/status", obj)

    async def patch(
        self, resource: Resource, obj: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> Object:
        """Merge-patch an object."""
        return await self._request(
            "PATCH", _path(resource, obj), patch, "application/merge-patch+json"
        )

    async def delete(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        """Delete an object; one that is gone already is no error."""
        try:
            await self._request("DELETE", _path(resource, obj))
        except errors.ApiError as error:
            if error.code != 404:
                raise

    async def ready(self) -> bool:
        """Whether the API server answers and is ready."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": content_type}
        answer = await self._http.request(method, path, content=content, headers=headers)
        if answer.is_error:
            raise _error(answer)
        decoded: Object = answer.json()
        return decoded


def _path(resource: Resource, obj: Mapping[str, Any]) -> str:
    return resource.path(objects.namespace(obj), objects.name(obj))


def _error(answer: httpx.Response) -> errors.ApiError:
    try:
        status = answer.json()
    except ValueError:
        status = {}
    message = status.get("message") or answer.text.strip() or f"HTTP {answer.status_code}"
    return errors.ApiError(answer.status_code, status.get("reason", ""), message)
