"""The step that batches: many predict requests become one, and its answer is divided again.

Requests for one path are gathered until there are enough instances or the first has waited long
enough; one batch is asked at a time, and what comes meanwhile makes the next one. KServe gathers
requests for all paths together and asks the last one's path; here a batch is of one path, which is
the same wherever a component has one model. A member that leaves stays in its batch, as in KServe.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from calumma import errors
from calumma.sidecar import asgi, batches, options

log = logging.getLogger(__name__)


Ask = Callable[[bytes, bytes], Awaitable[asgi.Reply]]
"""POSTs a body to a path of the component."""


class _Member(NamedTuple):
    instances: list[Any]
    answer: asyncio.Future[bytes]


class Batching:
    """The step; ``close`` ends it."""

    def __init__(self, following: asgi.App, ask: Ask, batcher: options.Batcher) -> None:
        self._following = following
        self._ask = ask
        self._batcher = batcher
        self._gathering: dict[bytes, asyncio.Queue[_Member]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answer a predict request by its batch, pass anything else on."""
        path = asgi.raw_path(scope)
        if not batches.applies(path):
            await self._following(scope, receive, send)
            return
        body = await asgi.body_of(receive)
        if body is None:
            return
        try:
            instances = batches.instances(body)
        except errors.RequestRefused as refusal:
            await asgi.answer(send, refusal.status, f"{refusal}\n".encode())
            return
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._put(path, _Member(instances, answer))
        await asgi.answer(send, 200, await answer, batches.CONTENT_TYPE)

    async def close(self) -> None:
        """Stop gathering."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _put(self, path: bytes, member: _Member) -> None:
        queue = self._gathering.get(path)
        if queue is None:
            queue = self._gathering[path] = asyncio.Queue()
            task = asyncio.create_task(self._serve(path, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.put_nowait(member)

    async def _serve(self, path: bytes, queue: asyncio.Queue[_Member]) -> None:
        """Gather and ask for as long as there are requests for a path."""
        while not queue.empty():
            members = await self._gather(queue)
            try:
                found = await self._answers(path, members)
            except Exception as error:  # what breaks one batch must not end those after it
                log.exception("a batch for %s failed", path.decode("latin-1"))
                found = batches.failures(str(error), len(members))
            for member, answer in zip(members, found, strict=True):
                if not member.answer.done():
                    member.answer.set_result(answer)
        del self._gathering[path]

    async def _answers(self, path: bytes, members: list[_Member]) -> list[bytes]:
        sizes = [len(member.instances) for member in members]
        reply = await self._ask(path, batches.request([m.instances for m in members]))
        if reply.status != 200:
            log.error("a batch of %d was answered %d", sum(sizes), reply.status)
        return batches.answers(reply.status, reply.body, sizes, str(uuid.uuid4()))

    async def _gather(self, queue: asyncio.Queue[_Member]) -> list[_Member]:
        members = [await queue.get()]
        size = len(members[0].instances)
        due = asyncio.get_running_loop().time() + self._batcher.latency
        while size < self._batcher.size:
            try:
                async with asyncio.timeout_at(due):
                    members.append(await queue.get())
            except TimeoutError:
                break
            size += len(members[-1].instances)
        return members
