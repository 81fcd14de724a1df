"""A predictor on KServe's own server, without Triton, as upstream's custom models are.

It answers with :class:`~support.torchscript_models.Cifar10` by REST and by gRPC.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import kserve
import torch
from kserve import model_server

sys.path.append(str(Path(__file__).resolve().parents[1]))

from support import torchscript_models


class Predictor(kserve.Model):  # type: ignore[misc]
    """Images in, logits out; the model's weights follow from ``seed``."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name)
        self.network = torchscript_models.Cifar10(seed)
        self.ready = True

    def predict(
        self, payload: kserve.InferRequest, headers: Any = None, response_headers: Any = None
    ) -> kserve.InferResponse:
        batch = torch.from_numpy(payload.inputs[0].as_numpy().copy())
        with torch.inference_mode():
            logits = self.network(batch).numpy()
        tensor = kserve.InferOutput("OUTPUT__0", list(logits.shape), "FP32")
        tensor.set_data_from_numpy(logits, binary_data=True)
        return kserve.InferResponse(payload.id, self.name, [tensor])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    kserve.ModelServer().start([Predictor(arguments.model_name, arguments.seed)])
