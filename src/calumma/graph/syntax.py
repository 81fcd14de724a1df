"""GJSON paths as data, read once: keys, elements, queries, modifiers, multipaths and literals.

:func:`parse` guarantees that every path it returns can be evaluated; what GJSON knows and this room
does not (JSON lines, modifiers with arguments and some others) it refuses by name.
:mod:`~calumma.graph.gjson` evaluates. Source: github.com/tidwall/gjson, SYNTAX.md (v1.18).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calumma import errors

MODIFIERS = frozenset(
    {"flatten", "fromstr", "keys", "pretty", "reverse", "this", "tostr", "ugly", "valid", "values"}
)
UNBUILT_MODIFIERS = frozenset({"dig", "group", "join"})
OPERATORS = ("!=", "!%", "<=", ">=", "==", "=", "<", ">", "%")
_SEPARATORS = ".|"
_OPENING, _CLOSING = "[({", "])}"


@dataclass(frozen=True)
class Key:
    """A key of an object or an index of an array; ``pattern`` is set when it has wildcards."""

    text: str
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Elements:
    """``#``: an array's length, or the rest of the path on each of its elements."""


@dataclass(frozen=True)
class Query:
    """``#(path operator value)``: the first element that matches, or ``every`` one.

    Without an operator the path has to exist; without a path the element itself is compared.
    """

    path: Path
    operator: str
    value: str
    every: bool


@dataclass(frozen=True)
class Modifier:
    """``@name``: the value made into another one."""

    name: str


@dataclass(frozen=True)
class Literal:
    """``!value``: a JSON value of the path itself."""

    value: Any


@dataclass(frozen=True)
class Selector:
    """``[a,b]`` or ``{a,"name":b}``: several paths in a new array, or in an object by ``names``."""

    paths: tuple[Path, ...]
    names: tuple[str, ...] | None


Component = Key | Elements | Query | Modifier | Literal | Selector


@dataclass(frozen=True)
class Part:
    """A component; ``piped`` when a ``|`` and no ``.`` joins it to the one before."""

    component: Component
    piped: bool


Path = tuple[Part, ...]


def parse(text: str) -> Path:
    """The path that a text says.

    Raises GraphError with a sentence that names the text when it is not a path, or one of a form
    that is not evaluated here.
    """
    if text.startswith(".."):
        raise _refused(text, "begins with `..`: JSON lines are not read here")
    reader = _Reader(text)
    parts: list[Part] = []
    piped = False
    while True:
        parts.append(Part(reader.component(first=not parts or piped), piped))
        separator = reader.separator()
        if not separator:
            return tuple(parts)
        piped = separator == "|"


def wildcard(pattern: str) -> re.Pattern[str]:
    """The expression for a pattern: ``*`` is any text, ``?`` one character, ``\\`` escapes."""
    return re.compile(
        "".join(
            {"*": ".*", "?": "."}.get(piece, re.escape(piece[-1]))
            for piece in re.findall(r"\\.|.", pattern, re.DOTALL)
        ),
        re.DOTALL,
    )


