"""InferenceServices and runtimes that fit their schema and make no sense: decided, never a fault.

They are made from the schema itself, go through KServe's admission and through plans until nothing
is left to do, as in the agent. Whatever is wrong with them ends in a condition.
``CALUMMA_FUZZ=long`` tries a hundred times as many.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from calumma import errors
from calumma.cluster.api import decoding, kinds, schema, structure, validation
from calumma.cluster.api.resources import Resource
from calumma.cluster.api.schema import Node as Schema
from calumma.cluster.api.schema import Schemas
from calumma.cluster.kserve import admission
from calumma.cluster.objects import Object
from support import junk
from support.node import Node
from support.simulation import digits

TEXTS = (
    *("", "a", "kserve-container", "storage-initializer", "main", "{{.Name}}", "{{.Bad", "$(X)"),
    *(
        "pvc://models/x",
        "pvc://..",
        "s3://b/k",
        "x/y:z",
        "calumma/digits:1",
        "triton",
        "onnx",
        "v2",
    ),
    *("1", "100m", "1Gi", "-1", "h2c", "../..", "a b", "é", "\n", "x" * 300, "8080", "True"),
)
NUMBERS = (0, 1, 2, 5, 50, 99, 100, 101, 8080, 65535, 65536, -1, 2**31 - 1)
RUNTIME = next(row for row in kinds.CATALOG.rows if row.plural == "servingruntimes")


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Schemas:
    cache = str(tmp_path_factory.mktemp("schemas"))
    return schema.load(schema.ensure({**os.environ, "XDG_CACHE_HOME": cache}))


def sample(chance: Random, node: Schema, depth: int) -> Any:
    """A value that a schema may take."""
    if "enum" in node:
        return chance.choice(list(node["enum"]))
    if node.get(validation.INT_OR_STRING):
        return chance.choice((*NUMBERS, *TEXTS))
    match node.get("type"):
        case "object" if fields := node.get("properties"):
            wanted = set(node.get("required", ()))
            if depth:
                wanted |= {name for name in fields if chance.random() < 0.15}
            return {name: sample(chance, fields[name], depth - 1) for name in sorted(wanted)}
        case "object":
            inner = node.get("additionalProperties", {})
            return {
                chance.choice(TEXTS): sample(chance, inner, depth - 1) for _ in range(depth > 0)
            }
        case "array":
            count = chance.choice((0, 1, 1, 2, 3)) if depth else 0
            return [sample(chance, node["items"], depth - 1) for _ in range(count)]
        case "integer":
            return chance.choice(NUMBERS)
        case "number":
            return chance.choice((*NUMBERS, 0.5))
        case "boolean":
            return chance.random() < 0.5
    return chance.choice(TEXTS)


def grown(chance: Random, value: Any, node: Schema, depth: int = 0) -> Any:
    """A value with parts of it replaced or added, as the schema has them."""
    if depth and chance.random() < 0.06:
        return sample(chance, node, 4)
    if isinstance(value, dict):
        fields = node.get("properties", {})
        found = {
            name: grown(chance, item, structure.child(node, name) or {}, depth + 1)
            for name, item in value.items()
            if chance.random() > 0.02
        }
        for name in sorted(fields):
            if name not in ("status", "metadata") and name not in found and chance.random() < 0.04:
                found[name] = sample(chance, fields[name], 3)
        return found
    if isinstance(value, list):
        return [grown(chance, item, node.get("items", {}), depth + 1) for item in value]
    return value


def shaped(chance: Random, base: Object, row: Resource, schemas: Schemas) -> Object | None:
    """An object of a kind that its schema lets through, or None."""
    node = schemas.of(row.schema)
    made = {**grown(chance, base, node), "metadata": dict(base["metadata"])}
    made |= {"apiVersion": base["apiVersion"], "kind": base["kind"]}
    try:
        value = decoding.shape(made, row, schemas).value
    except decoding.Misfit:
        return None
    body = {key: item for key, item in value.items() if key != "metadata"}
    return None if validation.violations(body, node) else value


ANNOTATIONS = (
    *(
        "serving.kserve.io/enable-tag-routing",
        "serving.kserve.io/stop",
        "serving.kserve.io/autoscalerClass",
    ),
    *(
        "autoscaling.knative.dev/min-scale",
        "autoscaling.knative.dev/max-scale",
        "serving.kserve.io/deploymentMode",
    ),
    *(
        "serving.knative.dev/rollout-duration",
        "autoscaling.knative.dev/target",
        "networking.knative.dev/visibility",
    ),
)

SERVING_RUNTIME: Object = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ServingRuntime",
    "metadata": {"name": "own", "namespace": "default"},
    "spec": {
        "supportedModelFormats": [{"name": "triton", "version": "2", "autoSelect": True}],
        "protocolVersions": ["v2"],
        "containers": [{"name": "kserve-container", "image": "calumma/digits:1", "args": ["a"]}],
    },
}


@pytest.mark.parametrize("block", range(8))
def test_whatever_fits_its_schema_is_decided(schemas: Schemas, tmp_path: Path, block: int) -> None:
    decided = 0
    for seed in range(block * 10**6, block * 10**6 + junk.effort(100)):
        chance = Random(seed)
        folder = tmp_path / str(seed)
        node = Node(folder)
        if chance.random() < 0.7:
            found = shaped(chance, SERVING_RUNTIME, RUNTIME, schemas)
            node.runtimes = [found] if found else []
        for _ in range(2):
            base = digits(chance.choice(("v1", "v2")))
            if chance.random() < 0.3:
                base["metadata"]["annotations"] = {chance.choice(ANNOTATIONS): chance.choice(TEXTS)}
            isvc = shaped(chance, base, kinds.INFERENCE_SERVICES, schemas)
            if isvc is None:
                continue
            isvc["metadata"] |= {"generation": 1, "uid": "u-1"}
            old, operation = node.isvc, "UPDATE" if node.isvc else "CREATE"
            try:
                new = admission.mutate(old, structure.copied(isvc), operation, node.settings)
                admission.validate(old, new, operation, node.settings)
            except errors.AdmissionDenied:
                continue
            try:
                node.apply(isvc)
                node.complete()
                if node.programs:
                    node.crash(chance.choice(sorted(node.programs)), "boom")
            except Exception as error:
                error.add_note(f"seed {seed}: {isvc} {node.runtimes}")
                raise
            assert node.isvc is not None
            assert node.isvc["status"]["conditions"], seed
            decided += 1
    assert decided > junk.effort(15)
