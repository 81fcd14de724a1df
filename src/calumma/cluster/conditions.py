"""Status conditions as Knative's libraries keep them: one happy condition over its dependents.

KServe and Knative report readiness as a list of conditions in which one, ``Ready``, follows from a
few *dependents*. :class:`Conditions` holds such a list while a controller decides, and guarantees
what clients rely on: the list is sorted by type, a transition time moves only when its condition
ends up changed, a failed dependent outweighs an unknown one, and conditions outside the living set
carry the severity ``Info``. The rules are those of knative.dev/pkg ``apis/condition_set.go``.

Pure: the clock is passed in. :mod:`calumma.cluster.knative` and :mod:`calumma.cluster.kserve`
build on this room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

Status = Literal["True", "False", "Unknown"]
Condition = dict[str, Any]

READY = "Ready"


class Conditions:
    """A list of conditions under change; ``now`` is the time that changes get (RFC 3339)."""

    def __init__(
        self,
        existing: Iterable[Mapping[str, Any]],
        dependents: tuple[str, ...],
        now: str,
    ) -> None:
        self._by_type: dict[str, Condition] = {c["type"]: dict(c) for c in existing}
        self._original = dict(self._by_type)
        self._dependents = dependents
        self._now = now

    def initialize(self) -> None:
        """Add the happy condition and its dependents where they are missing."""
        happy = self._by_type.get(READY)
        if happy is None:
            self._set(READY, "Unknown")
        status: Status = "True" if happy is not None and happy["status"] == "True" else "Unknown"
        for dependent in self._dependents:
            if dependent not in self._by_type:
                self._set(dependent, status)

    def get(self, kind: str) -> Condition | None:
        """The condition of this type, or None."""
        return self._by_type.get(kind)

    def status(self, kind: str) -> Status:
        """The status of this type; a condition that was never set is ``Unknown``."""
        condition = self._by_type.get(kind)
        status: Status = condition["status"] if condition is not None else "Unknown"
        return status

    def mark(self, kind: str, status: Status, reason: str = "", message: str = "") -> None:
        """Set one condition and let the happy condition follow."""
        self._set(kind, status, reason, message)
        if status == "True":
            self._recompute(kind)
        elif status == "False":
            if kind in self._dependents:
                self._set(READY, "False", reason, message)
        else:
            self._mark_happy_unknown(kind, reason, message)

    def copy(self, kind: str, source: Mapping[str, Any] | None) -> None:
        """Take over status, reason and message of another object's condition, if it has one."""
        if source is not None:
            self.mark(kind, source["status"], source.get("reason", ""), source.get("message", ""))

    def remove(self, kind: str) -> None:
        """Forget the condition of this type."""
        self._by_type.pop(kind, None)

    def as_list(self) -> list[Condition]:
        """The conditions sorted by type, as they are stored."""
        return [dict(self._by_type[kind]) for kind in sorted(self._by_type)]

    def _set(self, kind: str, status: Status, reason: str = "", message: str = "") -> None:
        new: Condition = {"type": kind, "status": status}
        if kind != READY and kind not in self._dependents:
            new["severity"] = "Info"
        if reason:
            new["reason"] = reason
        if message:
            new["message"] = message
        old = self._original.get(kind, {})
        unchanged = {key: value for key, value in old.items() if key != "lastTransitionTime"} == new
        since = old["lastTransitionTime"] if unchanged else self._now
        self._by_type[kind] = {**new, "lastTransitionTime": since}

    def _recompute(self, changed: str) -> None:
        unhappy = self._unhappy_dependent()
        if unhappy is not None:
            self._set(
                READY,
                unhappy["status"],
                unhappy.get("reason", ""),
                unhappy.get("message", ""),
            )
        elif changed != READY:
            self._set(READY, "True")

    def _unhappy_dependent(self) -> Condition | None:
        present = [self._by_type[d] for d in self._dependents if d in self._by_type]
        latest_first = sorted(present, key=lambda c: str(c["lastTransitionTime"]), reverse=True)
        for status in ("False", "Unknown"):
            for condition in latest_first:
                if condition["status"] == status:
                    return condition
        if len(present) < len(self._dependents):
            return {"status": "Unknown"}
        return None

    def _mark_happy_unknown(self, kind: str, reason: str, message: str) -> None:
        if any(self.status(dependent) == "False" for dependent in self._dependents):
            if self.status(READY) != "False":
                self._set(READY, "False", reason, message)
        elif kind in self._dependents:
            self._set(READY, "Unknown", reason, message)


def find(conditions: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    """The stored condition of this type, or None."""
    return next((c for c in conditions if c.get("type") == kind), None)


def is_true(conditions: Iterable[Mapping[str, Any]], kind: str = READY) -> bool:
    """Whether the stored condition of this type is ``True``."""
    condition = find(conditions, kind)
    return condition is not None and condition.get("status") == "True"


def is_false(conditions: Iterable[Mapping[str, Any]], kind: str = READY) -> bool:
    """Whether the stored condition of this type is ``False``."""
    condition = find(conditions, kind)
    return condition is not None and condition.get("status") == "False"
