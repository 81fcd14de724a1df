"""What becomes of a request in a graph, by the rules of KServe's router.

:class:`Router` walks the nodes and asks services through a function that it is given, so nothing
here does input or output; chance is given too. An answer's status and body are those of the step
that decides. GraphFailed is the answer that no step gave: a service that cannot be reached, a
switch without a match. :mod:`~calumma.graph.server` is the caller.
Source: kserve ``cmd/router/main.go`` (``routeStep``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import orjson

from calumma import errors
from calumma.graph import definition, gjson

NO_MATCH = "None of the routes matched with the switch condition"


class Answer(NamedTuple):
    """What a step or a node answers; ``is_json`` is True where that is known already."""

    status: int
    body: bytes
    is_json: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status <= 299


_Decoded = tuple[Answer, dict[str, Any] | None]
Ask = Callable[[str, bytes], Awaitable[Answer]]
"""Sends a body to a service's URL; raises GraphFailed when there is no answer."""


class Router:
    """A graph that answers; ``chance`` picks among a splitter's steps."""

    def __init__(self, graph: definition.Graph, chance: random.Random) -> None:
        self._nodes = graph.nodes
        self._chance = chance

    async def answer(self, body: bytes, ask: Ask) -> Answer:
        """The graph's answer to a request; raises GraphFailed with the status that it gets."""
        return await self._node(definition.ROOT, body, ask)

    async def _node(self, name: str, body: bytes, ask: Ask) -> Answer:
        node = self._nodes[name]
        match node.router:
            case "Sequence":
                return await self._sequence(node.steps, body, ask)
            case "Ensemble":
                return await self._ensemble(node.steps, body, ask)
            case "Switch":
                return await self._step(_switched(node.steps, body), body, ask)
            case "Splitter":
                return await self._step(self._split(node.steps), body, ask)

    async def _step(self, step: definition.Step, body: bytes, ask: Ask) -> Answer:
        """A step's answer. Whatever keeps it from one is the graph's failure, of status 500."""
        try:
            if step.node:
                return await self._node(step.node, body, ask)
            return await ask(step.url, body)
        except errors.GraphFailed as failure:
            raise errors.GraphFailed(str(failure)) from failure

    def _split(self, steps: Sequence[definition.Step]) -> definition.Step:
        point = self._chance.randrange(100)
        for step in steps:
            point -= step.weight
            if point < 0:
                return step
        raise errors.GraphFailed("no route was selected by the splitter")

    async def _sequence(self, steps: Sequence[definition.Step], body: bytes, ask: Ask) -> Answer:
        answer = Answer(0, b"")
        for index, step in enumerate(steps):
            request = answer.body if step.from_response and index > 0 else body
            if step.map_predictions:
                request = _with_instances(request)
            if step.condition is not None:
                try:
                    previous = orjson.loads(answer.body)
                except orjson.JSONDecodeError as error:
                    raise errors.GraphFailed("invalid response") from error
                if not gjson.exists(step.condition, previous):
                    return answer._replace(status=200)
            answer = await self._step(step, request, ask)
            if step.hard and not answer.succeeded:
                return answer
        if not steps:
            raise errors.GraphFailed("the sequence has no steps")
        return answer

    async def _ensemble(self, steps: Sequence[definition.Step], body: bytes, ask: Ask) -> Answer:
        """All steps at once. A step without a JSON object ends the node, and so does, in their
        order, a hard one that fails."""
        tasks = [asyncio.create_task(self._document(step, body, ask)) for step in steps]
        merged = {}
        try:
            for index, (step, task) in enumerate(zip(steps, tasks, strict=True)):
                answer, document = await _first(task, tasks)
                if step.hard and not answer.succeeded:
                    return Answer(answer.status, orjson.dumps(document), is_json=True)
                merged[step.name or str(index)] = document
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Answer(200, orjson.dumps(merged), is_json=True)

    async def _document(self, step: definition.Step, body: bytes, ask: Ask) -> _Decoded:
        """A step's answer with its JSON object (or null)."""
        answer = await self._step(step, body, ask)
        try:
            document = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise errors.GraphFailed(f"a step of the ensemble answered no JSON: {error}") from error
        if document is not None and not isinstance(document, dict):
            raise errors.GraphFailed(
                f"a step of the ensemble answered a JSON {type(document).__name__}; it has to be "
                "an object"
            )
        return answer, document


def _switched(steps: Sequence[definition.Step], body: bytes) -> definition.Step:
    """The first step whose condition holds for the request."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.GraphFailed(NO_MATCH, 404) from error
    for step in steps:
        if step.condition is not None and gjson.exists(step.condition, document):
            return step
    raise errors.GraphFailed(NO_MATCH, 404)


async def _first(
    wanted: asyncio.Task[_Decoded], tasks: Sequence[asyncio.Task[_Decoded]]
) -> _Decoded:
    """What one task gives, unless another one fails before."""
    while not wanted.done():
        running = [task for task in tasks if not task.done()]
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    return wanted.result()


def _with_instances(request: bytes) -> bytes:
    """The request with its ``predictions`` as ``instances``, and nothing else; or as it is."""
    try:
        document = orjson.loads(request)
    except orjson.JSONDecodeError:
        return request
    if not isinstance(document, dict) or not isinstance(document.get("instances", []), list):
        return request
    predictions = document.get("predictions")
    if not isinstance(predictions, list) or not predictions:
        return request
    return orjson.dumps({"instances": predictions})
