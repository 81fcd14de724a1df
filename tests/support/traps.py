"""The warnings of a simulated cluster, and the commands that they name."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable

from calumma.cluster.objects import Object
from support.simulation import Simulation


def told(cluster: Simulation) -> tuple[str, str]:
    """The one warning since the last call: its reason and its message."""
    found = [event for event in cluster.events if event.generation is not None]
    cluster.events.clear()
    assert len(found) == 1, found
    assert found[0].type == "Warning"
    assert found[0].generation == cluster.isvc["metadata"]["generation"]
    return found[0].reason, found[0].message


def commands(message: str) -> list[Callable[[Object], None]]:
    """What a message's ``kubectl patch`` commands do to the object, in order."""
    bodies = [json.loads(body) for body in re.findall(r"--type merge -p '([^']+)'", message)]
    return [functools.partial(_merge, body) for body in bodies]


def _merge(body: Object, value: Object) -> None:
    """Apply a JSON merge patch in place."""
    for key, new in body.items():
        if new is None:
            value.pop(key, None)
        elif isinstance(new, dict):
            _merge(new, value.setdefault(key, {}))
        else:
            value[key] = new