class _Reader:
    """A text and the place up to which it is read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def component(self, *, first: bool) -> Component:
        """The next component; ``first`` when none precedes it, or only a ``|``."""
        rest = self._text[self._place :]
        head = rest[:1]
        if head == "@" and (modifier := self._modifier(rest)):
            return modifier
        if head == "!" and first and len(rest) > 1:
            return self._literal(rest)
        if head and head in "[{":
            return self._selector()
        if rest[:2] in ("#(", "#["):
            return self._query()
        return self._key()

    def separator(self) -> str:
        """The separator that follows, or nothing at the end."""
        if self._place == len(self._text):
            return ""
        found = self._text[self._place]
        if found not in _SEPARATORS:
            raise _refused(self._text, f"has {found!r} where `.`, `|` or its end would be")
        self._place += 1
        return found

    def _modifier(self, rest: str) -> Modifier | None:
        found = re.match(r"@([^.|:]*)", rest)
        name = found[1] if found else ""
        if name in UNBUILT_MODIFIERS:
            known = ", ".join(f"@{each}" for each in sorted(MODIFIERS))
            raise _refused(self._text, f"has the modifier @{name}; known here are {known}")
        if name not in MODIFIERS:
            return None  # a key such as "@type"
        if rest[len(name) + 1 :].startswith(":"):
            raise _refused(self._text, f"gives @{name} an argument; modifiers have none here")
        self._place += len(name) + 1
        return Modifier(name)

    def _literal(self, rest: str) -> Literal:
        try:
            value, length = json.JSONDecoder().raw_decode(rest[1:])
        except ValueError as error:
            raise _refused(self._text, f"has a literal after `!` that is no JSON: {error}") from (
                error
            )
        self._place += 1 + length
        return Literal(value)

    def _key(self) -> Component:
        pieces = re.match(r"(?:\\.|[^.|\\])*\\?", self._text[self._place :], re.DOTALL)
        raw = pieces[0] if pieces else ""
        self._place += len(raw)
        if raw == "#":
            return Elements()
        if re.search(r"(?<!\\)(?:\\\\)*[*?]", raw):
            return Key(raw, wildcard(raw))
        return Key(re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL))

    def _selector(self) -> Selector:
        inside = self._bracketed(self._place)
        is_object = self._text[self._place] == "{"
        self._place += len(inside) + 2
        paths, names = [], []
        for entry in _split(inside, ","):
            name, colon, path = _named(entry) if is_object else ("", "", entry)
            paths.append(parse(path))
            names.append(_text(name) if colon else _last_name(path))
        return Selector(tuple(paths), tuple(names) if is_object else None)

    def _query(self) -> Query:
        inside = self._bracketed(self._place + 1)
        self._place += len(inside) + 3
        every = self._text[self._place : self._place + 1] == "#"
        self._place += every
        start = next((i for i, c in _outside(inside) if c in "!=<>%"), len(inside))
        path, condition = inside[:start].strip(), inside[start:].strip()
        operator = next((each for each in OPERATORS if condition.startswith(each)), "")
        if condition and not operator:
            raise _refused(
                self._text, f"compares by {condition[0]!r}; known are {' '.join(OPERATORS)}"
            )
        value = _text(condition[len(operator) :].strip())
        return Query(
            parse(path) if path else (), "=" if operator == "==" else operator, value, every
        )

    def _bracketed(self, place: int) -> str:
        """What is between the bracket at a place and the one that closes it."""
        depth = 0
        for index, character in _outside(self._text[place:], nested=True):
            depth += (character in _OPENING) - (character in _CLOSING)
            if depth == 0:
                return self._text[place + 1 : place + index]
        raise _refused(self._text, f"does not close the {self._text[place]!r}")


def _outside(text: str, *, nested: bool = False) -> list[tuple[int, str]]:
    """The characters outside of quotes, escapes and, unless ``nested``, brackets; with places."""
    found = []
    depth = 0
    index = 0
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 2
            continue
        if character == '"':
            index += 1
            while index < len(text) and text[index] != '"':
                index += 2 if text[index] == "\\" else 1
            index += 1
            continue
        depth += (character in _OPENING) - (character in _CLOSING)
        if nested or depth == 0:
            found.append((index, character))
        index += 1
    return found


def _split(text: str, separator: str) -> Sequence[str]:
    places = [index for index, character in _outside(text) if character == separator]
    edges = [-1, *places, len(text)]
    return [text[a + 1 : b] for a, b in itertools.pairwise(edges)]


def _named(entry: str) -> tuple[str, str, str]:
    """A multipath's entry as name, colon and path; without a colon there is no name."""
    place = next((index for index, character in _outside(entry) if character == ":"), None)
    if place is None:
        return "", "", entry
    return entry[:place], ":", entry[place + 1 :]


def _last_name(path: str) -> str:
    """The name that a multipath's entry gets without one of its own."""
    last = re.split(r"(?<!\\)[.|]", path)[-1]
    return "_" if re.search(r"[\[\]{}()#|!\x00-\x1f]", last) else last


def _text(value: str) -> str:
    """A value without its quotes."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value[1:-1]


def _refused(text: str, why: str) -> errors.GraphError:
    return errors.GraphError(f"The GJSON path {text!r} {why}.")
