"""A real transformer in front of a real Triton: labels out of images, and refusals with reasons."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import socket
import urllib.error
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton_http
from grpc import StatusCode
from grpc.aio import AioRpcError
from numpy.typing import NDArray
from PIL import Image

from calumma.models import digits
from support import pods
from support.digits_chain import REVISION, Chain

HELD_OUT = digits.held_out()
IMAGE = digits.png(HELD_OUT.images[0])
TEXT = base64.b64encode(IMAGE).decode()
LABEL = str(HELD_OUT.labels[0])


def instance(file: bytes) -> dict[str, Any]:
    return {"image": {"b64": base64.b64encode(file).decode()}}


def expected(chain: Chain, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The probabilities by onnxruntime itself."""
    session = onnxruntime.InferenceSession(chain.onnx, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": images})
    exponentials = np.exp(logits.astype(np.float64))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def test_every_held_out_digit_gets_onnxruntimes_probabilities(chain: Chain) -> None:
    instances = [instance(digits.png(image)) for image in HELD_OUT.images]
    parts = [instances[start : start + 60] for start in range(0, len(instances), 60)]
    with ThreadPoolExecutor(4) as clients:
        replies = list(clients.map(chain.predict, parts))
    assert [reply.status for reply in replies] == [200] * len(parts)
    found = [one for reply in replies for one in json.loads(reply.body)["predictions"]]
    probabilities = expected(chain, HELD_OUT.images)
    np.testing.assert_allclose([one["probabilities"] for one in found], probabilities, atol=1e-5)
    assert [one["class"] for one in found] == probabilities.argmax(axis=1).tolist()
    assert [one["label"] for one in found] == [str(one["class"]) for one in found]
    assert [one["probability"] for one in found] == [max(one["probabilities"]) for one in found]
    accuracy = np.mean([one["class"] for one in found] == HELD_OUT.labels)
    assert accuracy > 0.95


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps({"instances": [{"b64": TEXT}]}).encode(), "application/json"),
        (
            json.dumps({"instances": [{"b64": TEXT}]}).encode(),
            "application/x-www-form-urlencoded",  # what curl -d says of it
        ),
        (IMAGE, "image/png"),
        (IMAGE, "application/octet-stream"),
    ],
)
def test_v1_takes_json_and_plain_images(chain: Chain, body: bytes, content_type: str) -> None:
    url = f"{chain.transformer.url}/v1/models/digits:predict"
    reply = pods.post(url, body, content_type=content_type)
    assert [one["label"] for one in json.loads(reply.body)["predictions"]] == [LABEL]


def test_v2_takes_base64_in_json(chain: Chain) -> None:
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": [TEXT, TEXT]}
    body = json.dumps({"id": "7", "inputs": [tensor]}).encode()
    url = f"{chain.transformer.url}/v2/models/digits/infer"
    reply = pods.post(url, body, content_type="application/json")
    document = json.loads(reply.body)
    assert (reply.status, document["id"], document["model_name"]) == (200, "7", "digits")
    outputs = {output["name"]: output for output in document["outputs"]}
    assert outputs["label"]["data"] == [LABEL, LABEL]
    assert outputs["class"]["data"] == [int(LABEL)] * 2
    assert outputs["probabilities"]["shape"] == [2, 10]


def test_v2_takes_and_gives_binary_tensors(chain: Chain) -> None:
    tensor = triton_http.InferInput("image", [3], "BYTES")
    files = [digits.png(image) for image in HELD_OUT.images[:3]]
    tensor.set_data_from_numpy(np.array(files, dtype=np.object_))
    wanted = [triton_http.InferRequestedOutput(name) for name in ("label", "probabilities")]
    with triton_http.InferenceServerClient(chain.transformer.url.removeprefix("http://")) as client:
        reply = client.infer("digits", [tensor], outputs=wanted)
    labels = [label.decode() for label in reply.as_numpy("label")]
    assert labels == [str(label) for label in HELD_OUT.labels[:3]]
    np.testing.assert_allclose(
        reply.as_numpy("probabilities"), expected(chain, HELD_OUT.images[:3]), atol=1e-5
    )


async def test_grpc_gives_the_same(chain: Chain) -> None:
    tensor = kserve.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([IMAGE], dtype=np.object_))
    client = kserve.InferenceGRPCClient(chain.grpc)
    try:
        reply = await client.infer(kserve.InferRequest("digits", [tensor]))
        assert reply.get_output_by_name("label").as_numpy().tolist() == [LABEL.encode()]
        tensor.set_data_from_numpy(np.array([b"not an image"], dtype=np.object_))
        with pytest.raises(AioRpcError) as refusal:
            await client.infer(kserve.InferRequest("digits", [tensor]))
        assert refusal.value.code() == StatusCode.INVALID_ARGUMENT
        assert "neither a JPEG nor a PNG" in str(refusal.value.details())
    finally:
        await client.close()


