"""Asks a model through the gateway by gRPC, as a process of its own, and prints what it said.

``ask_by_grpc.py nvidia|kserve ADDRESS AUTHORITY MODEL FILE``: whose client, the gateway, the host
name that leads to the service, the model and a float32 batch for INPUT__0. ``kserve`` and
NVIDIA's gRPC client cannot be imported in one process, so neither is in the tests' own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

Answer = dict[str, Any]


def by_nvidias_client(
    address: str, options: list[Any], model: str, batch: NDArray[np.float32]
) -> Answer:
    import tritonclient.grpc as triton_grpc

    with triton_grpc.InferenceServerClient(address, channel_args=options) as client:
        tensor = triton_grpc.InferInput("INPUT__0", list(batch.shape), "FP32")
        tensor.set_data_from_numpy(batch)
        ready = client.is_server_ready() and client.is_model_ready(model)
        metadata = client.get_model_metadata(model, as_json=True)
        reply = client.infer(model, [tensor])
        return {
            "ready": ready,
            "platform": metadata.get("platform", ""),
            "logits": reply.as_numpy("OUTPUT__0").tolist(),
        }


async def by_kserves_client(
    address: str, options: list[Any], model: str, batch: NDArray[np.float32]
) -> Answer:
    import kserve

    async with kserve.InferenceGRPCClient(address, channel_args=options) as client:
        tensor = kserve.InferInput("INPUT__0", list(batch.shape), "FP32", batch)
        ready = await client.is_server_ready() and await client.is_model_ready(model)
        reply = await client.infer(kserve.InferRequest(model, [tensor]))
        return {"ready": ready, "logits": reply.outputs[0].as_numpy().tolist()}


def main(client: str, address: str, authority: str, model: str, file: str) -> Answer:
    options = [("grpc.ssl_target_name_override", authority)]
    batch = np.load(Path(file))
    try:
        if client == "nvidia":
            return by_nvidias_client(address, options, model, batch)
        return asyncio.run(by_kserves_client(address, options, model, batch))
    except InferenceServerException as error:
        return {"code": error.status(), "details": error.message()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
