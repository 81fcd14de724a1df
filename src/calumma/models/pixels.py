"""Giving an image classifier's ONNX graph the pixels of an image as they are.

A graph that was exported from a training pipeline takes float32 [batch, 3, height, width] that
its caller has normalised. Sent so, an image is four times as many bytes, and each client has
its own way to normalise. :func:`fold` moves the normalisation into the graph, which then takes
uint8 [batch, height, width, 3], as an image library gives it.
:mod:`calumma.models.food11` applies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calumma import errors


class Size(NamedTuple):
    """The image that a graph takes."""

    channels: int
    height: int
    width: int


def fold(model: onnx.ModelProto, *, mean: Sequence[float], std: Sequence[float]) -> onnx.ModelProto:
    """A copy of ``model`` whose input, of the same name, is uint8 [batch, height, width, channels].

    The graph computes ``(pixel / 255 - mean) / std`` for each channel. Where a quantised graph
    starts with a QuantizeLinear, its scale and zero point are folded in as well, and the same
    integers reach the first convolution as before. Raises :class:`~calumma.errors.ModelError`
    for a graph that does not take one float image of fixed size.

    The multiplication works on rows of ``width * channels`` pixels: on the last dimension of
    three alone, onnxruntime's broadcasting is several times slower. The transposition comes last
    and on integers, where onnxruntime cancels it against the layout of its convolutions.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    name, size = _image_input(graph)
    if not len(mean) == len(std) == size.channels:
        raise errors.ModelError(
            f"The graph takes {size.channels} channels; mean has {len(mean)} and std {len(std)}."
        )
    factor = 1 / (255 * np.asarray(std, dtype=np.float64))
    offset = -np.asarray(mean, dtype=np.float64) / np.asarray(std, dtype=np.float64)
    quantize = _quantize(graph, name)
    if quantize is None:
        target, zero = f"{name}_normalised", None
        for node in graph.node:
            node.input[:] = [target if tensor == name else tensor for tensor in node.input]
    else:
        target = quantize.output[0]
        scale, zero = (_constant(graph, tensor) for tensor in quantize.input[1:])
        factor, offset = factor / float(scale), offset / float(scale) + float(zero)
        graph.node.remove(quantize)
    nodes = _nodes(graph, name, target, size, factor, offset, None if zero is None else zero.dtype)
    for position, node in enumerate(nodes):
        graph.node.insert(position, node)
    pixels = helper.make_tensor_value_info(
        name, onnx.TensorProto.UINT8, ["batch", size.height, size.width, size.channels]
    )
    graph.input[0].CopyFrom(pixels)
    onnx.checker.check_model(model, full_check=True)
    return model


def _nodes(
    graph: Any,
    name: str,
    target: str,
    size: Size,
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
    quantized: np.dtype[Any] | None,
) -> list[Any]:
    """The nodes from pixels ``name`` to ``target``, integers of type ``quantized`` or floats."""

    def constant(label: str, value: NDArray[Any]) -> str:
        graph.initializer.append(numpy_helper.from_array(value, f"{name}_{label}"))
        return f"{name}_{label}"

    def node(operator: str, *inputs: str, output: str, **attributes: Any) -> Any:
        return helper.make_node(operator, inputs, [output], f"{operator}_to_{output}", **attributes)

    row = size.width * size.channels
    rows, values, scaled, shifted, image = (
        f"{name}_{step}" for step in ("rows", "values", "scaled", "shifted", "image")
    )
    rows_shape = constant("rows_shape", np.array([0, size.height, row]))
    image_shape = constant("image_shape", np.array([0, size.height, size.width, size.channels]))
    tiled_factor = constant("factor", np.tile(factor, size.width).astype(np.float32))
    tiled_offset = constant("offset", np.tile(offset, size.width).astype(np.float32))
    nodes = [
        node("Reshape", name, rows_shape, output=rows),
        node("Cast", rows, output=values, to=onnx.TensorProto.FLOAT),
        node("Mul", values, tiled_factor, output=scaled),
        node("Add", scaled, tiled_offset, output=shifted),
    ]
    if quantized is not None:
        one = constant("one", np.ones((), np.float32))
        zero = constant("zero", np.zeros((), quantized))
        nodes.append(node("QuantizeLinear", shifted, one, zero, output=f"{name}_rounded"))
    nodes.append(node("Reshape", nodes[-1].output[0], image_shape, output=image))
    nodes.append(node("Transpose", image, output=target, perm=[0, 3, 1, 2]))
    return nodes


def _image_input(graph: Any) -> tuple[str, Size]:
    """The name and size of the one input; dimensions other than the batch must be fixed."""
    if len(graph.input) == 1:
        tensor = graph.input[0].type.tensor_type
        dims = [dim.dim_value for dim in tensor.shape.dim]
        if tensor.elem_type == onnx.TensorProto.FLOAT and len(dims) == 4 and all(dims[1:]):
            return graph.input[0].name, Size(*dims[1:])
    found = "; ".join(
        f"'{value.name}' {onnx.helper.printable_type(value.type)}" for value in graph.input
    )
    raise errors.ModelError(
        "The ONNX graph must take one float image [batch, channels, height, width] of fixed "
        f"size; it takes {found}."
    )


def _quantize(graph: Any, name: str) -> Any:
    """The QuantizeLinear that alone reads tensor ``name`` with one constant scale, if any."""
    readers = [node for node in graph.node if name in node.input]
    if len(readers) != 1 or readers[0].op_type != "QuantizeLinear" or len(readers[0].input) != 3:
        return None
    constants = [_constant(graph, tensor) for tensor in readers[0].input[1:]]
    if any(value is None or value.size != 1 for value in constants):
        return None
    return readers[0]


def _constant(graph: Any, name: str) -> Any:
    for initializer in graph.initializer:
        if initializer.name == name:
            return numpy_helper.to_array(initializer)
    return None
