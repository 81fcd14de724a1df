"""Requests that become one, and its answer divided again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from support.sidecar import Component, Receiver, Sidecar, flags, started

PREDICT = "/v1/models/iris:predict"


def words(component: Component, size: int, latency: int) -> list[str]:
    batcher = ["--enable-batcher", "--max-batchsize", str(size), "--max-latency", str(latency)]
    return [*batcher, "--component-port", str(component.port)]


async def ask(sidecar: Sidecar, instances: Any, path: str = PREDICT) -> dict[str, Any]:
    async with sidecar.client.post(path, json={"instances": instances}) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        found: dict[str, Any] = json.loads(await answer.text())
        return found


async def ask_all(sidecar: Sidecar, requests: Sequence[Any]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(ask(sidecar, instances) for instances in requests)))


async def test_a_full_batch_is_asked_at_once(component: Component) -> None:
    async with started(*words(component, 4, 60_000)) as sidecar:
        answers = await ask_all(sidecar, [[1], [2, 3], [4]])
    assert [answer["predictions"] for answer in answers] == [[2], [4, 6], [8]]
    assert len({answer["batchId"] for answer in answers}) == 1
    assert {answer["message"] for answer in answers} == {""}
    assert list(answers[0]) == ["message", "batchId", "predictions"]
    assert len(component.predicted) == 1


async def test_a_batch_that_does_not_fill_is_asked_when_its_time_is_over(
    component: Component,
) -> None:
    async with started(*words(component, 32, 300)) as sidecar:
        first = await ask_all(sidecar, [[1], [2]])
        second = await ask(sidecar, [3])
    assert [answer["predictions"] for answer in first] == [[2], [4]]
    assert first[0]["batchId"] == first[1]["batchId"] != second["batchId"]
    assert [json.loads(body)["instances"] for _, body in component.predicted][1] == [3]


async def test_what_comes_while_a_batch_is_asked_makes_the_next(component: Component) -> None:
    component.running.clear()
    async with started(*words(component, 2, 60_000)) as sidecar:
        asking = asyncio.create_task(ask_all(sidecar, [[number] for number in range(6)]))
        async with asyncio.timeout(20):
            while not component.predicted:  # noqa: ASYNC110  another process
                await asyncio.sleep(0.01)
        component.running.set()
        answers = await asking
    assert [answer["predictions"] for answer in answers] == [[2 * n] for n in range(6)]
    assert len({answer["batchId"] for answer in answers}) == 3


async def test_models_do_not_meet_in_a_batch(component: Component) -> None:
    async with started(*words(component, 2, 300)) as sidecar:
        await asyncio.gather(ask(sidecar, [1], "/v1/models/a:predict"), ask(sidecar, [2]))
    assert sorted(path for path, _ in component.predicted) == ["/v1/models/a:predict", PREDICT]


@pytest.mark.parametrize(
    ("status", "reply", "message", "has_id"),
    [
        (503, b"busy", "busy", False),
        (200, b"{", "Expecting property name enclosed in double quotes", True),
        (200, b'{"predictions": [1]}', "size of prediction is not equal", True),
        (200, b"{}", "size of prediction is not equal", True),
        (200, b"[]", "not an object", True),
        (200, b'{"predictions": [NaN, 1]}', "NaN is not JSON", True),
    ],
)
async def test_a_batch_that_fails_tells_all_its_members(
    component: Component, status: int, reply: bytes, message: str, has_id: bool
) -> None:
    component.status, component.reply = status, lambda _: reply
    async with started(*words(component, 2, 60_000)) as sidecar:
        answers = await ask_all(sidecar, [[1], [2]])
    for answer in answers:
        assert message in answer["message"]
        assert answer["predictions"] is None
        assert bool(answer["batchId"]) == has_id


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"instances": []}', "no instances in the request\n"),
        (b"{}", "no instances in the request\n"),
        (b"null", "no instances in the request\n"),
        (b"", "can't Unmarshal body\n"),
        (b"[1]", "can't Unmarshal body\n"),
        (b'{"instances": {"a": 1}}', "can't Unmarshal body\n"),
        (b"[" * 100_000, "can't Unmarshal body\n"),
    ],
)
async def test_a_request_that_is_none_is_no_part_of_a_batch(
    component: Component, body: bytes, message: str
) -> None:
    async with (
        started(*words(component, 1, 1000)) as sidecar,
        sidecar.client.post(PREDICT, data=body) as answer,
    ):
        assert (answer.status, await answer.text()) == (400, message)
    assert component.predicted == []


async def test_a_batch_that_cannot_be_asked_does_not_end_the_next(component: Component) -> None:
    deep = b'{"instances": [' + b"[" * 900 + b"]" * 900 + b"]}"
    surrogate = b'{"instances": ["\\ud800"]}'
    component.reply = lambda body: json.dumps(
        {"predictions": json.loads(body)["instances"]}
    ).encode()
    async with started(*words(component, 1, 1000)) as sidecar:
        for body in (deep, surrogate):
            async with sidecar.client.post(PREDICT, data=body) as answer:
                assert answer.status == 200
                assert {"message", "batchId", "predictions"} == set(
                    await answer.json(content_type=None)
                )
        assert (await ask(sidecar, [1]))["predictions"] == [1]


async def test_other_paths_pass(component: Component) -> None:
    async with started(*words(component, 2, 60_000)) as sidecar:
        for path in ("/v2/models/iris/infer", "/v1/models/iris:explain", "/a:predict/b"):
            async with sidecar.client.post(path, data=b"as it is") as answer:
                assert await answer.read() == b"as it is"


async def test_of_a_batched_answer_there_is_no_event(
    component: Component, receiver: Receiver
) -> None:
    both = [*words(component, 1, 1000), *flags(receiver, component, "all")]
    async with started(*both) as sidecar:
        await ask(sidecar, [1])
        async with sidecar.client.get("/v1/models/iris") as answer:
            assert answer.status == 200
        await sidecar.end()
    types = [event.headers["ce-type"].rpartition(".")[2] for event in receiver.events]
    assert sorted(types) == ["request", "request", "response"]


async def test_a_batch_size_that_cannot_be_ends_the_program(component: Component) -> None:
    with pytest.raises(AssertionError, match="largest size is 0; it is at least 1"):
        async with started(*words(component, 0, 5000)):
            pass
