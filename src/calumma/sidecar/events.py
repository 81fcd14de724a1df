"""What a CloudEvent about a request or a response says, in CloudEvents' binary HTTP mode. Pure.

The two events of one exchange share id, content type and metadata: KServe gives the response the
content type of the request. Header values are written as they are, as CloudEvents' Go SDK does.
Source: kserve ``pkg/logger/handler.go`` and ``worker.go``; CloudEvents 1.0, HTTP binding.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from calumma.sidecar import options

REQUEST: Final = "org.kubeflow.serving.inference.request"
RESPONSE: Final = "org.kubeflow.serving.inference.response"

MIRRORED: Final = b"x-calumma-mirrored"
"""The header of a request that the gateway mirrors to a canary. Nobody gets its answer, so it is no
prediction that was given to a user, and it is not logged."""

Headers = Iterable[tuple[bytes, bytes]]
"""Header names in small letters and values, as they came."""


@dataclass(frozen=True)
class Exchange:
    """What the request and the response of one exchange have in common."""

    id: str
    content_type: str
    metadata: str
    """JSON: each header that was asked for, with its values."""


@dataclass(frozen=True)
class Event:
    """One event: its type, when it happened (seconds since the epoch), and the raw payload."""

    type: str
    exchange: Exchange
    time: float
    body: bytes


def exchange(headers: Headers, wanted: Collection[str]) -> Exchange:
    """What a request's headers say of its exchange; without a ``Ce-Id`` it gets one.

    ``wanted`` are header names as Go writes them (``X-Request-Id``): KServe compares them so.
    """
    found: dict[bytes, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value.decode("utf-8", "replace"))
    metadata = {
        canonical: values
        for name, values in found.items()
        if name != b"host" and (canonical := canonical_name(name)) in wanted
    }
    return Exchange(
        id=found.get(b"ce-id", [""])[0] or str(uuid.uuid4()),
        content_type=found.get(b"content-type", [""])[0],
        metadata=_json(metadata),
    )


def is_mirrored(headers: Headers) -> bool:
    """Whether a request is a copy of another one, which a user sent to another revision."""
    return any(name == MIRRORED for name, _ in headers)


def headers(event: Event, logger: options.Logger, recorded: float) -> dict[str, str]:
    """The headers of the POST; ``recorded`` is the time of sending, in seconds since the epoch."""
    found = {
        "Ce-Specversion": "1.0",
        "Ce-Id": event.exchange.id,
        "Ce-Type": event.type,
        "Ce-Source": logger.source,
        "Ce-Time": moment(event.time),
        "Ce-Recordedtime": moment(recorded),
        "Ce-Inferenceservicename": logger.service,
        "Ce-Namespace": logger.namespace,
        "Ce-Component": logger.component,
        "Ce-Endpoint": logger.endpoint,
        "Ce-Metadata": event.exchange.metadata,
    }
    if logger.annotations:
        found["Ce-Annotations"] = _json(dict(logger.annotations))
    if event.exchange.content_type:
        found["Content-Type"] = event.exchange.content_type
    return found


def canonical_name(name: bytes) -> str:
    """A header's name as Go writes it: ``x-request-id`` is ``X-Request-Id``."""
    return "-".join(word.capitalize() for word in name.decode("latin-1").split("-"))


def moment(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
