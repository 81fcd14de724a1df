"""From a PyTorch network to the bytes of an ONNX file, the same bytes each time.

PyTorch's exporter notes in every node where in the source it came from. That is dropped: a model
file then depends on its weights only, not on the folder that Calumma was trained in. The way
into a Triton repository is :mod:`calumma.models.repository`.
"""

from __future__ import annotations

import logging
import warnings
from typing import cast

import onnx
import torch


def export(network: torch.nn.Module, example: torch.Tensor, *, input: str, output: str) -> bytes:
    """Serialise ``network`` with a free first dimension.

    ``example`` is an input of at least two rows; ``input`` and ``output`` name the tensors.
    """
    # The exporter warns, through its log, of torchvision's operators, which no network here has.
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # PyTorch's own use of a class that PyTorch deprecated.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            program = torch.onnx.export(
                network.eval(),
                (example,),
                input_names=[input],
                output_names=[output],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                verbose=False,
            )
    finally:
        log.setLevel(level)
    model = cast(torch.onnx.ONNXProgram, program).model_proto
    graph = model.graph
    tensors = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for element in (model, graph, *graph.node, *tensors):
        del element.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
