"""The columns that Kubernetes prints for its own kinds, and their cells.

Custom resources name their columns by JSONPath; these kinds have a function each. Pure: the clock
is passed in. :mod:`.tables` makes tables of both.
Source: Kubernetes' ``pkg/printers/internalversion/printers.go``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from calumma.cluster.objects import dig

Object = Mapping[str, Any]
Cells = Callable[[Object, float], list[Any]]

_NONE: Final = "<none>"
_UNKNOWN: Final = "<unknown>"
_DAY: Final = 86400
_YEAR: Final = 365 * _DAY


class Heading(NamedTuple):
    """The heading of a column; priority 1 is shown with ``-o wide`` only."""

    name: str
    type: str = "string"
    priority: int = 0


class Printer(NamedTuple):
    """The columns of a kind, and the function that fills a row; ``now`` is in seconds."""

    headings: tuple[Heading, ...]
    cells: Cells


class _Unit(NamedTuple):
    """A unit of durations, up to when it is used, and up to when with the smaller one."""

    seconds: int
    letter: str
    rest_seconds: int
    rest_letter: str
    both_until: int
    until: float


_UNITS: Final = (
    _Unit(60, "m", 1, "s", 600, 3 * 3600),
    _Unit(3600, "h", 60, "m", 8 * 3600, 2 * _DAY),
    _Unit(_DAY, "d", 3600, "h", 8 * _DAY, 2 * _YEAR),
    _Unit(_YEAR, "y", _DAY, "d", 8 * _YEAR, math.inf),
)


def seconds(time: str) -> float | None:
    """A moment as objects write it, in seconds since 1970; None where it is none."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def age(time: Any, now: float) -> str:
    """How long ago a moment is, as kubectl shows it."""
    moment = seconds(time) if isinstance(time, str) else None
    return _UNKNOWN if moment is None else duration(now - moment)


def duration(span: float) -> str:
    """A number of seconds in at most two units: ``45s``, ``3m20s``, ``2d4h``.

    Source: Kubernetes' ``apimachinery/pkg/util/duration.HumanDuration``.
    """
    if span < -1:
        return "<invalid>"
    whole = max(int(span), 0)
    if whole < 120:
        return f"{whole}s"
    unit = next(unit for unit in _UNITS if whole < unit.until)
    count, rest = divmod(whole, unit.seconds)
    few = rest // unit.rest_seconds
    if few and whole < unit.both_until:
        return f"{count}{unit.letter}{few}{unit.rest_letter}"
    return f"{count}{unit.letter}"


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _created(obj: Object, now: float) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _config_map(obj: Object, now: float) -> list[Any]:
    count = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    return [_name(obj), count, _created(obj, now)]


def _secret(obj: Object, now: float) -> list[Any]:
    kind = obj.get("type", "")
    return [_name(obj), kind, len(obj.get("data") or {}), _created(obj, now)]


def _service_account(obj: Object, now: float) -> list[Any]:
    return [_name(obj), len(obj.get("secrets") or []), _created(obj, now)]


def _namespace(obj: Object, now: float) -> list[Any]:
    return [_name(obj), dig(obj, "status", "phase", default=""), _created(obj, now)]


def _definition(obj: Object, now: float) -> list[Any]:
    return [_name(obj), obj["metadata"].get("creationTimestamp")]


def _event(obj: Object, now: float) -> list[Any]:
    about = obj.get("involvedObject") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = dig(obj, "series", "lastObservedTime") or obj.get("lastTimestamp") or first
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent") or ""
    host = source.get("host")
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        str(obj.get("message", "")).strip(),
        age(first, now),
        dig(obj, "series", "count") or obj.get("count") or 1,
        _name(obj),
    ]


def _pod(obj: Object, now: float) -> list[Any]:
    spec, state = obj.get("spec") or {}, obj.get("status") or {}
    statuses = state.get("containerStatuses") or []
    ready = sum(bool(each.get("ready")) for each in statuses)
    beginning = _initialization(spec, state)
    counted = (state.get("initContainerStatuses") or []) if beginning else statuses
    word = beginning or _activity(state, statuses)
    return [
        _name(obj),
        f"{ready}/{len(spec.get('containers') or [])}",
        "Terminating" if "deletionTimestamp" in obj["metadata"] else word,
        _restarts(counted, now),
        _created(obj, now),
        state.get("podIP") or _NONE,
        spec.get("nodeName") or _NONE,
        state.get("nominatedNodeName") or _NONE,
        _readiness_gates(spec, state),
    ]


def _initialization(spec: Object, state: Object) -> str | None:
    """The word for a pod whose init containers are not done; None where they are."""
    if _condition(state, "Initialized"):
        return None
    for index, each in enumerate(state.get("initContainerStatuses") or []):
        ended = dig(each, "state", "terminated")
        if ended and ended.get("exitCode", 0) == 0:
            continue
        waiting = dig(each, "state", "waiting", "reason", default="")
        if ended:
            return f"Init:{_ending(ended)}"
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{len(spec.get('initContainers') or [])}"
    return None


def _activity(state: Object, statuses: list[Object]) -> str:
    """The word for a pod by its containers."""
    reason = str(state.get("reason") or state.get("phase") or "")
    running = False
    for each in reversed(statuses):
        waiting = dig(each, "state", "waiting", default={})
        ended = dig(each, "state", "terminated", default={})
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended:
            reason = _ending(ended)
        elif each.get("ready") and "running" in (each.get("state") or {}):
            running = True
    if reason == "Completed" and running:
        return "Running" if _condition(state, "Ready") else "NotReady"
    return reason


