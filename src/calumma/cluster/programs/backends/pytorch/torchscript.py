"""A TorchScript file as a model: torch, its settings, and calls of ``forward``.

Inputs and outputs are numpy arrays of the configured types; on the CPU, torch works on the
request's own memory. NVIDIA's parameters are taken where torch for Python has what they set.
Triton's backend directory has this file beside ``model.py``, its caller, as
``calumma_torchscript.py``. Whatever does not work is :class:`batching.Refused`, with a sentence.
:mod:`signature` decides which tensor is which argument.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from calumma.cluster.programs.backends import batching
    from calumma.cluster.programs.backends.pytorch import signature
else:
    import calumma_batching as batching
    import calumma_signature as signature

# Parameters that switch something for the whole process, when they are there.
SWITCHES = {
    "ENABLE_JIT_EXECUTOR": torch._C._jit_set_profiling_executor,
    "ENABLE_JIT_PROFILING": torch._C._jit_set_profiling_mode,
    "ENABLE_TENSOR_FUSER": torch._C._jit_set_texpr_fuser_enabled,
}

_HERE = "<--- HERE"


class Model:
    """A module on a device, called with arrays by name."""

    def __init__(self, config: batching.Config, file: Path, device: torch.device | None) -> None:
        self._name = config["name"]
        self._device = device
        _set_process(config)
        self._optimized = not batching.flag(config, "DISABLE_OPTIMIZED_EXECUTION", False)
        self._inference_mode = bool(batching.flag(config, "INFERENCE_MODE", True))
        self._cleaning = batching.flag(config, "ENABLE_CACHE_CLEANING", False)
        with torch.inference_mode(self._inference_mode):
            module = _module(file, device)
        schema = module.forward.schema
        arguments = schema.arguments[1:]  # the first is the module itself
        self._inputs = signature.inputs(
            config, [signature.Value(each.name, each.type.annotation_str) for each in arguments]
        )
        (returned,) = (each.type for each in schema.returns)
        results = returned.elements() if returned.kind() == "TupleType" else [returned]
        self._outputs = signature.outputs(config, [each.annotation_str for each in results])
        self._batched = config["max_batch_size"] > 0
        self._module = _optimized(config, module)

    def run(self, inputs: batching.Arrays, wanted: Sequence[str]) -> batching.Arrays:
        """The wanted outputs for these inputs."""
        values = {name: self._value(array) for name, array in inputs.items()}
        arguments: Sequence[Any] = [values]
        if self._inputs is not None:
            if missing := [name for name in self._inputs if name not in values]:
                raise batching.Refused(
                    f"Model '{self._name}' needs input '{missing[0]}', which the request lacks."
                )
            arguments = [values[name] for name in self._inputs]
        with (
            torch.inference_mode(self._inference_mode),
            torch.no_grad(),
            torch.jit.optimized_execution(self._optimized),  # type: ignore[attr-defined]
        ):
            try:
                answer = self._module(*arguments)
            except Exception as error:
                raise batching.Refused(
                    f"forward() of model '{self._name}' failed: {_reason(error)}"
                ) from None
        results = answer if isinstance(answer, tuple) else (answer,)
        rows = batching.rows(inputs) if self._batched else None
        return {name: self._array(name, results, rows) for name in wanted}

    def clean(self) -> None:
        """Give cached GPU memory back, where the configuration asks for it."""
        if self._cleaning and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _value(self, array: batching.Array) -> Any:
        if array.dtype == np.object_:
            return array.tolist()
        value = torch.from_numpy(array)
        return value if self._device is None else value.to(self._device)

    def _array(self, name: str, results: Sequence[Any], rows: int | None) -> batching.Array:
        """An output, which must be what is configured, with ``rows`` rows where it is batched."""
        place, type_ = self._outputs[name]
        result = results[place]
        if isinstance(result, torch.Tensor):
            element = str(result.dtype).removeprefix("torch.")
            found = signature.TYPES.get(element, f"a tensor of {element}")
            if found != type_:
                raise batching.Refused(
                    f"Model '{self._name}' configures output '{name}' as {type_}; its forward() "
                    f"returned {found}."
                )
            array: batching.Array = result.detach().cpu().numpy()
        else:
            array = np.array(result, dtype=np.object_)
        if not array.ndim:
            raise batching.Refused(
                f"Output '{name}' of model '{self._name}' is a scalar, which Triton does not have; "
                "forward() may return a tensor of shape [1]."
            )
        if rows is not None and len(array) != rows:
            raise batching.Refused(
                f"Output '{name}' of model '{self._name}' has shape {list(array.shape)} for a "
                f"batch of {rows}; with max_batch_size above 0 its first dimension is the batch."
            )
        return array


def device(config: batching.Config, kind: str, number: str) -> torch.device | None:
    """The device of an instance; ``None`` for KIND_MODEL, whose file places its own tensors."""
    if kind == "MODEL":
        return None
    if kind == "GPU" and torch.cuda.is_available():
        return torch.device("cuda", int(number))
    if kind == "GPU":
        pb_utils.Logger.log_warn(
            f"Model '{config['name']}' asks for a GPU; torch {torch.__version__} finds none that "
            "it can use. It is served on the CPU."
        )
    return torch.device("cpu")


def _set_process(config: batching.Config) -> None:
    """Set the threads and switches of this process.

    A thread count of 0, or none, is this instance's share of the machine's cores.
    """
    share = batching.threads(config)
    torch.set_num_threads(batching.count(config, "INTRA_OP_THREAD_COUNT") or share)
    torch.set_num_interop_threads(batching.count(config, "INTER_OP_THREAD_COUNT") or share)
    torch.backends.cudnn.enabled = not batching.flag(config, "DISABLE_CUDNN", False)
    for key, switch in SWITCHES.items():
        value = batching.flag(config, key, None)
        if value is not None:
            switch(value)
    if batching.flag(config, "ENABLE_WEIGHT_SHARING", False):
        pb_utils.Logger.log_warn(
            f"Model '{config['name']}' sets ENABLE_WEIGHT_SHARING; here each instance is a "
            "process, which has weights of its own."
        )


def _module(file: Path, device: torch.device | None) -> Any:
    if not file.is_file():
        raise batching.Refused(f"There is no TorchScript file at {file}.")
    if not file.stat().st_size:
        raise batching.Refused(f"The TorchScript file {file} is empty.")
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            parts = {name.partition("/")[2] for name in archive.namelist()}
        if "constants.pkl" not in parts:
            raise batching.Refused(
                f"{file} is not TorchScript; the pytorch backend serves what torch.jit.script or "
                "torch.jit.trace made and its save() wrote. torch.save and torch.export.save "
                "write other formats."
            )
    try:
        module = torch.jit.load(str(file), map_location=device)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise batching.Refused(f"torch cannot load {file}: {_reason(error)}") from None
    if not hasattr(module, "forward"):
        raise batching.Refused(f"The module in {file} has no forward().")
    return module


def _optimized(config: batching.Config, module: Any) -> Any:
    """The module, or what torch makes of it where the parameter OPTIMIZE_FOR_INFERENCE is true.

    The parameter is ours alone; NVIDIA's backend passes over it. Constants are folded and layouts
    chosen for this machine: convolutions on a CPU take about half the time, and results differ
    in the last digits.
    """
    if not batching.flag(config, "OPTIMIZE_FOR_INFERENCE", False):
        return module
    try:
        return torch.jit.optimize_for_inference(module.eval())
    except Exception as error:
        raise batching.Refused(
            f"Model '{config['name']}' sets OPTIMIZE_FOR_INFERENCE, which torch cannot do with "
            f"it: {_reason(error)}"
        ) from None


def _reason(error: Exception) -> str:
    """What torch says, without TorchScript's traceback and advice that is not for here."""
    text = str(error)
    if _HERE in text:
        told = re.search(r"^[\w.]+: .*\Z", text.rpartition(_HERE)[2], re.M | re.S)
        text = told[0] if told else text
    text = text.removeprefix("RuntimeError: ").removeprefix("builtins.")
    return text.split(" This is an internal miniz error.")[0].strip()