def test_a_jpeg_of_any_size_is_taken(chain: Chain) -> None:
    large = Image.fromarray(HELD_OUT.images[0]).resize((320, 320), Image.Resampling.NEAREST)
    file = io.BytesIO()
    large.save(file, "JPEG")
    reply = chain.predict([instance(file.getvalue())])
    assert json.loads(reply.body)["predictions"][0]["label"] == LABEL


def test_the_predictors_revision_is_passed_on(chain: Chain) -> None:
    assert chain.predict([instance(IMAGE)]).headers["x-calumma-predictor-revision"] == REVISION
    failed = chain.predict([instance(IMAGE)], x_request_id="status-503")
    assert failed.headers["x-calumma-predictor-revision"] == REVISION


def test_identity_trace_and_authority_reach_the_predictor(chain: Chain) -> None:
    sent = {
        "x_request_id": "a-1",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "x_b3_traceid": "463ac35c9f6413ad",
        "authorization": "Bearer token",
        "x_calumma_mirrored": "true",
        "x_calumma_user": "u-1",
    }
    assert chain.predict([instance(IMAGE)], cookie="secret", **sent).status == 200
    received = chain.received[-1]
    for name, value in sent.items():
        assert received[name.replace("_", "-")] == value
    assert "cookie" not in received
    assert received["content-type"] == "application/octet-stream"


def test_metrics_count_requests_and_predictions(chain: Chain) -> None:
    def values() -> dict[str, float]:
        text = pods.get(f"{chain.transformer.url}/metrics").decode()
        found = re.findall(r'^(\w+\{[^}]*model_name="digits"[^}]*\}) (\S+)$', text, re.M)
        return defaultdict(float, {name: float(value) for name, value in found})

    before = values()
    assert chain.predict([instance(IMAGE)] * 3).status == 200
    after = values()
    grown = {name for name in after if after[name] > before[name]}
    mine = (
        f'calumma_predictions_total{{class="{LABEL}",model_name="digits",'
        f'predictor_revision="{REVISION}"}}'
    )
    assert after[mine] - before[mine] == 3
    assert {name for name in grown if name.startswith("calumma_predictions_total")} == {mine}
    confidence = (
        'calumma_prediction_confidence_bucket{le="+Inf",model_name="digits",'
        f'predictor_revision="{REVISION}"}}'
    )
    assert after[confidence] - before[confidence] == 3
    for step in ("preprocess", "predict", "postprocess"):
        counted = f'request_{step}_seconds_count{{model_name="digits"}}'
        assert after[counted] - before[counted] == 1


def test_the_metadata_names_inputs_and_outputs(chain: Chain) -> None:
    document = json.loads(pods.get(f"{chain.transformer.url}/v2/models/digits"))
    assert [entry["name"] for entry in document["inputs"]] == ["image"]
    assert [entry["name"] for entry in document["outputs"]] == [
        "label",
        "class",
        "probability",
        "probabilities",
    ]


def bomb() -> bytes:
    """A PNG file of 4 KB with 4 million pixels."""
    file = io.BytesIO()
    Image.new("1", (2000, 2000)).save(file, "PNG")
    return file.getvalue()


V1, V2 = "v1/models/digits:predict", "v2/models/digits/infer"
JSON = "application/json"
NO_GRPC = ("--enable_grpc", "false")


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status", "reason"),
    [
        (V1, JSON, b"", 400, "The image is empty"),
        (V1, JSON, b'{"instances": [', 400, "Unrecognized request format"),
        (V1, JSON, b"\xff\xd8\xff", 400, "neither a JPEG nor a PNG"),
        (V1, "image/jpeg", b"", 400, "The image is empty"),
        (V1, "image/jpeg", b"not an image", 400, "neither a JPEG nor a PNG"),
        (V1, "image/png", IMAGE[:60], 400, "cannot be decoded"),
        (V1, "image/png", bomb(), 413, "2000 x 2000 pixels; at most 1000000"),
        (V1, JSON, b"[1, 2]", 400, "no list of instances"),
        (V1, JSON, b'{"instances": []}', 400, "no images"),
        (V1, JSON, json.dumps({"instances": [{}]}).encode(), 400, "Instance 0 holds no image"),
        (
            V1,
            JSON,
            json.dumps({"instances": [{"b64": TEXT}] * 65}).encode(),
            413,
            "65 images; at most 64",
        ),
        (V1.replace("digits", "other"), JSON, b"{}", 404, "other does not exist"),
        (V2, JSON, b"not json", 422, "not an inference request"),
        (V2, JSON, b'{"inputs": [{"name": "image"}]}', 422, "not an inference request"),
        (V2, JSON, b"\xff\xd8\xff", 400, "parsing the body"),
        (V2, "image/jpeg", IMAGE, 400, "not JSON"),
        (
            V2,
            JSON,
            b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}',
            400,
            "one BYTES input is expected",
        ),
        (
            V2,
            JSON,
            json.dumps(
                {
                    "inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [TEXT]}],
                    "outputs": [{"name": "logits"}],
                }
            ).encode(),
            400,
            "Unexpected inference output 'logits'",
        ),
    ],
)
def test_bad_input_gets_a_status_and_a_reason(
    chain: Chain, path: str, content_type: str, body: bytes, status: int, reason: str
) -> None:
    reply = pods.post(f"{chain.transformer.url}/{path}", body, content_type=content_type)
    assert reply.status == status, reply.body
    document = json.loads(reply.body)
    assert re.search(reason, str(document.get("error") or document["detail"])), document
    assert len(reply.body) < 1000


