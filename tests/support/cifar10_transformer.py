"""A transformer on KServe's own server and client, as a user writes one for a cluster.

PNG images in the form of KServe's V1 protocol, normalised as upstream's example does for CIFAR-10;
the predictor is asked by ``--predictor_protocol``. It runs as a process: ``kserve`` and NVIDIA's
gRPC client cannot be imported in one.
"""

from __future__ import annotations

import argparse
import base64
import io
from typing import Any

import kserve
import numpy as np
from kserve import model_server
from numpy.typing import NDArray
from PIL import Image

MEAN, DEVIATION = 0.1307, 0.3081


def pixels(png: bytes) -> NDArray[np.float32]:
    """An image as the model takes it, float32 [3, height, width]."""
    with Image.open(io.BytesIO(png)) as image:
        scaled = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    return np.ascontiguousarray(((scaled - MEAN) / DEVIATION).transpose(2, 0, 1), dtype=np.float32)


class Transformer(kserve.Model):  # type: ignore[misc]
    """Images in, logits out."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ready = True

    def preprocess(self, payload: dict[str, Any], headers: Any = None) -> kserve.InferRequest:
        images = [base64.b64decode(each["image"]["b64"]) for each in payload["instances"]]
        batch = np.stack([pixels(image) for image in images])
        tensor = kserve.InferInput("INPUT__0", list(batch.shape), "FP32", batch)
        return kserve.InferRequest(model_name=self.name, infer_inputs=[tensor])

    def postprocess(
        self,
        infer_response: kserve.InferResponse,
        headers: Any = None,
        response_headers: Any = None,
    ) -> dict[str, Any]:
        return {"predictions": infer_response.outputs[0].as_numpy().tolist()}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(parents=[model_server.parser]).parse_args()
    kserve.ModelServer().start([Transformer(arguments.model_name)])
