"""One function for each verb: from a request about a kind to its answer.

The functions are generic over kinds; what differs is in the row. They know requests and answers but
not sockets: :mod:`.app` calls them and turns exceptions into Status bodies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from starlette.responses import Response, StreamingResponse

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.api import (
    access,
    changes,
    decoding,
    deleting,
    logs,
    operations,
    options,
    reading,
    rendering,
    reviews,
    status,
    structure,
    watch,
    writing,
)
from calumma.cluster.api.backend import Backend, Call
from calumma.cluster.api.negotiation import Form
from calumma.cluster.api.parsing import JSON
from calumma.cluster.api.routing import Target
from calumma.cluster.objects import Object

_LARGE: Final = 64 * 1024
"""Bytes of a body that take milliseconds to read."""
_WARNINGS_LENGTH: Final = 4096
_WARNING_LENGTH: Final = 256
P = ParamSpec("P")
T = TypeVar("T")
LogPath = Callable[[str, str, str], Path]
"""Namespace, pod and container to the folder with the logs of the container's runs."""


@dataclass(frozen=True)
class Request:
    """A request about a kind, read and authenticated."""

    target: Target
    user: access.User
    query: Mapping[str, str]
    form: Form
    content_type: str
    user_agent: str
    body: bytes

    @property
    def renderer(self) -> rendering.Renderer:
        """How the client wants its answer."""
        include = self.query.get("includeObject", "Metadata")
        return rendering.Renderer(self.target.resource, self.form, include)

    def call(self, kind: str, patch_type: str = "") -> Call:
        """The write that this request asks for; ``kind`` is that of its options."""
        target = self.target
        how = options.write(self.query, kind, self.user_agent, patch_type)
        return Call(target.resource, target.namespace, target.name, how, target.subresource)


async def handle(state: Backend, request: Request, log_path: LogPath) -> Response:
    """Answer a request.

    Raises:
        errors.Refused: with the answer to give instead.
        errors.StoreError: the database refuses.
    """
    target = request.target
    access.check(request.user, target.verb, target.resource, target.namespace, target.name)
    if target.subresource == "log":
        return await _log(state, request, log_path)
    if "list" not in target.resource.verbs:
        return await _review(state, request)
    return await _VERBS[target.verb](state, request)


async def _get(state: Backend, request: Request) -> Response:
    target = request.target
    revision = request.query.get("resourceVersion", "")
    found = reading.get(state, target.resource, target.namespace, target.name, revision)
    return _answer(request, request.renderer.one(found))


async def _list(state: Backend, request: Request) -> Response:
    target = request.target
    asked = options.listing(request.query)
    if asked.watch:
        if "watch" not in target.resource.verbs:
            raise status.method_not_allowed()
        question = reading.question(state, target.resource, target.namespace, asked)
        events = _lines(state.hub.events(question), request.renderer)
        return StreamingResponse(events, media_type=JSON)
    listing = reading.listed(state, target.resource, target.namespace, asked)
    return _answer(request, request.renderer.many(listing))


async def _lines(
    events: AsyncIterator[watch.Event], renderer: rendering.Renderer
) -> AsyncIterator[bytes]:
    """The events of a watch as its client gets them: one a line."""
    headings = True
    async for event in events:
        line = {"type": event.kind, "object": renderer.event(event, headings)}
        yield rendering.written(line) + b"\n"
        headings = headings and event.kind in ("BOOKMARK", "ERROR")


async def _create(state: Backend, request: Request) -> Response:
    call = request.call("CreateOptions")
    decoded = await _decoded(state, request)
    call.warnings += decoding.judge(call.resource, decoded.problems, call.options.validation)
    stored = await writing.create(state, call, decoded.value)
    return _answer(request, request.renderer.one(stored), 201, call.warnings)


async def _update(state: Backend, request: Request) -> Response:
    call = request.call("UpdateOptions")
    decoded = await _decoded(state, request)
    call.warnings += decoding.judge(call.resource, decoded.problems, call.options.validation)
    stored = await writing.update(state, call, lambda _: structure.copied(decoded.value))
    return _answer(request, request.renderer.one(stored), 200, call.warnings)


