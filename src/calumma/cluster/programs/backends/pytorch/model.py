"""Triton's ``pytorch`` backend for TorchScript, written on Triton's Python backend.

The ``tritonserver`` of the nvidia-pytriton wheel ships the Python backend only. This file, placed
at ``<backend directory>/pytorch/model.py``, makes ``backend: "pytorch"`` and
``platform: "pytorch_libtorch"`` work there, so that a ``config.pbtxt`` written for NVIDIA's
container is served as it is. It follows NVIDIA's backend in how a configuration's tensors become
arguments and results of ``forward``, in its element types and in its parameters. As there, nothing
is completed: a TorchScript file does not tell the types and shapes of its tensors. Where it
differs, it says so: threads are shared between the instances of a model, each instance has weights
of its own, and what NVIDIA's backend finds out at the first request is refused at the load.

Guarantees: a model that cannot be served fails its load with a sentence; a request that cannot be
served gets its own error, and those batched with it their answers. Triton loads it in a process of
its own, without Calumma; the files that it imports lie beside it, and :mod:`torchscript`, the next
one, is the only one that imports torch.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calumma.cluster.programs.backends import batching
    from calumma.cluster.programs.backends.pytorch import signature
else:
    import calumma_batching as batching
    import calumma_signature as signature


class TritonPythonModel:
    """One instance of a model; Triton runs each in a process of its own."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the TorchScript file of this version; Triton calls it once."""
        config = json.loads(args["model_config"])
        batching.refuse_what_is_not_built(config, "pytorch")
        signature.refuse_what_is_not_built(config)
        # Threads that wait are not to spin: there are other processes. OpenMP reads it once.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # Before each load Triton starts a process that only completes the configuration: it is
        # spared the second that torch takes to import.
        torchscript = importlib.import_module("calumma_torchscript")
        file = Path(args["model_repository"], args["model_version"])
        self.model = torchscript.Model(
            config,
            file / config["default_model_filename"],
            torchscript.device(
                config, args["model_instance_kind"], args["model_instance_device_id"]
            ),
        )
        self.strings = signature.strings(config)
        self.executor = batching.Executor(self._read, self.model.run, config["max_batch_size"] > 0)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request: those of one signature run as one batch."""
        responses = self.executor.execute(requests)
        self.model.clean()
        return responses

    def _read(self, tensor: Any) -> batching.Array:
        name, array = tensor.name(), tensor.as_numpy()
        return batching.texts(name, array) if name in self.strings else array