def test_30_megabytes_are_refused_and_not_kept(chain: Chain) -> None:
    def resident() -> int:
        status = Path(f"/proc/{chain.transformer.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])

    before = resident()
    url = f"{chain.transformer.url}/{V1}"
    reply = pods.post(url, b"x" * 30_000_000, content_type="application/octet-stream")
    assert reply.status == 413
    assert "larger than 20000000 bytes" in json.loads(reply.body)["error"]
    assert resident() - before < 10_000


@pytest.mark.parametrize(
    ("failure", "status", "reason"),
    [
        ("status-503", 503, "answered 503: no healthy upstream"),
        ("status-429", 503, "answered 429"),
        ("status-504", 504, "answered 504"),
        ("status-404", 502, "answered 404"),
        ("status-500", 502, "answered 500"),
        ("slow", 504, "did not answer within 1 s"),
        ("broken", 503, "cannot be reached"),
        ("garbage", 502, "sent no tensor 'logits'"),
    ],
)
def test_a_failing_predictor_gets_a_status_and_a_sentence(
    chain: Chain, failure: str, status: int, reason: str
) -> None:
    reply = chain.predict([instance(IMAGE)], x_request_id=failure)
    assert reply.status == status
    assert reason in json.loads(reply.body)["error"]


def test_refusals_leave_no_traceback_in_the_log(chain: Chain) -> None:
    chain.predict([instance(b"not an image")])
    chain.predict([instance(IMAGE)], x_request_id="status-500")
    log = chain.transformer.log.read_text()
    assert "answered 500" in log
    assert "RequestRefused" not in log


def test_concurrent_requests_all_get_their_own_answer(chain: Chain) -> None:
    def ask(number: int) -> str:
        reply = chain.predict([instance(digits.png(HELD_OUT.images[number]))])
        label: str = json.loads(reply.body)["predictions"][0]["label"]
        return label

    with ThreadPoolExecutor(16) as clients:
        labels = list(clients.map(ask, range(200)))
    assert labels == [str(number) for number in expected(chain, HELD_OUT.images[:200]).argmax(1)]


@pytest.fixture
def unreachable() -> str:
    """A port of this machine that nobody listens on."""
    return f"127.0.0.1:{pods.free_port()}"


def test_without_a_predictor_it_starts_says_so_and_stops(unreachable: str, tmp_path: Path) -> None:
    with pods.start_transformer("digits", unreachable, tmp_path, NO_GRPC) as server:
        body = json.dumps({"instances": [{"b64": TEXT}]}).encode()
        reply = pods.post(f"{server.url}/{V1}", body, content_type=JSON)
        assert reply.status == 503
        sentence = f"The predictor at http://{unreachable} cannot be reached"
        assert json.loads(reply.body)["error"].startswith(sentence)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert "Unclosed" not in server.log.read_text()


def test_asked_to_it_is_ready_only_with_its_predictor(unreachable: str, tmp_path: Path) -> None:
    arguments = (*NO_GRPC, "--enable_predictor_health_check")
    with pods.start_transformer("digits", unreachable, tmp_path, arguments, path="/") as server:
        for path in ("v2/health/ready", "v2/models/digits/ready", "v1/models/digits"):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                pods.get(f"{server.url}/{path}")
            with refusal.value:
                assert refusal.value.code == 503, path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--predictor_protocol", "grpc-v2"), "--predictor_protocol is v1 or v2, not grpc-v2"),
        (("--predictor_host", ""), "needs --predictor_host"),
    ],
)
def test_arguments_that_cannot_work_end_it_with_a_sentence(
    arguments: tuple[str, ...], sentence: str, unreachable: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(pods.DidNotStart, match=sentence) as failure,
        pods.start_transformer("digits", unreachable, tmp_path, arguments),
    ):
        pass
    assert "Traceback" not in str(failure.value)


def listening(process: int) -> set[str]:
    """Addresses on which a process listens, IPv4 as the kernel writes them."""
    inodes = {
        path.readlink().name.removeprefix("socket:[").removesuffix("]")
        for path in Path(f"/proc/{process}/fd").iterdir()
        if path.is_symlink() and "socket:" in str(path.readlink())
    }
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


def test_it_listens_on_the_address_asked_for(chain: Chain) -> None:
    loopback = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    assert listening(chain.transformer.process.pid) == {loopback}