async def _patch(state: Backend, request: Request) -> Response:
    taken = operations.patch_types(request.target.resource)
    media_type = request.content_type
    if media_type not in taken:
        raise status.unsupported_media_type(taken)
    if media_type == changes.APPLY_PATCH:
        call = request.call("PatchOptions", "apply")
        config = await _read(request, changes.configuration, call, request.body)
        stored, created = await writing.apply(state, call, config)
    else:
        call = request.call("PatchOptions")
        change = await _read(request, changes.by_patch, state, call, media_type, request.body)
        stored, created = await writing.update(state, call, change), False
    code = 201 if created else 200
    return _answer(request, request.renderer.one(stored), code, call.warnings)


async def _delete(state: Backend, request: Request) -> Response:
    target = request.target
    how = await _deletion(state, request)
    answer = await deleting.delete(state, target.resource, target.namespace, target.name, how)
    gone = answer["kind"] == "Status"
    return _answer(request, answer if gone else request.renderer.one(answer))


async def _delete_collection(state: Backend, request: Request) -> Response:
    target = request.target
    how = await _deletion(state, request)
    asked = options.listing(request.query)
    listing = reading.listed(state, target.resource, target.namespace, asked)
    for item in listing.items:
        namespace = objects.namespace(item)
        try:
            await deleting.delete(state, target.resource, namespace, objects.name(item), how)
        except errors.Refused as refusal:
            if refusal.code != 404:
                raise
    return _answer(request, request.renderer.many(listing))


_VERBS: Final[Mapping[str, Callable[[Backend, Request], Awaitable[Response]]]] = {
    "get": _get,
    "list": _list,
    "create": _create,
    "update": _update,
    "patch": _patch,
    "delete": _delete,
    "deletecollection": _delete_collection,
}


async def _review(state: Backend, request: Request) -> Response:
    """Answer a question that is not stored."""
    question = (await _decoded(state, request)).value
    answer = reviews.answer(request.target.resource, question, request.user, state.catalog)
    return _answer(request, answer, 201)


async def _log(state: Backend, request: Request, log_path: LogPath) -> Response:
    """Answer with the log of a container."""
    target = request.target
    pod = reading.get(state, target.resource, target.namespace, target.name)
    wanted = logs.asked(pod, request.query)
    folder = log_path(target.namespace, target.name, wanted.container)
    reader = logs.opened(pod, folder, wanted)
    key = target.resource.key(target.namespace, target.name)

    def alive() -> bool:
        current = state.store.get(key).value
        return current is not None and current["metadata"]["uid"] == pod["metadata"]["uid"]

    return StreamingResponse(logs.read(reader, wanted, alive), media_type="text/plain")


async def _deletion(state: Backend, request: Request) -> options.Delete:
    """How a request wants to delete."""
    media_type, reader = request.content_type or JSON, decoding.delete_options
    sent = await _read(request, reader, request.body, media_type, state.schemas)
    return options.delete(request.query, sent)


async def _decoded(state: Backend, request: Request) -> decoding.Decoded:
    """The object in the body of a request."""
    media_type = request.content_type or JSON
    resource = request.target.resource
    return await _read(request, decoding.decode, request.body, media_type, resource, state.schemas)


async def _read(request: Request, reader: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a pure reader makes of a body; a large one is read while others are answered."""
    if len(request.body) < _LARGE:
        return reader(*args, **kwargs)
    return await asyncio.to_thread(reader, *args, **kwargs)


def _answer(
    request: Request, content: Object, code: int = 200, warnings: Iterable[str] = ()
) -> Response:
    """An answer in the form that the client wants, with warnings."""
    media_type = request.form.media_type
    response = Response(rendering.written(content, media_type), code, media_type=media_type)
    for warning in _fitting(warnings):
        shown = "".join(filter(str.isprintable, warning))
        quoted = shown.replace("\\", "\\\\").replace('"', '\\"')
        value = f'299 - "{quoted}"'.encode("utf-8", "replace")
        response.raw_headers.append((b"warning", value))
    return response


def _fitting(warnings: Iterable[str]) -> list[str]:
    """The warnings that an answer has room for: all, or short ones, or as many as fit.

    Source: Kubernetes' ``apiserver/pkg/endpoints/filters/warning.go``.
    """
    given = list(dict.fromkeys(warnings))
    if sum(map(len, given)) <= _WARNINGS_LENGTH:
        return given
    fitting: list[str] = []
    length = 0
    for warning in given:
        if length >= _WARNINGS_LENGTH:
            break
        fitting.append(warning[:_WARNING_LENGTH])
        length += len(fitting[-1])
    return fitting
