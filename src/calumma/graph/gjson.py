"""What a GJSON path finds in a document, by GJSON's rules.

Documents are decoded JSON. A path that leads nowhere gives :data:`MISSING`, which is not null.
:mod:`~calumma.graph.syntax` reads paths. Source: github.com/tidwall/gjson (v1.18).
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from calumma.graph import syntax


class Missing(Enum):
    """What is not there."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TRUE, _FALSE = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})


def exists(path: syntax.Path, document: Any) -> bool:
    """Whether a path leads to a value of a document, which may be null."""
    return get(path, document) is not MISSING


def get(path: syntax.Path, value: Any) -> Any:
    """The value at a path, or :data:`MISSING`."""
    if not path or value is MISSING:
        return value
    component, rest = path[0].component, path[1:]
    match component:
        case syntax.Key():
            return get(rest, _at(component, value))
        case syntax.Elements():
            return _elements(rest, value)
        case syntax.Query():
            return _query(component, rest, value)
        case syntax.Modifier():
            return get(rest, _MODIFIERS[component.name](value))
        case syntax.Literal():
            return get(rest, component.value)
        case syntax.Selector():
            return get(rest, _select(component, value))


def _at(key: syntax.Key, value: Any) -> Any:
    if isinstance(value, dict):
        if key.pattern is None:
            return value.get(key.text, MISSING)
        return next((v for k, v in value.items() if key.pattern.fullmatch(k)), MISSING)
    if isinstance(value, list) and key.text.isascii() and key.text.isdigit():
        index = int(key.text)
        return value[index] if index < len(value) else MISSING
    return MISSING


def _elements(rest: syntax.Path, value: Any) -> Any:
    if isinstance(value, dict):
        return get(rest, value.get("#", MISSING))
    if not isinstance(value, list):
        return MISSING
    if not rest or rest[0].piped:
        return get(rest, len(value))
    return _each(rest, value)


def _query(query: syntax.Query, rest: syntax.Path, value: Any) -> Any:
    if not isinstance(value, list):
        return MISSING
    found = (element for element in value if _matches(query, element))
    if not query.every:
        return get(rest, next(found, MISSING))
    if not rest or rest[0].piped:
        return get(rest, list(found))
    return _each(rest, list(found))


def _each(rest: syntax.Path, elements: list[Any]) -> Any:
    """The path up to a ``|`` on every element, and what follows it on their results."""
    end = next((i for i, part in enumerate(rest) if part.piped), len(rest))
    results = (get(rest[:end], element) for element in elements)
    return get(rest[end:], [result for result in results if result is not MISSING])


def _select(selector: syntax.Selector, value: Any) -> Any:
    results = [get(path, value) for path in selector.paths]
    if selector.names is None:
        return [result for result in results if result is not MISSING]
    named = zip(selector.names, results, strict=True)
    return {name: result for name, result in named if result is not MISSING}


def _matches(query: syntax.Query, element: Any) -> bool:
    if isinstance(element, dict | list):
        value = get(query.path, element) if query.path else MISSING
    elif query.path:
        return False
    else:
        value = element
    text = query.value
    if text.startswith("~"):
        judged = _truth(text[1:], value)
        value, text = (MISSING, "") if judged is None else (judged, "true")
    if value is MISSING:
        return False
    if not query.operator:
        return True
    return _compare(value, query.operator, text)


def _compare(value: Any, sign: str, text: str) -> bool:
    """GJSON's comparison by the type of the value that was found; null and containers never match.

    ``true`` is greater than ``false``, a text that is no number counts as 0 among numbers.
    """
    if isinstance(value, bool):
        if sign in ("=", "!="):
            return (text == str(value).lower()) == (sign == "=")
        if value:
            return sign == ">=" or (sign == ">" and text == "false")
        return sign == "<=" or (sign == "<" and text == "true")
    if isinstance(value, str):
        if sign in ("%", "!%"):
            return bool(syntax.wildcard(text).fullmatch(value)) == (sign == "%")
        return _COMPARISONS[sign](value, text)
    if isinstance(value, int | float) and sign in _COMPARISONS:
        return _COMPARISONS[sign](value, float(text) if _NUMBER.fullmatch(text) else 0.0)
    return False


def _truth(kind: str, value: Any) -> bool | None:
    """What ``~kind`` says of a value; None for an unknown kind."""
    match kind:
        case "*":
            return value is not MISSING
        case "null":
            return value is None or value is MISSING
        case "true":
            return _reads_as(value, _TRUE, number=True)
        case "false":
            absent = value is None or value is MISSING
            return absent or _reads_as(value, _FALSE, number=False)
    return None


def _reads_as(value: Any, words: frozenset[str], *, number: bool) -> bool:
    if isinstance(value, str):
        return value.lower() in words
    return isinstance(value, bool | int | float) and (value != 0) == number


def _reverse(value: Any) -> Any:
    if isinstance(value, list):
        return value[::-1]
    return dict(reversed(value.items())) if isinstance(value, dict) else value


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value)
    return [None] * len(value) if isinstance(value, list) else [None]


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _flatten(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [e for each in value for e in (each if isinstance(each, list) else [each])]


def _from_string(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return MISSING


def _to_string(value: Any) -> Any:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _same(value: Any) -> Any:
    return value


_MODIFIERS: Mapping[str, Callable[[Any], Any]] = {
    "flatten": _flatten,
    "fromstr": _from_string,
    "keys": _keys,
    "pretty": _same,
    "reverse": _reverse,
    "this": _same,
    "tostr": _to_string,
    "ugly": _same,
    "valid": _same,
    "values": _values,
}
