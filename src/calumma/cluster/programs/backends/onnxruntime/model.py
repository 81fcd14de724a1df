"""Triton's ``onnxruntime`` backend, written on Triton's Python backend.

The ``tritonserver`` of the nvidia-pytriton wheel ships the Python backend only. This file, placed
at ``<backend directory>/onnxruntime/model.py``, makes ``backend: "onnxruntime"`` and
``platform: "onnxruntime_onnx"`` work there, so that a ``config.pbtxt`` written for NVIDIA's
container is served as it is. It follows NVIDIA's backend in what it completes
(``max_batch_size``, inputs, outputs) and in its parameters; where it differs, it says so:
threads are shared between the instances of a model instead of one pool of all cores for each.

Guarantees: a model that cannot be served fails its load with a sentence; a request that cannot be
served gets its own error, and those batched with it their answers. It imports onnxruntime and
Triton's module only, because Triton loads it in a process of its own, without Calumma.
:mod:`calumma.cluster.programs.backends.batching` is the part that all backends share.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import onnxruntime
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from calumma.cluster.programs.backends import batching
else:
    import calumma_batching as batching

# ONNX's element types, as onnxruntime writes them, and Triton's. Bfloat16 is absent: numpy has no
# such type, so Triton's Python backend cannot carry it.
TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}

# ``optimization { graph { level } }`` in NVIDIA's meaning.
LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

# The parameter ``execution_mode``.
MODES = {
    0: onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
    1: onnxruntime.ExecutionMode.ORT_PARALLEL,
}

# ``optimization { execution_accelerators }``: NVIDIA's names and onnxruntime's.
ACCELERATORS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}

# NVIDIA's default of ``--backend-config=onnxruntime,default-max-batch-size``.
DEFAULT_MAX_BATCH_SIZE = 4


class Tensor(NamedTuple):
    """An input or output of the ONNX graph; a dimension of -1 is free."""

    name: str
    type: str
    dims: tuple[int, ...]


class TritonPythonModel:
    """One instance of a model; Triton runs each in a process of its own."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Add what ``config.pbtxt`` leaves out and the ONNX file knows, as NVIDIA's backend does.

        A configuration with inputs and outputs is left alone. Otherwise a model all of whose
        tensors have a free first dimension gets ``max_batch_size`` and dynamic batching.
        """
        given = config.as_dict()
        if given["input"] and given["output"]:
            return config
        options = _options()
        options.graph_optimization_level = LEVELS[2]  # only the signature is read
        session = _session(_model_file(), options, ["CPUExecutionProvider"])
        inputs, outputs = _tensors(session.get_inputs()), _tensors(session.get_outputs())
        batches = all(tensor.dims[:1] == (-1,) for tensor in (*inputs, *outputs))
        if batches:
            config.set_max_batch_size(given["max_batch_size"] or DEFAULT_MAX_BATCH_SIZE)
            if "sequence_batching" not in given and given["max_batch_size"] != 1:
                config.set_dynamic_batching()
        elif given["max_batch_size"]:
            raise batching.Refused(
                f"Model '{given['name']}' asks for max_batch_size {given['max_batch_size']}, but "
                "its ONNX file has a tensor whose first dimension is fixed; export it with a "
                "free batch dimension, or set max_batch_size: 0."
            )
        for add, present, tensors in (
            (config.add_input, given["input"], inputs),
            (config.add_output, given["output"], outputs),
        ):
            for tensor in () if present else tensors:
                dims = list(tensor.dims[1:] if batches else tensor.dims) or [1]
                add({"name": tensor.name, "data_type": tensor.type, "dims": dims})
        return config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the ONNX file of this version; Triton calls it once."""
        config = json.loads(args["model_config"])
        batching.refuse_what_is_not_built(config, "onnxruntime")
        folder = Path(args["model_repository"]) / args["model_version"]
        file = folder / (config["default_model_filename"] or "model.onnx")
        kind, device = args["model_instance_kind"], args["model_instance_device_id"]
        self.session = _session(file, _options_of(config), _providers(config, kind, device))
        needed = _tensors(self.session.get_inputs())
        # Those that have a value of their own in the file: configured, they are optional inputs.
        inputs = needed + _tensors(self.session.get_overridable_initializers())
        _match(config, "input", inputs)
        _refuse_missing_inputs(config, needed)
        self.ranks = {tensor.name: len(tensor.dims) for tensor in inputs}
        self.strings = {tensor.name for tensor in inputs if tensor.type == "TYPE_STRING"}
        self.output_ranks = _match(config, "output", _tensors(self.session.get_outputs()))
        batched = config["max_batch_size"] > 0
        self.executor = batching.Executor(self._read, self._run, batched)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request: those of one signature run as one batch."""
        return self.executor.execute(requests)

    def _read(self, tensor: Any) -> batching.Array:
        name, array = tensor.name(), tensor.as_numpy()
        if array.ndim == self.ranks[name] + 1 and array.shape[-1] == 1:
            # Triton has no scalars: a batch of them is configured as ``dims: [1]``.
            array = array.reshape(array.shape[:-1])
        return batching.texts(name, array) if name in self.strings else array

    def _run(self, inputs: batching.Arrays, wanted: Sequence[str]) -> batching.Arrays:
        results = dict(zip(wanted, self.session.run(wanted, inputs), strict=True))
        return {
            name: array.reshape(*array.shape, 1) if array.ndim < self.output_ranks[name] else array
            for name, array in results.items()
        }


def _model_file() -> Path:
    """The ONNX file of the configuration to complete.

    Triton passes only the configuration to ``auto_complete_config``, but it starts this process
    as ``triton_python_backend_stub <repository>/<model>/<version>/<file> ...``.
    """
    return Path(os.fsdecode(Path("/proc/self/cmdline").read_bytes().split(b"\0")[1]))


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; they come back as exceptions as well
    return options


def _session(file: Path, options: Any, providers: Sequence[Any]) -> Any:
    """An onnxruntime session of ``file``, or of the file of its name in the folder ``file``."""
    if file.is_dir():  # a model with external data
        file = file / file.name
    if not file.is_file():
        raise batching.Refused(f"There is no ONNX file at {file}.")
    if not file.stat().st_size:
        raise batching.Refused(f"The ONNX file {file} is empty.")
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=list(providers))
    except Exception as error:
        raise batching.Refused(f"onnxruntime cannot load {file}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What onnxruntime says, without its code and the repeated path."""
    return str(error).split(" : ", 3)[-1].split(" failed:", 1)[-1].strip()