def _ending(ended: Object) -> str:
    """The word for a container that ended."""
    signal, code = ended.get("signal"), ended.get("exitCode", 0)
    return ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{code}")


def _condition(state: Object, kind: str) -> bool:
    """Whether a condition of a pod is True."""
    conditions = state.get("conditions") or []
    return any(c.get("type") == kind and c.get("status") == "True" for c in conditions)


def _restarts(statuses: list[Object], now: float) -> str:
    """How often containers were restarted, and how long ago for the last time."""
    count = sum(each.get("restartCount", 0) for each in statuses)
    ended = [dig(each, "lastState", "terminated", "finishedAt", default="") for each in statuses]
    times = [moment for time in ended if (moment := seconds(time)) is not None]
    return f"{count} ({duration(now - max(times))} ago)" if count and times else str(count)


def _readiness_gates(spec: Object, state: Object) -> str:
    """How many of a pod's readiness gates are open."""
    gates = {gate["conditionType"] for gate in spec.get("readinessGates") or []}
    met = [c for c in state.get("conditions") or [] if c.get("status") == "True"]
    opened = sum(condition.get("type") in gates for condition in met)
    return f"{opened}/{len(gates)}" if gates else _NONE


def _deployment(obj: Object, now: float) -> list[Any]:
    spec, state = obj.get("spec") or {}, obj.get("status") or {}
    return [
        _name(obj),
        f"{state.get('readyReplicas', 0)}/{spec.get('replicas', 1)}",
        state.get("updatedReplicas", 0),
        state.get("availableReplicas", 0),
        _created(obj, now),
        *_containers(spec),
        _selector(dig(spec, "selector", "matchLabels", default={})),
    ]


def _replica_set(obj: Object, now: float) -> list[Any]:
    spec, state = obj.get("spec") or {}, obj.get("status") or {}
    return [
        _name(obj),
        spec.get("replicas", 1),
        state.get("replicas", 0),
        state.get("readyReplicas", 0),
        _created(obj, now),
        *_containers(spec),
        _selector(dig(spec, "selector", "matchLabels", default={})),
    ]


def _containers(spec: Object) -> tuple[str, str]:
    """The names and the images of a template's containers."""
    found = dig(spec, "template", "spec", "containers", default=[])
    return ",".join(c["name"] for c in found), ",".join(c.get("image", "") for c in found)


def _selector(labels: Object) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or _NONE


def _service(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    ports = [f"{each['port']}/{each.get('protocol', 'TCP')}" for each in spec.get("ports") or []]
    return [
        _name(obj),
        spec.get("type", "ClusterIP"),
        spec.get("clusterIP") or _NONE,
        _NONE,
        ",".join(ports) or _NONE,
        _created(obj, now),
        _selector(spec.get("selector") or {}),
    ]


_NAME: Final = Heading("Name")
_AGE: Final = Heading("Age")
_WIDE: Final = (
    Heading("Containers", priority=1),
    Heading("Images", priority=1),
    Heading("Selector", priority=1),
)
PRINTERS: Final = {
    "ConfigMap": Printer((_NAME, Heading("Data", "integer"), _AGE), _config_map),
    "CustomResourceDefinition": Printer((_NAME, Heading("Created At", "date")), _definition),
    "Deployment": Printer(
        (_NAME, Heading("Ready"), Heading("Up-to-date"), Heading("Available"), _AGE, *_WIDE),
        _deployment,
    ),
    "Event": Printer(
        (
            Heading("Last Seen"),
            Heading("Type"),
            Heading("Reason"),
            Heading("Object"),
            Heading("Subobject", priority=1),
            Heading("Source", priority=1),
            Heading("Message"),
            Heading("First Seen", priority=1),
            Heading("Count", "integer", 1),
            Heading("Name", priority=1),
        ),
        _event,
    ),
    "Namespace": Printer((_NAME, Heading("Status"), _AGE), _namespace),
    "Pod": Printer(
        (
            _NAME,
            Heading("Ready"),
            Heading("Status"),
            Heading("Restarts"),
            _AGE,
            Heading("IP", priority=1),
            Heading("Node", priority=1),
            Heading("Nominated Node", priority=1),
            Heading("Readiness Gates", priority=1),
        ),
        _pod,
    ),
    "ReplicaSet": Printer(
        (
            _NAME,
            Heading("Desired", "integer"),
            Heading("Current", "integer"),
            Heading("Ready", "integer"),
            _AGE,
            *_WIDE,
        ),
        _replica_set,
    ),
    "Secret": Printer((_NAME, Heading("Type"), Heading("Data", "integer"), _AGE), _secret),
    "Service": Printer(
        (
            _NAME,
            Heading("Type"),
            Heading("Cluster-IP"),
            Heading("External-IP"),
            Heading("Port(s)"),
            _AGE,
            Heading("Selector", priority=1),
        ),
        _service,
    ),
    "ServiceAccount": Printer((_NAME, Heading("Secrets", "integer"), _AGE), _service_account),
}
"""Kubernetes' own kinds; :mod:`.tables` knows what to do with the others."""
