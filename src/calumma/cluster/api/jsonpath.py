"""The part of JSONPath that printer columns use.

``.a.b``, ``['key\\.with\\.dots']``, ``[*]``, ``[0]`` and ``[?(@.field=='value')]``: enough for the
columns of every kind that is served. Pure. :mod:`.tables` prints what is found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

Step = Callable[[Any], Iterator[Any]]

_STEP: Final = re.compile(
    r"""\.(?P<field>[A-Za-z_][\w-]*)
      | \['(?P<key>[^']*)'\]
      | \[(?P<index>\d+)\]
      | \[(?P<all>\*)\]
      | \[\?\(@\.(?P<name>\w+)\s*==\s*(?P<literal>'[^']*'|true|false|-?\d+)\)\]""",
    re.VERBOSE,
)


def find(value: Any, path: str) -> list[Any]:
    """Everything in a value that a path names, in order.

    Raises:
        ValueError: the path uses what this module does not know.
    """
    found = [value]
    for step in _steps(path):
        found = [inner for item in found for inner in step(item)]
    return found


@lru_cache(maxsize=128)
def _steps(path: str) -> tuple[Step, ...]:
    """The steps that a path takes."""
    steps = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if not match:
            raise ValueError(f"JSONPath {path!r}: cannot read {path[at:]!r}")
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    """One step: from a value to the values below it."""
    key = match["field"] or (match["key"] or "").replace("\\.", ".")
    if key:
        return lambda value: iter([value[key]] if isinstance(value, dict) and key in value else [])
    if match["index"]:
        index = int(match["index"])
        return lambda value: iter(value[index : index + 1] if isinstance(value, list) else [])
    if match["all"]:
        return lambda value: iter(value if isinstance(value, list) else [])
    name = match["name"]
    wanted = json.loads(match["literal"].replace("'", '"'))

    def chosen(value: Any) -> Iterator[Any]:
        items = value if isinstance(value, list) else []
        return (
            item
            for item in items
            if isinstance(item, dict)
            and name in item
            and type(item[name]) is type(wanted)
            and item[name] == wanted
        )

    return chosen
