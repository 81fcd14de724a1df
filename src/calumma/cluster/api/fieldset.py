"""Sets of field paths, and the form ``FieldsV1`` in which managed fields write them.

A path is a tuple of elements as ``FieldsV1`` spells them: ``f:spec`` is a field, ``k:{"name":"x"}``
an item of a list by its keys, ``v:"x"`` an item of a set by its value. A set of paths is a
``frozenset``, so that the algebra of ownership is Python's own. Pure.
Source: sigs.k8s.io/structured-merge-diff, ``fieldpath``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Path = tuple[str, ...]
FieldSet = frozenset[Path]

EMPTY: FieldSet = frozenset()


def field(name: str) -> str:
    """The element of a field, or of a key of a map."""
    return f"f:{name}"


def item(keys: Mapping[str, Any]) -> str:
    """The element of a list item that its keys tell apart."""
    return "k:" + json.dumps(keys, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def member(value: Any) -> str:
    """The element of an item of a set."""
    return "v:" + json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def decode(fields: Mapping[str, Any]) -> FieldSet:
    """The set that a ``fieldsV1`` object holds."""
    paths: set[Path] = set()

    def visit(node: Mapping[str, Any], path: Path) -> None:
        for element, inner in node.items():
            if element == ".":
                paths.add(path)
            elif inner:
                visit(inner, (*path, element))
            else:
                paths.add((*path, element))

    visit(fields, ())
    return frozenset(paths)


def encode(paths: Iterable[Path]) -> dict[str, Any]:
    """The ``fieldsV1`` object that holds a set; a field with fields below it says ``.``."""
    root: dict[str, Any] = {}
    members: list[dict[str, Any]] = []
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        members.append(node)
    for node in members:
        if node:
            inner = dict(node)
            node.clear()
            node["."] = {}
            node.update(inner)
    return root


def text(path: Path) -> str:
    """A path as conflicts show it: ``.spec.containers[name="x"].image``."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    kind, _, rest = element.partition(":")
    match kind:
        case "f":
            return f".{rest}"
        case "k":
            keys = json.loads(rest)
            shown = (f"{key}={json.dumps(keys[key], ensure_ascii=False)}" for key in sorted(keys))
            return f"[{','.join(shown)}]"
        case "v":
            return f"[={rest}]"
    return f"[{rest}]"
