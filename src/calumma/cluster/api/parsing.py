"""From bytes to a document: JSON, YAML or, for Kubernetes' own kinds, protobuf.

What cannot be read is refused in the words of Go's decoders, on which clients may rely, and nothing
that a client sends exhausts the server. Pure. :mod:`.decoding` makes objects of the documents.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from calumma.cluster.api import protobuf, status

JSON: Final = "application/json"
YAML: Final = "application/yaml"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_MOST_NODES: Final = 1_000_000
_WORD: Final = 1 << 63
"""Whole numbers below it, and not below its negative, are Go's ``int64``."""
_DEEPEST: Final = 200
_KEY_EXPECTED: Final = "looking for beginning of object key string"
_SYNTAX: Final = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": _KEY_EXPECTED,
    "Illegal trailing comma before end of object": _KEY_EXPECTED,
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
}
"""What Go's decoder says where Python's says the left side."""


class Unreadable(Exception):
    """Bytes that are no such document."""


class Parsed(NamedTuple):
    """A document, and the paths of fields that it gives more than once."""

    value: Any
    duplicates: list[str]


def parse_json(body: bytes) -> Parsed:
    """Read a JSON document.

    Raises:
        Unreadable: it is none.
    """
    repeated: dict[int, list[str]] = {}

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            repeated[id(result)] = sorted(name for name, count in counts.items() if count > 1)
        return result

    try:
        value = json.loads(
            body,
            object_pairs_hook=collect,
            parse_int=_whole,
            parse_float=_number,
            parse_constant=_no_number,
        )
    except json.JSONDecodeError as error:
        raise Unreadable(_syntax(error)) from error
    except UnicodeDecodeError as error:
        raise Unreadable("invalid UTF-8") from error
    except RecursionError as error:
        raise Unreadable("exceeded max depth") from error
    check_size(value)
    duplicates = list(_duplicates(value, "", repeated)) if repeated else []
    return Parsed(_encodable(value) if _SURROGATE.search(body) else value, duplicates)


def _encodable(value: Any) -> Any:
    """A value without halves of surrogate pairs, which Go replaces as well."""
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", value)
    return value


def _number(text: str) -> float:
    """A number with a point or exponent; Go writes whole ones without."""
    value = float(text)
    if math.isinf(value):
        raise Unreadable(f"cannot unmarshal number {text} into Go value of type float64")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _whole(text: str) -> int | float:
    """A number without point and exponent; Go takes one that is no ``int64`` for a float."""
    value = int(text) if len(text) <= len(str(-_WORD)) else _WORD
    return value if -_WORD <= value < _WORD else _number(text)


def _no_number(text: str) -> Any:
    raise Unreadable(f"invalid character '{text[0]}' looking for beginning of value")


def _syntax(error: json.JSONDecodeError) -> str:
    """What Go's decoder says about malformed JSON."""
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    where = _SYNTAX.get(error.msg, "in string literal")
    return f"invalid character '{error.doc[error.pos]}' {where}"


def check_size(value: Any) -> None:
    """Refuse documents whose depth or size would exhaust the server.

    Raises:
        Unreadable: it is such a document.
    """
    nodes = 0
    level = [value]
    for _ in range(_DEEPEST):
        if not level:
            return
        nodes += len(level)
        if nodes > _MOST_NODES:
            raise Unreadable("document contains excessive aliasing")
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                below += node.values()
            elif isinstance(node, list):
                below += node
        level = below
    raise Unreadable("exceeded max depth")


def _duplicates(value: Any, path: str, repeated: dict[int, list[str]]) -> Iterator[str]:
    """The paths of repeated fields."""
    if isinstance(value, dict):
        for name in repeated.get(id(value), []):
            yield f"{path}.{name}" if path else name
        for key, item in value.items():
            yield from _duplicates(item, f"{path}.{key}" if path else key, repeated)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _duplicates(item, f"{path}[{index}]", repeated)


class _Loader(yaml.CSafeLoader):
    """YAML without times: Kubernetes' are strings."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(body: bytes) -> Parsed:
    """Read a YAML document, of which JSON is one.

    Raises:
        Unreadable: it is none.
    """
    try:
        _check_depth(body)
        value = yaml.load(body, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise Unreadable(f"error converting YAML to JSON: yaml: {text}") from error
    check_size(value)
    try:
        return parse_json(json.dumps(value, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise Unreadable(f"error converting YAML to JSON: {error}") from error


def _check_depth(body: bytes) -> None:
    """Refuse YAML that nests so deeply that the C parser would overflow its stack."""
    depth = 0
    for event in yaml.parse(body, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise Unreadable("exceeded max depth")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def to_yaml(value: Any) -> str:
    """A document in YAML."""
    text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, allow_unicode=True)
    return text


def parse_any(body: bytes, media_type: str) -> Parsed:
    """Read a document of a media type.

    Raises:
        Unreadable: it is none.
        errors.Refused: 415 for another media type.
    """
    if media_type == JSON:
        return parse_json(body)
    if media_type == YAML:
        return parse_yaml(body)
    if media_type == protobuf.MEDIA_TYPE:
        try:
            return Parsed(protobuf.decode(body), [])
        except protobuf.Malformed as error:
            raise Unreadable(str(error)) from error
    raise status.unsupported_media_type((JSON, YAML, protobuf.MEDIA_TYPE))
