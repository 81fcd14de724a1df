"""Small ONNX models, each for one property of a server, and the repositories to put them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def add(
    repository: Path, name: str, onnx: bytes | None, config: str | None = None, version: int = 1
) -> None:
    """Add a version of a model to a repository; without ``onnx`` or ``config``, not that file."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True)
    if onnx is not None:
        (folder / "model.onnx").write_bytes(onnx)
    if config is not None:
        (folder.parent / "config.pbtxt").write_text(config)


def graph(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[int, Sequence[Any]]],
    outputs: Mapping[str, tuple[int, Sequence[Any]]],
    constants: Mapping[str, Any] | None = None,
) -> bytes:
    """A serialised model; inputs and outputs are element types and shapes by name."""

    def values(named: Mapping[str, tuple[int, Sequence[Any]]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, *type_) for name, type_ in named.items()]

    initializers = [
        numpy_helper.from_array(value, name) for name, value in (constants or {}).items()
    ]
    body = helper.make_graph(nodes, "model", values(inputs), values(outputs), initializers)
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(body, opset_imports=opset, ir_version=9)
    return bytes(model.SerializeToString())


def identity(type_: int, shape: Sequence[Any]) -> bytes:
    """Gives ``y``, its input ``x``."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return graph([node], {"x": (type_, shape)}, {"y": (type_, shape)})


def lookup() -> bytes:
    """Gives ``value`` [n, 1], half of ``index`` [n, 1]; onnxruntime fails beyond 9."""
    return graph(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        {"index": (TensorProto.INT64, ["n", 1])},
        {"value": (TensorProto.FLOAT, ["n", 1])},
        {"table": np.arange(10, dtype=np.float32) / 2},
    )


def two_outputs() -> bytes:
    """Gives ``double`` and ``negative`` of ``x`` [n, any]."""
    shape = ["n", "width"]
    return graph(
        [
            helper.make_node("Add", ["x", "x"], ["double"]),
            helper.make_node("Neg", ["x"], ["negative"]),
        ],
        {"x": (TensorProto.FLOAT, shape)},
        {"double": (TensorProto.FLOAT, shape), "negative": (TensorProto.FLOAT, shape)},
    )


def sum_of_two(z: float | None = None) -> bytes:
    """Gives ``y`` [n, 1], the sum of ``x`` [n, 1] and ``z`` [1, 1], which may have a default."""
    shape = ["n", 1]
    return graph(
        [helper.make_node("Add", ["x", "z"], ["y"])],
        {"x": (TensorProto.FLOAT, shape), "z": (TensorProto.FLOAT, [1, 1])},
        {"y": (TensorProto.FLOAT, shape)},
        {} if z is None else {"z": np.full((1, 1), z, dtype=np.float32)},
    )
