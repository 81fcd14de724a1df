"""The limit on bodies, over a real application, message by message."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

from calumma.serving import admission

LIMIT = 100


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    body, more = b"", scope["method"] != "GET"
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Client:
    """Sends chunks as asked for, and keeps what it gets."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.unsent = list(chunks)
        self.received: list[Message] = []

    async def receive(self) -> Message:
        if not self.unsent:
            return {"type": "http.disconnect"}
        chunk = self.unsent.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self.unsent)}

    async def send(self, message: Message) -> None:
        self.received.append(message)

    async def ask(self, method: str = "POST") -> Client:
        application = admission.BodyLimit(echo, LIMIT)
        await application(
            {"type": "http", "method": method, "headers": []}, self.receive, self.send
        )
        return self


@pytest.mark.parametrize("chunks", [[b""], [b"x" * LIMIT], [b"x" * 40, b"y" * 40, b"", b"z" * 20]])
async def test_a_body_within_the_limit_arrives_whole(chunks: list[bytes]) -> None:
    client = await Client(chunks).ask()
    assert [message.get("status") for message in client.received] == [200, None]
    assert client.received[1]["body"] == b"".join(chunks)


@pytest.mark.parametrize("chunks", [[b"x" * (LIMIT + 1)], [b"x" * 60, b"y" * 60, b"z" * 60]])
async def test_a_larger_body_is_read_to_its_end_and_refused(chunks: list[bytes]) -> None:
    client = await Client(chunks).ask()
    assert client.received[0]["status"] == 413
    assert json.loads(client.received[1]["body"]) == {"error": "The body is larger than 100 bytes."}
    assert not client.unsent


async def test_a_body_without_end_is_not_waited_for() -> None:
    client = await Client([b"x" * LIMIT] * 1000).ask()
    assert client.received[0]["status"] == 413
    assert (b"connection", b"close") in client.received[0]["headers"]
    assert len(client.unsent) > 900


async def test_a_client_that_goes_away_gets_nothing() -> None:
    client = Client([])
    await client.ask()
    assert client.received == []


async def test_a_get_has_no_body_to_wait_for() -> None:
    client = await Client([]).ask("GET")
    assert client.received[0]["status"] == 200
