"""Label and field selectors: which objects a client asks for.

A selector is parsed once into a predicate over objects; a text that is none is refused with the
words of a real API server. Pure.
Source: Kubernetes' ``apimachinery/pkg/labels/selector.go`` and ``pkg/fields/selector.go``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from calumma.cluster.api import names, status

Predicate = Callable[[Mapping[str, Any]], bool]
"""Whether an object is asked for."""

_TOKEN: Final = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+|$)")
_SPECIAL: Final = frozenset(["=", "==", "!=", "!", "(", ")", ",", "<", ">"])
_OPERATORS: Final = {"=": "=", "==": "=", "in": "in", "!=": "!=", "notin": "notin", ">": ">"}
_LISTED_OPERATORS: Final = "in, notin, =, ==, !=, gt, lt"


class Requirement(NamedTuple):
    """One condition on one label: ``key operator values``."""

    key: str
    operator: str
    values: frozenset[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels satisfy the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "=" | "in":
                return value in self.values
            case "!=" | "notin":
                return value not in self.values
        bound = int(next(iter(self.values)))
        number = int(value) if value is not None and re.fullmatch(r"-?\d+", value) else None
        return number is not None and (number > bound if self.operator == ">" else number < bound)


class _Parser:
    """A recursive descent over the tokens of one label selector."""

    def __init__(self, text: str) -> None:
        self._tokens = [token for token in _TOKEN.findall(text) if token]
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def requirements(self) -> list[Requirement]:
        """All conditions of the selector."""
        found: list[Requirement] = []
        while token := self._peek():
            if token in _SPECIAL and token != "!":
                raise status.bad_request(
                    f"found '{token}', expected: !, identifier, or 'end of string'"
                )
            found.append(self._requirement())
            if after := self._next():
                if after != ",":
                    raise status.bad_request(f"found '{after}', expected: ',' or 'end of string'")
                following = self._peek()
                if not following or (following in _SPECIAL and following != "!"):
                    raise status.bad_request(f"found '{following}', expected: identifier after ','")
        return found

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        key = self._next() if not absent else (self._next(), self._next())[1]
        if not key or key in _SPECIAL:
            raise _malformed(f"found '{key}', expected: identifier")
        if problems := names.qualified_name(key):
            raise _malformed(f"<nil>: Invalid value: {status.quoted(key)}: {'; '.join(problems)}")
        if self._peek() in ("", ","):
            return Requirement(key, "!" if absent else "exists", frozenset())
        operator = self._next()
        if operator in ("in", "notin"):
            values = self._values()
        elif operator in _OPERATORS or operator == "<":
            values = self._value()
        else:
            raise _malformed(f"found '{operator}', expected: {_LISTED_OPERATORS}")
        return _checked(Requirement(key, _OPERATORS.get(operator, operator), values))

    def _value(self) -> frozenset[str]:
        if self._peek() in ("", ","):
            return frozenset({""})
        value = self._next()
        if value in _SPECIAL:
            raise _malformed(f"found '{value}', expected: identifier")
        return frozenset({value})

    def _values(self) -> frozenset[str]:
        opening = self._next()
        if opening != "(":
            raise _malformed(f"found '{opening}' expected: '('")
        values = set()
        while True:
            value = self._peek()
            if value in (",", ")"):
                values.add("")
            elif value and value not in _SPECIAL:
                values.add(self._next())
            else:
                raise _malformed(f"found '{value}', expected: ',', ')' or identifier")
            after = self._next()
            if after == ")":
                return frozenset(values)
            if after != ",":
                raise _malformed(f"found '{after}', expected: ',' or ')'")


def _malformed(why: str) -> Exception:
    return status.bad_request(f"unable to parse requirement: {why}")


def _checked(requirement: Requirement) -> Requirement:
    """The requirement, unless one of its values cannot be the value of a label."""
    for index, value in enumerate(sorted(requirement.values)):
        if requirement.operator in ("<", ">") and not re.fullmatch(r"-?\d+", value):
            detail = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise _malformed(f"values[{index}]: Invalid value: {status.quoted(value)}: {detail}")
        if problems := names.label_value(value):
            where = f"values[{index}][{requirement.key}]"
            shown = status.quoted(value)
            raise _malformed(f"{where}: Invalid value: {shown}: {'; '.join(problems)}")
    return requirement


def by_labels(text: str) -> Predicate:
    """The predicate of a label selector such as ``app in (a,b),!canary``.

    Raises:
        errors.Refused: 400 where the text is not a label selector.
    """
    requirements = _Parser(text).requirements()

    def matches(obj: Mapping[str, Any]) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(requirement.holds(labels) for requirement in requirements)

    return matches


def by_fields(text: str, paths: Mapping[str, tuple[str, ...]], custom: bool) -> Predicate:
    """The predicate of a field selector such as ``metadata.name=x,status.phase!=Running``.

    Args:
        text: the selector.
        paths: which fields can be selected by, and where they lie in an object.
        custom: whether the kind is a custom resource, whose refusals read differently.

    Raises:
        errors.Refused: 400 where the text is not a field selector or names another field.
    """
    terms: list[tuple[tuple[str, ...], bool, str]] = []
    for term in sorted(filter(None, re.split(r"(?<!\\),", text))):
        split = re.match(r"(.*?)(!=|==|=)(.*)", term, re.DOTALL)
        if not split:
            raise status.bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        field, operator, value = split.groups()
        if field not in paths:
            raise status.bad_request(_unselectable(field, paths, custom))
        terms.append((paths[field], operator != "!=", re.sub(r"\\([\\,=])", r"\1", value)))

    def matches(obj: Mapping[str, Any]) -> bool:
        return all((_text(obj, path) == value) is equal for path, equal, value in terms)

    return matches


def _unselectable(field: str, paths: Mapping[str, tuple[str, ...]], custom: bool) -> str:
    """What a client is told that selects by a field it cannot select by."""
    if custom or len(paths) > 2:
        return f"field label not supported: {field}"
    return f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def _text(obj: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """The value of a field as a selector compares it."""
    value: Any = obj
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)
