"""Which runtime serves a model."""

from __future__ import annotations

from typing import Any

import pytest

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import runtimes
from calumma.cluster.objects import Object
from support.simulation import bundled


def runtime(
    name: str,
    *formats: tuple[str, str, int | None],
    protocols: tuple[str, ...] = ("v2",),
    created: str = "2026-01-01T00:00:00Z",
    **spec: Any,
) -> Object:
    supported = []
    for each, version, priority in formats:
        entry: Object = {"name": each, "version": version, "autoSelect": True}
        if priority is not None:
            entry["priority"] = priority
        supported.append(entry)
    return {
        "metadata": {"name": name, "creationTimestamp": created},
        "spec": {
            "supportedModelFormats": supported,
            "protocolVersions": list(protocols),
            "containers": [{"name": "kserve-container", "image": name}],
            **spec,
        },
    }


def model(name: str = "triton", **fields: Any) -> Object:
    version = fields.pop("version", None)
    form = {"name": name} if version is None else {"name": name, "version": version}
    return {"modelFormat": form, **fields}


def chosen(asked: Object, namespaced: list[Object], cluster: list[Object]) -> str:
    return objects.name(runtimes.select(asked, runtimes.Runtimes(namespaced, cluster)).runtime)


def test_the_bundled_triton_serves_triton_models() -> None:
    seen = runtimes.Runtimes([], bundled("ClusterServingRuntime"))
    selection = runtimes.select(model(protocolVersion="v2"), seen)
    assert objects.name(selection.runtime) == "kserve-tritonserver"
    assert selection.is_cluster
    assert selection.server_type == "tritonserver"


def test_a_namespaced_runtime_wins() -> None:
    mine, theirs = runtime("mine", ("triton", "2", None)), runtime("theirs", ("triton", "2", 5))
    assert chosen(model(protocolVersion="v2"), [mine], [theirs]) == "mine"


def test_the_higher_priority_wins_then_the_newer_then_the_name() -> None:
    asked = model(protocolVersion="v2")
    low, high = runtime("a", ("triton", "2", 1)), runtime("b", ("triton", "2", 2))
    assert chosen(asked, [], [low, high]) == "b"
    none = runtime("c", ("triton", "2", None))
    assert chosen(asked, [], [none, low]) == "a"
    newer = runtime("z", ("triton", "2", 1), created="2026-02-01T00:00:00Z")
    assert chosen(asked, [], [low, newer]) == "z"
    same = runtime("b", ("triton", "2", 1))
    assert chosen(asked, [], [same, low]) == "a"


def test_a_lower_protocol_comes_before_a_newer_runtime() -> None:
    both = runtime("both", ("triton", "2", 1), protocols=("v1", "v2"))
    newer = runtime("newer", ("triton", "2", 1), created="2026-02-01T00:00:00Z")
    assert chosen(model(protocolVersion="v2"), [], [newer, both]) == "both"


def test_a_model_without_protocol_means_v1() -> None:
    with pytest.raises(errors.InvalidSpec, match=r"model type: \{onnx <nil>\}"):
        chosen(model("onnx"), [], bundled("ClusterServingRuntime"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (model("triton", protocolVersion="v2"), "triton"),
        (model("onnx", protocolVersion="v2"), "triton"),
        (model("tensorrt", protocolVersion="grpc-v2"), "triton"),
        (model("tensorflow", version="1"), "serving"),
        (model("tensorflow", version="1", protocolVersion="v2"), "triton"),
        (model("tensorflow", version="2", protocolVersion="v2"), "triton"),
        (model("sklearn", protocolVersion="v2"), "mlserver"),
        (model("sklearn"), "sklearnserver"),
    ],
)
def test_which_runtime_kserves_own_set_gives(asked: Object, expected: str) -> None:
    available = [
        runtime("serving", ("tensorflow", "1", 2), ("tensorflow", "2", 2), protocols=("v1",)),
        runtime("mlserver", ("sklearn", "1", 2)),
        runtime("sklearnserver", ("sklearn", "1", 1), protocols=("v1", "v2")),
        runtime(
            "triton",
            ("triton", "2", 1),
            ("onnx", "1", 1),
            ("tensorrt", "8", 1),
            ("tensorflow", "1", 1),
            ("tensorflow", "2", 1),
            protocols=("v2", "grpc-v2"),
        ),
    ]
    assert chosen(asked, [], available) == expected


