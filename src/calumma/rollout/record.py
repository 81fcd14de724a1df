"""The ConfigMap ``rollout-<service>``: what lies in it, and what may be done to it. Pure.

One driver works on it at a time. It notes itself, and only when it has not renewed that for
:data:`LEASE` seconds, or is known to have ended, another one takes over. Each write carries the
``resourceVersion`` that was read, so nobody overwrites what somebody else wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, get_args

from calumma import errors
from calumma.cluster import objects
from calumma.evaluation import document
from calumma.rollout import names
from calumma.rollout.state import Note, Phase, Reading, State, Verb

LEASE: Final = 30.0
"""Seconds after which a driver that was not heard of is no driver."""
RENEW: Final = 10.0
"""Seconds between two renewals."""
MOST_BYTES: Final = 1024 * 1024 - 64 * 1024
"""What may lie in it: the API server's limit, less what people may add."""
_KEPT: Final = 20

Owner = Mapping[str, Any]


class Driver(document.Part):
    """The process that carries the rollout out, and when it last said so (Unix time)."""

    host: str
    process: int
    time: float


class Past(document.Part):
    """What is kept of a rollout that has ended: everything but the counts and the policy."""

    id: str
    phase: Phase
    why: str
    began: float
    ended: float | None
    stable: str
    canary: str | None
    to: str | None
    weight: int
    readings: tuple[Reading, ...]
    notes: tuple[Note, ...]

    @classmethod
    def of(cls, state: State) -> Self:
        """What is kept of a state."""
        return cls(**{name: getattr(state, name) for name in cls.model_fields})


class _History(document.Part):
    """The content of ``history.json``."""

    rollouts: tuple[Past, ...] = ()


@dataclass(frozen=True)
class Record:
    """What the ConfigMap says; ``resource_version`` is None while there is none.

    ``owner`` is the reference to the InferenceService. ``request`` is what a person wrote, which
    need not be a verb, ``rest`` what others have put there.
    """

    service: str
    namespace: str
    owner: Owner
    resource_version: str | None = None
    state: State | None = None
    status: str = ""
    request: str | None = None
    answer: str = ""
    routing: str | None = None
    history: tuple[Past, ...] = ()
    driver: Driver | None = None
    rest: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The ConfigMap's name."""
        return names.config_map(self.service)

    @property
    def wish(self) -> Verb | None:
        """What a person wishes, where it is a verb."""
        return next((verb for verb in get_args(Verb) if verb == self.request), None)

    @property
    def open(self) -> bool:
        """Whether there is something to do for a driver."""
        if self.state is None:
            return False
        return not self.state.phase.ended or self.request is not None or bool(self.state.untold)

    def begun(self, state: State, isvc: Mapping[str, Any]) -> Record:
        """The record with a new rollout; the one before goes into the history.

        Raises :class:`~calumma.errors.RolloutError` while that is under way.
        """
        now = self.state
        if now is not None and not now.phase.ended and self.owner.get("uid") == owner(isvc)["uid"]:
            raise errors.RolloutError(
                f"{self.service} in namespace {self.namespace} is being rolled out already: "
                f"{now.id} is {now.phase}; promote or abort it first"
            )
        past = () if now is None else (Past.of(now),)
        return replace(
            self,
            owner=owner(isvc),
            state=state,
            status="",
            request=None,
            answer="",
            routing=None,
            history=(*past, *self.history)[:_KEPT],
        )

    def taken(self, by: Driver, *, other_ended: bool = False) -> Record:
        """The record with this driver; ``other_ended`` says that the one noted is no more.

        Raises :class:`~calumma.errors.RolloutError` while another one works on it.
        """
        other = self.driver
        if (
            other is not None
            and not other_ended
            and (other.host, other.process)
            != (
                by.host,
                by.process,
            )
        ):
            silent = by.time - other.time
            if silent < LEASE:
                raise errors.RolloutError(
                    f"the rollout of {self.service} in namespace {self.namespace} is carried out "
                    f"by process {other.process} on {other.host}, heard of {max(silent, 0):.0f} s "
                    f"ago; another one takes over when it was silent for {LEASE:.0f} s"
                )
        return replace(self, driver=by)


