"""How the pytorch backend refuses what it cannot serve: one server, which serves none of these."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping

import pytest
from torch import nn

from calumma.cluster.programs import triton
from support import pods, torchscript_models
from support.torchscript_models import cifar10, scripted

WHOLE = scripted(torchscript_models.Cifar10())
PLAIN = cifar10()


def parameter(key: str, value: str) -> str:
    return f'{PLAIN}parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n'


def of(module: nn.Module, inputs: str, outputs: str, rows: int = 0) -> tuple[bytes, str]:
    """A model whose tensors, all of type FP32 and any length, have these names."""

    def tensors(names: str) -> str:
        each = '{{ name: "{}" data_type: TYPE_FP32 dims: [ -1 ] }}'
        return ", ".join(each.format(name) for name in names.split())

    sides = f"input [ {tensors(inputs)} ]\noutput [ {tensors(outputs)} ]"
    return scripted(module), f'backend: "pytorch"\nmax_batch_size: {rows}\n{sides}\n'


# Of each model: its TorchScript file, its configuration, and why it is not served.
BROKEN: Mapping[str, tuple[bytes | None, str, str]] = {
    "missing": (None, PLAIN, r"There is no TorchScript file at .*/missing/1/model.pt\."),
    "empty": (b"", PLAIN, r"The TorchScript file .*/empty/1/model.pt is empty\."),
    "corrupt": (
        WHOLE[: len(WHOLE) // 2],
        PLAIN,
        r"torch cannot load .*/model.pt: PytorchStreamReader failed reading zip archive",
    ),
    "weights": (
        torchscript_models.weights(torchscript_models.Cifar10()),
        PLAIN,
        r"/weights/1/model.pt is not TorchScript; the pytorch backend serves what torch.jit.scr",
    ),
    "forward": (
        scripted(torchscript_models.NoForward()),
        PLAIN,
        r"The module in .*/model.pt has no forward\(\)\.",
    ),
    "bare": (WHOLE, 'backend: "pytorch"', r"Model 'bare' configures no input; a TorchScript file"),
    "type": (
        WHOLE,
        PLAIN.replace("TYPE_FP32", "TYPE_UINT16"),
        r"Model 'type' configures input 'INPUT__0' as TYPE_UINT16; the pytorch backend carries "
        r"TYPE_BOOL, .*, TYPE_STRING\.",
    ),
    "brain_float": (
        WHOLE,
        PLAIN.replace("TYPE_FP32", "TYPE_BF16"),
        r"configures input 'INPUT__0' as TYPE_BF16; the pytorch backend carries",
    ),
    "text": (
        WHOLE,
        PLAIN.replace("TYPE_FP32 dims: [ 3, 32, 32 ]", "TYPE_STRING dims: [ 1 ]"),
        r"input 'INPUT__0' of strings with 2 dimensions, the batch's included; TorchScript has",
    ),
    "texts": (
        WHOLE,
        PLAIN.replace("max_batch_size: 8", "").replace(
            "TYPE_FP32 dims: [ 3, 32, 32 ]", "TYPE_STRING dims: [ 1 ]"
        ),
        r"input 'INPUT__0' as TYPE_STRING; forward\(\) has Tensor there, which is TYPE_BOOL, ",
    ),
    "number": (
        WHOLE,
        PLAIN.replace("INPUT__0", "INPUT__1"),
        r"configures input 'INPUT__1', number 1; its forward\(\) takes arguments 0 to 0\.",
    ),
    "result": (
        WHOLE,
        PLAIN.replace("OUTPUT__0", "OUTPUT__3"),
        r"configures output 'OUTPUT__3', number 3; its forward\(\) returns results 0 to 0\.",
    ),
    "twice": (
        *of(torchscript_models.Several(), "A__1 B__1", "SUM__0"),
        r"Model 'twice' configures two inputs with the number 1\.",
    ),
    "count": (
        *of(torchscript_models.Several(), "left", "SUM__0"),
        r"configures 1 inputs \(left\); its forward\(left: Tensor, right: Tensor\) takes 2\.",
    ),
    "listed": (
        *of(torchscript_models.Listed(), "x", "OUTPUT__0"),
        r"has a forward\(\) that returns List\[Tensor\]; the pytorch backend takes Tensor, List\[s",
    ),
    "optioned": (
        *of(torchscript_models.Optioned(), "x", "OUTPUT__0"),
        r"has a forward\(x: Tensor, times: int\); int is not among what the pytorch backend can",
    ),
    "threads": (
        WHOLE,
        parameter("INTRA_OP_THREAD_COUNT", "all"),
        r"sets parameter INTRA_OP_THREAD_COUNT to 'all'; it takes a number from 0\.",
    ),
    "switch": (
        WHOLE,
        parameter("INFERENCE_MODE", "maybe"),
        r"sets parameter INFERENCE_MODE to 'maybe'; it takes true, 1, false, 0\.",
    ),
    "runtime": (
        WHOLE,
        PLAIN + 'runtime: "model.py"',
        r"asks for the runtime 'model.py', which this pytorch backend does not have",
    ),
    "ragged": (
        WHOLE,
        PLAIN.replace("[ 3, 32, 32 ]", "[ 3, 32, 32 ] allow_ragged_batch: true"),
        r"asks for ragged batching, which this pytorch backend does not have",
    ),
    "decoupled": (
        WHOLE,
        PLAIN + "model_transaction_policy { decoupled: true }",
        r"asks for a decoupled transaction policy, which this pytorch backend does not have",
    ),
}

# Models that load, and what a request to them is told.
UNSERVED: Mapping[str, tuple[bytes, str, list[int], str]] = {
    "summed": (
        *of(torchscript_models.Summed(), "x", "OUTPUT__0", rows=4),
        [2, 3],
        "Output 'OUTPUT__0' of model 'summed' has shape [3] for a batch of 2; with max_batch_size "
        "above 0 its first dimension is the batch.",
    ),
    "total": (
        *of(torchscript_models.Total(), "x", "OUTPUT__0"),
        [3],
        "Output 'OUTPUT__0' of model 'total' is a scalar, which Triton does not have; forward() "
        "may return a tensor of shape [1].",
    ),
    "width": (
        *of(nn.Linear(3, 2), "input", "OUTPUT__0", rows=4),
        [1, 4],
        "forward() of model 'width' failed: mat1 and mat2 shapes cannot be multiplied (1x4 and "
        "3x2)",
    ),
    "element": (
        scripted(torchscript_models.Identity()),
        'backend: "pytorch"\ninput [{ name: "x" data_type: TYPE_FP32 dims: [ -1 ] }]\n'
        'output [{ name: "OUTPUT__0" data_type: TYPE_INT8 dims: [ -1 ] }]\n',
        [3],
        "Model 'element' configures output 'OUTPUT__0' as TYPE_INT8; its forward() returned "
        "TYPE_FP32.",
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pods.Server]:
    repository = tmp_path_factory.mktemp("broken")
    for name, broken in BROKEN.items():
        torchscript_models.add(repository, name, broken[0], broken[1])
    for name, unserved in UNSERVED.items():
        torchscript_models.add(repository, name, unserved[0], unserved[1])
    keep = ["--exit-on-error=false", "--strict-readiness=false"]
    with pods.start_triton(repository, tmp_path_factory.mktemp("triton"), keep) as started:
        yield started


@pytest.fixture(scope="module")
def reasons(server: pods.Server) -> Mapping[str, str]:
    """What the server says of each model."""
    index = json.loads(pods.post(f"{server.url}/v2/repository/index", b"").body)
    return {entry["name"]: entry.get("reason", "") for entry in index}


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_cannot_be_served_says_why(name: str, reasons: Mapping[str, str]) -> None:
    assert re.search(BROKEN[name][2], reasons[name]), reasons[name]


@pytest.mark.parametrize("name", UNSERVED)
def test_a_request_that_cannot_be_served_says_why(name: str, server: pods.Server) -> None:
    _, config, shape, sentence = UNSERVED[name]
    named = re.search(r'name: "(\w+)"', config)
    assert named is not None
    data = [0.0] * math.prod(shape)
    tensor = {"name": named[1], "shape": shape, "datatype": "FP32", "data": data}
    body = {"inputs": [tensor]}
    reply = pods.post(f"{server.url}/v2/models/{name}/infer", json.dumps(body).encode())
    assert json.loads(reply.body)["error"] == sentence


def test_the_log_of_a_server_that_did_not_start_says_why(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    repository = tmp_path_factory.mktemp("repository")
    torchscript_models.add(repository, "m", b"no archive", PLAIN)
    scratch = tmp_path_factory.mktemp("triton")
    with pytest.raises(pods.DidNotStart) as failure, pods.start_triton(repository, scratch):
        pass
    found = triton.failure(str(failure.value)) or ""
    assert re.search(r"^Model 'm': torch cannot load .*/m/1/model.pt: Pytorch", found), found
