"""What a batch asks and what its members are answered, in KServe's words and shapes. Pure.

The answer to a member is always a 200, also when the batch failed: the message says it.
Source: kserve ``pkg/batcher/handler.go``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from calumma import errors

CONTENT_TYPE: Final = b"text/plain; charset=utf-8"
"""Of all answers: KServe names none, and Go takes JSON for plain text."""

_SUFFIX = b":predict"


def applies(path: bytes) -> bool:
    """Whether requests for a path are batched: those of the V1 protocol's predict verb."""
    return path.endswith(_SUFFIX)


def instances(body: bytes) -> list[Any]:
    """The instances of a request; raises RequestRefused with KServe's text where there are none."""
    try:
        document = _parsed(body) or {}
        found = document.get("instances") or []
    except (ValueError, AttributeError, RecursionError) as error:
        raise errors.RequestRefused("can't Unmarshal body") from error
    if found == []:
        raise errors.RequestRefused("no instances in the request")
    if not isinstance(found, list):
        raise errors.RequestRefused("can't Unmarshal body")
    return found


def request(members: Sequence[Sequence[Any]]) -> bytes:
    """The one request for the instances of all members."""
    return _json({"instances": [instance for member in members for instance in member]})


def answers(status: int, body: bytes, sizes: Sequence[int], batch: str) -> list[bytes]:
    """What each member is answered; ``sizes`` are their numbers of instances, ``batch`` the id."""
    if status != 200:
        return failures(body.decode("utf-8", "replace"), len(sizes))
    try:
        predictions = _predictions(body)
    except ValueError as error:
        return [_answer(str(error), batch, None)] * len(sizes)
    if len(predictions) != sum(sizes):
        text = "size of prediction is not equal to the size of instances"
        return [_answer(text, batch, None)] * len(sizes)
    found, first = [], 0
    for size in sizes:
        found.append(_answer("", batch, predictions[first : first + size]))
        first += size
    return found


def _predictions(body: bytes) -> list[Any]:
    """The predictions of a component's reply; raises ValueError where it is none."""
    document = _parsed(body)
    if not isinstance(document, dict):
        raise ValueError(f"the reply is a JSON {type(document).__name__}, not an object")
    found = document.get("predictions") or []
    if not isinstance(found, list):
        raise ValueError(f"the reply's predictions are a {type(found).__name__}, not a list")
    return found


def _parsed(body: bytes) -> Any:
    return json.loads(body, parse_constant=_no_constant)


def failures(reason: str, count: int) -> list[bytes]:
    """What each of so many members is answered when their batch could not be asked."""
    return [_answer(reason, "", None)] * count


def _answer(message: str, batch: str, predictions: list[Any] | None) -> bytes:
    return _json({"message": message, "batchId": batch, "predictions": predictions})


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