def _tensors(arguments: Iterable[Any]) -> list[Tensor]:
    tensors = []
    for argument in arguments:
        if argument.type not in TYPES:
            raise batching.Refused(
                f"Tensor '{argument.name}' is a {argument.type}, which Triton's Python backend "
                f"cannot carry; it carries {', '.join(TYPES)}."
            )
        dims = tuple(d if isinstance(d, int) else -1 for d in argument.shape)
        tensors.append(Tensor(argument.name, TYPES[argument.type], dims))
    return tensors


def _match(config: Mapping[str, Any], kind: str, tensors: list[Tensor]) -> dict[str, int]:
    """Check that each configured tensor is one of the graph's; return the ranks configured."""
    known = {tensor.name: tensor for tensor in tensors}
    batch = [-1] if config["max_batch_size"] > 0 else []
    ranks = {}
    for entry in config[kind]:
        name, type_ = entry["name"], entry["data_type"]
        says = f"Model '{config['name']}' configures {kind} '{name}'"
        if name not in known:
            raise batching.Refused(f"{says}; its ONNX file has {', '.join(known)}.")
        tensor = known[name]
        if tensor.type != type_:
            raise batching.Refused(f"{says} as {type_}; its ONNX file has {tensor.type}.")
        dims = [int(dim) for dim in entry.get("reshape", {}).get("shape", entry["dims"])]
        shape = [*batch, *dims]
        scalar = len(shape) == len(tensor.dims) + 1 and shape[-1] == 1
        same = len(shape) == len(tensor.dims) and all(
            one == other or -1 in (one, other)
            for one, other in zip(shape, tensor.dims, strict=True)
        )
        if not scalar and not same:
            raise batching.Refused(
                f"{says} with shape {shape}{' (the first is the batch)' if batch else ''}; its "
                f"ONNX file has {list(tensor.dims)}."
            )
        ranks[name] = len(shape)
    return ranks


