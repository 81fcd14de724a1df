"""Folding the normalisation into a graph: the same numbers, from pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calumma import errors
from calumma.models import pixels

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
HEIGHT, WIDTH = 6, 4


def graph(nodes: list[Any], constants: dict[str, Any], output: int, shape: list[Any]) -> Any:
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info(
        "output", output, [f"out_{n}" for n in range(len(shape))]
    )
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    body = helper.make_graph(nodes, "classifier", [image], [result], initializers)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model: Any, image: NDArray[Any]) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, {"input": image})
    return np.asarray(output)


@pytest.fixture
def images() -> NDArray[np.uint8]:
    shape = (5, HEIGHT, WIDTH, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = (images / 255 - np.array(MEAN)) / np.array(STD)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=np.float32)


def test_a_float_graph_computes_the_same(images: NDArray[np.uint8]) -> None:
    weights = np.random.default_rng(1).normal(size=(2, 3, 3, 3)).astype(np.float32)
    original = graph(
        [
            helper.make_node("Conv", ["input", "w"], ["features"], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["features"], ["output"]),
        ],
        {"w": weights},
        TensorProto.FLOAT,
        ["n", 3, HEIGHT, WIDTH],
    )
    folded = pixels.fold(original, mean=MEAN, std=STD)
    np.testing.assert_allclose(
        run(folded, images), run(original, normalised(images)), rtol=1e-4, atol=1e-5
    )
    assert original.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT  # a copy


@pytest.mark.parametrize("zero_point", [np.uint8(57), np.int8(-7)])
def test_a_quantised_graph_gets_the_same_integers(
    images: NDArray[np.uint8], zero_point: Any
) -> None:
    type_ = TensorProto.UINT8 if zero_point.dtype == np.uint8 else TensorProto.INT8
    original = graph(
        [
            helper.make_node("QuantizeLinear", ["input", "scale", "zero"], ["integers"]),
            helper.make_node("Identity", ["integers"], ["output"]),
        ],
        {"scale": np.float32(0.0374638).reshape(()), "zero": zero_point.reshape(())},
        type_,
        ["n", 3, HEIGHT, WIDTH],
    )
    folded = pixels.fold(original, mean=MEAN, std=STD)
    np.testing.assert_array_equal(run(folded, images), run(original, normalised(images)))
    operators = [node.op_type for node in folded.graph.node]
    assert operators.count("QuantizeLinear") == 1


@pytest.mark.parametrize("shape", [["n", 3, "h", "w"], ["n", 3], ["n", 3, 6]])
def test_a_graph_without_one_image_of_fixed_size_is_refused(shape: list[Any]) -> None:
    original = graph(
        [helper.make_node("Identity", ["input"], ["output"])], {}, TensorProto.FLOAT, shape
    )
    with pytest.raises(errors.ModelError, match=r"one float image .* it takes 'input'"):
        pixels.fold(original, mean=MEAN, std=STD)


def test_statistics_of_other_channels_are_refused() -> None:
    original = graph(
        [helper.make_node("Identity", ["input"], ["output"])],
        {},
        TensorProto.FLOAT,
        ["n", 3, HEIGHT, WIDTH],
    )
    with pytest.raises(errors.ModelError, match="takes 3 channels; mean has 1 and std 3"):
        pixels.fold(original, mean=MEAN[:1], std=STD)
    onnx.checker.check_model(original)