def owner(isvc: Mapping[str, Any]) -> Owner:
    """The reference with which the ConfigMap goes when its InferenceService goes."""
    return {
        "apiVersion": isvc["apiVersion"],
        "kind": isvc["kind"],
        "name": objects.name(isvc),
        "uid": isvc["metadata"]["uid"],
    }


def empty(isvc: Mapping[str, Any]) -> Record:
    """The record of a service that has none yet."""
    return Record(objects.name(isvc), objects.namespace(isvc), owner(isvc))


def read(found: Mapping[str, Any]) -> Record:
    """The record in a ConfigMap; raises RolloutError for one that nobody understands."""
    name, data = objects.name(found), dict(found.get("data") or {})
    owners = objects.dig(found, "metadata", "ownerReferences", default=[])

    def parsed(key: str, model: type[document.Content]) -> document.Content | None:
        text = data.pop(key, None)
        if text is None:
            return None
        place = f"{key} in the ConfigMap {name} in namespace {objects.namespace(found)}"
        try:
            return document.check(json.loads(text), model, place)
        except ValueError as error:
            raise errors.RolloutError(f"{place} is not JSON: {error}") from error
        except errors.DocumentInvalid as error:
            raise errors.RolloutError(
                f"{error}. Another version may have written it; delete the ConfigMap to forget "
                "the rollout"
            ) from error

    history = parsed("history.json", _History) or _History()
    return Record(
        service=objects.labels_of(found).get(names.SERVICE, name.removeprefix(names.PREFIX)),
        namespace=objects.namespace(found),
        owner=owners[0] if owners else {},
        resource_version=found["metadata"]["resourceVersion"],
        state=parsed("state.json", State),
        driver=parsed("driver", Driver),
        history=history.rollouts,
        status=data.pop("status", ""),
        request=data.pop("request", "").strip() or None,
        answer=data.pop("answer", ""),
        routing=data.pop("routing.json", None),
        rest=data,
    )


def written(record: Record) -> dict[str, Any]:
    """The ConfigMap; the oldest of the history makes room where there is none.

    Raises :class:`~calumma.errors.RolloutError` when even without history it would be too large.
    """
    kept = record.history
    while True:
        data = _data(record, kept)
        size = sum(len(key) + len(value.encode()) for key, value in data.items())
        if size <= MOST_BYTES:
            break
        if not kept:
            raise errors.RolloutError(
                f"what is known of the rollout of {record.service} takes {size} bytes and a "
                f"ConfigMap holds {MOST_BYTES}; look less often (interval) or at fewer metrics"
            )
        kept = kept[:-1]
    metadata: dict[str, Any] = {
        "name": record.name,
        "namespace": record.namespace,
        "labels": {
            names.SERVICE: record.service,
            names.ACTIVE: "true" if record.open else "false",
            "app.kubernetes.io/managed-by": "calumma",
        },
        "ownerReferences": [dict(record.owner)],
    }
    if record.resource_version is not None:
        metadata["resourceVersion"] = record.resource_version
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def driver_of(driver: Driver) -> str:
    """What lies under the key ``driver``."""
    return _json(driver)


def _data(record: Record, history: tuple[Past, ...]) -> dict[str, str]:
    found = {
        "state.json": None if record.state is None else _json(record.state),
        "status": record.status,
        "request": record.request,
        "answer": record.answer,
        "routing.json": record.routing,
        "history.json": _json(_History(rollouts=history)) if history else None,
        "driver": None if record.driver is None else _json(record.driver),
    }
    return {**record.rest, **{key: value for key, value in found.items() if value}}


def _json(part: document.Part) -> str:
    # pydantic's own JSON has null for what is infinite, as bounds of nothing counted may be.
    return json.dumps(part.model_dump(mode="json"), separators=(",", ":"))
