"""How a tritonserver refuses a model and how it ends: what the node must know of it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from onnx import TensorProto

from calumma.cluster.programs import triton
from support import onnx_models, pods

PLAIN = 'backend: "onnxruntime"\nmax_batch_size: 4\n'
WHOLE = onnx_models.two_outputs()


def configured(name: str, type_: str, dims: str) -> str:
    """A configuration of :data:`WHOLE` with an input as given."""
    outputs = ", ".join(
        f'{{ name: "{output}" data_type: TYPE_FP32 dims: [ -1 ] }}'
        for output in ("double", "negative")
    )
    return f"""{PLAIN}
input [{{ name: "{name}" data_type: {type_} dims: [ {dims} ] }}]
output [ {outputs} ]
"""


def parameter(key: str, value: str) -> str:
    return f'{PLAIN}parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n'


# Of each model: its ONNX file, its configuration, and why it is not served.
BROKEN: Mapping[str, tuple[bytes | None, str, str]] = {
    "corrupt": (
        WHOLE[:100],
        PLAIN,
        r"onnxruntime cannot load .*/model.onnx: Protobuf parsing fail",
    ),
    "empty": (b"", PLAIN, r"The ONNX file .*/empty/1/model.onnx is empty\."),
    "missing": (None, PLAIN, r"There is no ONNX file at .*/missing/1/model.onnx\."),
    "name": (
        WHOLE,
        configured("y", "TYPE_FP32", "3"),
        r"Model 'name' configures input 'y'; its ONNX file has x\.",
    ),
    "input": (
        onnx_models.sum_of_two(),
        PLAIN
        + 'input [{ name: "x" data_type: TYPE_FP32 dims: [ 1 ] }] '
        + 'output [{ name: "y" data_type: TYPE_FP32 dims: [ 1 ] }]',
        r"does not configure input 'z', which its ONNX file needs\.",
    ),
    "type": (
        WHOLE,
        configured("x", "TYPE_INT8", "3"),
        r"configures input 'x' as TYPE_INT8; its ONNX file has TYPE_FP32\.",
    ),
    "shape": (
        WHOLE,
        configured("x", "TYPE_FP32", "3, 3"),
        r"shape \[-1, 3, 3\] \(the first is the batch\); its ONNX file has \[-1, -1\]\.",
    ),
    "fixed": (
        onnx_models.identity(TensorProto.FLOAT, [2, 3]),
        PLAIN,
        r"asks for max_batch_size 4, but its ONNX file has a tensor whose first dimension is",
    ),
    "brain_float": (
        onnx_models.identity(TensorProto.BFLOAT16, ["n", 3]),
        PLAIN,
        r"Tensor 'x' is a tensor\(bfloat16\), which Triton's Python backend cannot carry",
    ),
    "mode": (WHOLE, parameter("execution_mode", "7"), r"execution_mode to 7; it takes 0, 1\."),
    "threads": (
        WHOLE,
        parameter("intra_op_thread_count", "all"),
        r"intra_op_thread_count to 'all'; it takes a number from 0\.",
    ),
    "level": (
        WHOLE,
        PLAIN + "optimization { graph { level: 9 } }",
        r"optimization.graph.level to 9; it takes -1, 0, 1, 2\.",
    ),
    "accelerator": (
        WHOLE,
        PLAIN
        + 'optimization { execution_accelerators { cpu_execution_accelerator { name: "x" } } }',
        r"Execution accelerator 'x' is unknown; known are tensorrt, cuda, openvino\.",
    ),
    "ragged": (
        WHOLE,
        configured("x", "TYPE_FP32", "-1")
        + 'batch_input [{ kind: BATCH_ELEMENT_COUNT target_name: "c" data_type: TYPE_FP32 '
        'source_input: "x" }]',
        r"asks for ragged batching, which this onnxruntime backend does not have",
    ),
}


@pytest.fixture(scope="module")
def reasons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What one server, which serves none of the broken models, says of each."""
    repository = tmp_path_factory.mktemp("broken")
    for name, (onnx, config, _) in BROKEN.items():
        onnx_models.add(repository, name, onnx, config)
    keep = ["--exit-on-error=false", "--strict-readiness=false"]
    with pods.start_triton(repository, tmp_path_factory.mktemp("triton"), keep) as server:
        index = json.loads(pods.post(f"{server.url}/v2/repository/index", b"").body)
    yield {entry["name"]: entry.get("reason", "") for entry in index}


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_cannot_be_served_says_why(name: str, reasons: Mapping[str, str]) -> None:
    assert re.search(BROKEN[name][2], reasons[name]), reasons[name]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (PLAIN, r"^Model 'm': onnxruntime cannot load .*/m/1/model.onnx: Protobuf parsing failed"),
        ('backend "onnxruntime"', r"^Triton: Error parsing text-format .*: 1:9: Expected"),
    ],
)
def test_the_log_of_a_server_that_did_not_start_says_why(
    config: str, sentence: str, tmp_path: Path
) -> None:
    onnx_models.add(tmp_path / "repository", "m", b"not a graph", config)
    with (
        pytest.raises(pods.DidNotStart) as failure,
        pods.start_triton(tmp_path / "repository", tmp_path),
    ):
        pass
    found = triton.failure(str(failure.value)) or ""
    assert re.search(sentence, found), found


def instances(server: pods.Server) -> list[int]:
    """The processes of the model's instances."""
    process = server.process.pid
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in listed.split()]


def alive(process: int) -> bool:
    return Path(f"/proc/{process}/fd").exists()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    two = PLAIN + "instance_group [{ count: 2 kind: KIND_CPU }]"
    onnx_models.add(tmp_path / "repository", "m", WHOLE, two)
    return tmp_path / "repository"


def test_a_server_that_stops_leaves_no_shared_memory(repository: Path, tmp_path: Path) -> None:
    with pods.start_triton(repository, tmp_path) as server:
        assert len(instances(server)) == 2
        assert len(pods.shared_memory(tmp_path)) == 2
    assert server.process.returncode == 0
    assert pods.shared_memory(tmp_path) == []


def test_a_server_that_is_killed_takes_its_instances_along(
    repository: Path, tmp_path: Path
) -> None:
    with pods.start_triton(repository, tmp_path) as server:
        processes = instances(server)
        server.process.kill()
        server.process.wait()  # its instances see that it is gone once it is no zombie
        deadline = time.monotonic() + 10
        while any(alive(process) for process in processes) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(alive(process) for process in processes)
        assert pods.shared_memory(tmp_path) == []


def test_shared_memory_of_killed_instances_is_found_by_the_pods_name(
    repository: Path, tmp_path: Path
) -> None:
    with pods.start_triton(repository, tmp_path) as server:
        for process in (server.process.pid, *instances(server)):
            os.kill(process, signal.SIGKILL)
        server.process.wait()
        assert len(pods.shared_memory(tmp_path)) == 2
