"""Schemas, discovery, OpenAPI and definitions: what is served is what is said to be served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.cluster.api import (
    definitions,
    discovery,
    documents,
    kinds,
    openapi,
    routing,
    schema,
)
from calumma.cluster.api.backend import Backend
from calumma.cluster.api.schema import Schemas
from calumma.cluster.api.store import Store
from calumma.cluster.api.watch import Hub

CATALOG = kinds.CATALOG
GROUPS = sorted({row.path for row in CATALOG.rows})


@pytest.fixture
def state(store: Store, schemas: Schemas) -> Backend:
    return Backend(store, Hub(store), schemas, CATALOG)


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        found = {name for value in node.values() for name in references(value)}
        return found | ({node["$ref"]} if isinstance(node.get("$ref"), str) else set())
    if isinstance(node, list):
        return {name for value in node for name in references(value)}
    return set()


def test_the_fields_are_those_of_kserve(schemas: Schemas) -> None:
    predictor = schemas.of("V1beta1InferenceService")["properties"]["spec"]["properties"][
        "predictor"
    ]
    assert {"model", "minReplicas", "canaryTrafficPercent", "containers"} <= set(
        predictor["properties"]
    )
    assert predictor["properties"]["canaryTrafficPercent"] == {"type": "integer", "format": "int64"}
    traffic = schemas.of("V1beta1InferenceServiceStatus")["properties"]["components"]
    assert "traffic" in traffic["additionalProperties"]["properties"]
    assert schemas.of("V1beta1ModelFormat")["required"] == ["name"]


def test_equal_parts_are_shared(schemas: Schemas) -> None:
    containers = schemas.of("V1PodSpec")["properties"]["containers"]["items"]
    assert containers is schemas.of("V1Container")


def test_deriving_again_uses_the_cache(schemas: Schemas, tmp_path: Path) -> None:
    target = tmp_path / "calumma" / f"schema-{schemas.digest}.json"
    target.parent.mkdir()
    target.write_text('{"kept": {"type": "object"}}')
    found = schema.ensure({**os.environ, "XDG_CACHE_HOME": str(tmp_path)})
    assert found == target
    assert schema.load(found).of("kept")["type"] == "object"


def test_a_broken_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "schema-x.json"
    path.write_text("{")
    with pytest.raises(errors.ConfigurationError, match="Delete it; it is made again"):
        schema.load(path)


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "calumma").write_text("in the way")
    with pytest.raises(errors.ConfigurationError, match="Set XDG_CACHE_HOME"):
        schema.ensure({**os.environ, "XDG_CACHE_HOME": str(tmp_path)})


def test_the_server_does_not_load_what_is_large() -> None:
    code = (
        "import sys, calumma.cluster.apiserver\n"
        "large = ('kserve', 'kubernetes', 'pydantic', 'numpy', 'cryptography')\n"
        "print([name for name in large if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("path", GROUPS)
def test_openapi_documents_refer_to_what_they_contain(path: str, schemas: Schemas) -> None:
    document = openapi.document(CATALOG, schemas, path)
    assert document is not None
    components = document["components"]["schemas"]
    prefix = "#/components/schemas/"
    assert {name.removeprefix(prefix) for name in references(document)} <= set(components)
    for row in CATALOG.rows:
        if row.path == path and "list" in row.verbs:
            gvk = [{"group": row.group, "version": row.version, "kind": row.kind}]
            named = [
                c for c in components.values() if c.get("x-kubernetes-group-version-kind") == gvk
            ]
            assert len(named) == 1


def test_every_documented_path_and_method_is_served(schemas: Schemas) -> None:
    for group in GROUPS:
        document = openapi.document(CATALOG, schemas, group)
        assert document is not None
        for template, item in document["paths"].items():
            path = template.format(namespace="n", name="x")
            for method in set(item) - {"parameters"}:
                assert routing.target(path, method.upper(), CATALOG) is not None


def test_the_root_names_every_document(schemas: Schemas) -> None:
    root = openapi.root(CATALOG, schemas)["paths"]
    assert sorted(root) == GROUPS
    for path, entry in root.items():
        assert (
            entry["serverRelativeURL"] == f"/openapi/v3/{path}?hash={openapi.digest(schemas, path)}"
        )


def test_both_forms_of_discovery_list_the_same_kinds() -> None:
    aggregated = set()
    for core in (True, False):
        for group in discovery.aggregated(CATALOG, core, "v2")["items"]:
            for version in group["versions"]:
                for entry in version["resources"]:
                    name = group["metadata"].get("name", "")
                    aggregated.add((name, version["version"], entry["resource"]))
    legacy = set()
    for name, versions in CATALOG.groups().items():
        for version in versions:
            found = discovery.resources(CATALOG, name, version)
            assert found is not None
            plurals = [each["name"] for each in found["resources"] if "/" not in each["name"]]
            legacy |= {(name, version, plural) for plural in plurals}
    assert aggregated == legacy == {(row.group, row.version, row.plural) for row in CATALOG.rows}


def test_definitions_exist_for_custom_kinds(state: Backend) -> None:
    names = {item["metadata"]["name"] for item in definitions.everything(state)}
    assert names == {str(row.name) for row in CATALOG.rows if row.custom}
    found = definitions.find(state, "llminferenceservices.serving.kserve.io")
    assert found is not None
    assert [each["name"] for each in found["spec"]["versions"]] == ["v1alpha2", "v1alpha1"]
    assert found["status"]["storedVersions"] == ["v1alpha2"]
    assert definitions.find(state, "pods") is None


AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/api", "", "APIVersions"),
        ("/apis", "application/json", "APIGroupList"),
        ("/apis", f"{AGGREGATED},application/json", "APIGroupDiscoveryList"),
        ("/api/v1", "", "APIResourceList"),
        ("/apis/serving.kserve.io", "", "APIGroup"),
        ("/apis/serving.kserve.io/v1beta1", "", "APIResourceList"),
    ],
)
def test_discovery_documents(state: Backend, path: str, accept: str, kind: str) -> None:
    found = documents.find(state, path, {}, accept, "localhost:1")
    assert found is not None
    assert json.loads(found.body)["kind"] == kind


@pytest.mark.parametrize("path", ["/nosuch", "/api/v9", "/apis/nosuch", "/openapi/v3/nosuch"])
def test_other_paths_have_no_document(state: Backend, path: str) -> None:
    assert documents.find(state, path, {}, "", "localhost") is None


def test_openapi_v2_is_empty_in_both_of_its_forms(state: Backend) -> None:
    found = documents.find(state, "/openapi/v2", {}, "", "localhost")
    assert found is not None
    assert json.loads(found.body)["swagger"] == "2.0"
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    binary = documents.find(state, "/openapi/v2", {}, accept, "localhost")
    assert binary is not None
    assert binary.media_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert binary.body.startswith(b"\x0a\x032.0\x12")


def test_a_version_says_which_kubernetes_this_is() -> None:
    found = documents.version()
    assert found["gitVersion"].startswith(f"v{found['major']}.{found['minor']}.0+calumma-")