def test_a_runtime_without_protocols_speaks_any_and_comes_last() -> None:
    any_protocol = runtime("any", ("triton", "2", None), protocols=())
    assert chosen(model(protocolVersion="grpc-v1"), [], [any_protocol]) == "any"
    newer = runtime("any", ("triton", "2", None), protocols=(), created="2026-03-01T00:00:00Z")
    known = runtime("known", ("triton", "2", None))
    assert chosen(model(protocolVersion="v2"), [], [newer, known]) == "known"


def test_a_named_runtime_of_the_namespace_wins_and_needs_no_auto_select() -> None:
    mine, theirs = runtime("same", ("x", "1", None)), runtime("same", ("x", "1", None))
    mine["spec"]["supportedModelFormats"][0]["autoSelect"] = False
    selection = runtimes.select(model("x", runtime="same"), runtimes.Runtimes([mine], [theirs]))
    assert not selection.is_cluster


def test_a_version_must_match() -> None:
    one = runtime("one", ("onnx", "1", 1))
    assert chosen(model("onnx", version="1", protocolVersion="v2"), [], [one]) == "one"
    with pytest.raises(errors.InvalidSpec):
        chosen(model("onnx", version="9", protocolVersion="v2"), [], [one])


def test_formats_without_auto_select_need_the_runtimes_name() -> None:
    triton = bundled("ClusterServingRuntime")
    asked = model("pytorch", protocolVersion="v2")
    with pytest.raises(errors.InvalidSpec, match="no runtime found"):
        chosen(asked, [], triton)
    named = model("pytorch", protocolVersion="v2", runtime="kserve-tritonserver")
    assert chosen(named, [], triton) == "kserve-tritonserver"


@pytest.mark.parametrize(
    ("asked", "available", "message", "reason"),
    [
        (
            model(runtime="nope"),
            runtime("other", ("triton", "2", 1)),
            "No ServingRuntimes or ClusterServingRuntimes with the name: nope",
            "RuntimeNotRecognized",
        ),
        (
            model(runtime="mine"),
            runtime("mine", ("triton", "2", 1), disabled=True),
            "specified runtime mine is disabled",
            "RuntimeDisabled",
        ),
        (
            model(runtime="mine", protocolVersion="v1"),
            runtime("mine", ("triton", "2", 1)),
            "specified runtime mine does not support specified protocol version",
            "NoSupportingRuntime",
        ),
        (
            model("onnx", runtime="mine", protocolVersion="v2"),
            runtime("mine", ("triton", "2", 1)),
            "specified runtime mine does not support specified framework/version",
            "NoSupportingRuntime",
        ),
    ],
)
def test_a_named_runtime_that_does_not_fit(
    asked: Object, available: Object, message: str, reason: str
) -> None:
    with pytest.raises(errors.InvalidSpec) as failed:
        chosen(asked, [], [available])
    assert (str(failed.value), failed.value.reason) == (message, reason)


@pytest.mark.parametrize("spec", [{"disabled": True}, {"multiModel": True}, {"workerSpec": {}}])
def test_runtimes_of_another_kind_are_not_chosen(spec: Object) -> None:
    with pytest.raises(errors.InvalidSpec):
        chosen(model(protocolVersion="v2"), [], [runtime("a", ("triton", "2", 1), **spec)])


def test_a_runtime_without_a_spec_is_not_chosen() -> None:
    empty = {"metadata": {"name": "a"}}
    assert chosen(model(protocolVersion="v2"), [empty], [runtime("b", ("triton", "2", 1))]) == "b"