def _refuse_missing_inputs(config: Mapping[str, Any], inputs: list[Tensor]) -> None:
    configured = {entry["name"] for entry in config["input"]}
    missing = [tensor.name for tensor in inputs if tensor.name not in configured]
    if missing and "sequence_batching" not in config:  # which has inputs of its own
        raise batching.Refused(
            f"Model '{config['name']}' does not configure input '{missing[0]}', which its ONNX "
            "file needs."
        )


def _options_of(config: Mapping[str, Any]) -> Any:
    """Session options from NVIDIA's parameters and ``optimization { graph { level } }``.

    A thread count of 0, or none, is this instance's share of the machine's cores. Threads that
    wait do not spin: there are other processes.
    """
    parameters = batching.parameters(config)
    options = _options()
    level = int(config["optimization"].get("graph", {}).get("level", 0))
    options.graph_optimization_level = _choice(config, "optimization.graph.level", level, LEVELS)
    mode = batching.count(config, "execution_mode")
    options.execution_mode = _choice(config, "execution_mode", mode, MODES)
    share = batching.threads(config)
    options.intra_op_num_threads = batching.count(config, "intra_op_thread_count") or share
    options.inter_op_num_threads = batching.count(config, "inter_op_thread_count") or share
    options.enable_cpu_mem_arena = parameters.get("enable_mem_arena") != "0"
    options.enable_mem_pattern = parameters.get("enable_mem_pattern") != "0"
    entries = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}
    entries |= {key: value for key, value in parameters.items() if key.startswith("session.")}
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return options


def _choice(config: Mapping[str, Any], key: str, value: int, choices: Mapping[int, Any]) -> Any:
    if value not in choices:
        raise batching.Refused(
            f"Model '{config['name']}' sets {key} to {value}; it takes "
            f"{', '.join(map(str, choices))}."
        )
    return choices[value]


def _providers(config: Mapping[str, Any], kind: str, device: str) -> list[Any]:
    """The execution providers of an instance, the wanted ones first and the CPU's last."""
    accelerators = config["optimization"].get("execution_accelerators", {})
    if kind == "GPU":
        entries, own = accelerators.get("gpu_execution_accelerator", []), {"device_id": device}
        if all(entry["name"] != "cuda" for entry in entries):
            entries = [*entries, {"name": "cuda"}]
    else:
        entries, own = accelerators.get("cpu_execution_accelerator", []), {}
    wanted = [_accelerator(entry, own) for entry in entries]
    offered = onnxruntime.get_available_providers()
    for provider, _ in wanted:
        if provider not in offered:
            pb_utils.Logger.log_warn(
                f"Model '{config['name']}' asks for {provider}; this onnxruntime offers "
                f"{', '.join(offered)}. It is served without."
            )
    return [entry for entry in wanted if entry[0] in offered] + ["CPUExecutionProvider"]


def _accelerator(entry: Mapping[str, Any], own: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """An entry of ``execution_accelerators`` as onnxruntime's provider and its options."""
    name, options = entry["name"], dict(own)
    if name not in ACCELERATORS:
        known = ", ".join(ACCELERATORS)
        raise batching.Refused(f"Execution accelerator '{name}' is unknown; known are {known}.")
    for key, value in entry.get("parameters", {}).items():
        if name == "tensorrt" and key == "precision_mode":
            options[f"trt_{value.lower()}_enable"] = "1"
        elif name == "tensorrt" and key == "max_workspace_size_bytes":
            options["trt_max_workspace_size"] = value
        else:
            options[key] = value
    options.pop("trt_fp32_enable", None)  # the default, which has no name
    return ACCELERATORS[name], options
