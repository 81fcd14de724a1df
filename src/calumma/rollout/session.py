"""What a person does with rollouts, for ``calumma rollout`` and for notebooks alike.

Nothing here carries a rollout out: it is begun, asked and looked at by what lies in the cluster,
so all of it works from anywhere. The cluster is that of ``KUBECONFIG``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from calumma import errors
from calumma.cluster.objects import Object
from calumma.evaluation import document
from calumma.rollout import cluster, decision, judgement, listing, service
from calumma.rollout import record as records
from calumma.rollout.policy import Policy
from calumma.rollout.state import State, Verb

PATIENCE = 30.0
"""Seconds that the answer to a verb, and the process that carries a rollout out, may take."""
_PERIOD = 0.5
_TRIES = 5


class Shown(NamedTuple):
    """A rollout at one moment: as text for people, and what has happened, a line for each."""

    text: str
    news: tuple[str, ...]
    state: State


def read(path: Path | str, project: Path | str = ".") -> Policy:
    """A policy's file; the suites of its gates lie in a folder of the ``project``.

    Raises :class:`~calumma.errors.DocumentInvalid`.
    """
    found = document.read(path, Policy)
    folder = (Path(project) / found.project).resolve()
    return found.model_copy(update={"project": str(folder)})


def start(policy: Policy, to: str | None = None) -> str:
    """Begin a rollout; its id, which is that of one to the same model that is under way.

    ``to`` is the new ``storageUri``, which comes together with a share of 0. Without it the newest
    revision is rolled out, to which somebody has given no share. Raises
    :class:`~calumma.errors.RolloutError` while another rollout of the service is under way, and
    where there is no way to begin without harm.
    """
    alphas = judgement.alphas(policy)
    for metric in policy.metrics:
        if sentence := judgement.impossible(metric, alphas[metric.name]):
            raise errors.RolloutError(f"{sentence[0].upper()}{sentence[1:]}.")
    found, where = cluster.Cluster(), (policy.service, policy.namespace)
    record = found.record(*where)
    present = record.state if record is not None else None
    if present is not None and not present.phase.ended and to is not None and present.to == to:
        return present.id
    before, changed = _changed(found, policy, to)
    now = time.time()
    id = f"{policy.service}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    begun = decision.begin(policy, service.view(changed), id, now, to, service.view(before))
    record = found.record(*where) or records.empty(changed)
    found.write(record.begun(begun, changed))
    return id


def driven(name: str, namespace: str, seconds: float = PATIENCE) -> bool:
    """Whether a process carries the rollout out, or begins to within so many seconds."""
    found, end = cluster.Cluster(), time.monotonic() + seconds
    while True:
        driver = _record(found, name, namespace).driver
        if driver is not None and time.time() - driver.time < records.LEASE:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_PERIOD)


def states(namespace: str | None = None) -> list[State]:
    """The latest rollout of each service of a namespace, or of all."""
    return [each.state for each in cluster.Cluster().records(namespace) if each.state is not None]


def state(name: str, namespace: str = "default") -> State:
    """All that is known of a service's latest rollout; raises RolloutError where there is none."""
    return _state(cluster.Cluster(), name, namespace)


def status(name: str, namespace: str = "default") -> str:
    """How a service's rollout stands, as text; raises RolloutError where there is none."""
    return _shown(state(name, namespace)).text


def follow(name: str, namespace: str = "default") -> Iterator[Shown]:
    """A service's rollout whenever something of it has changed, until it has ended.

    A cluster that does not answer for a while is asked again. Raises RolloutError where there is
    no rollout.
    """
    found, last = cluster.Cluster(), None
    while True:
        with contextlib.suppress(errors.ServiceUnavailable):
            now = _state(found, name, namespace)
            if now != last:
                yield _shown(now)
            if now.phase.ended:
                return
            last = now
        time.sleep(_PERIOD)


def wait(name: str, namespace: str, show: Callable[[Shown], None]) -> bool:
    """Follow a rollout to its end; whether the canary was promoted."""
    promoted = False
    for now in follow(name, namespace):
        show(now)
        promoted = now.state.phase == "Promoted"
    return promoted


def ask(name: str, namespace: str, verb: Verb) -> str:
    """Ask for something; the answer of the process that carries the rollout out.

    Raises RolloutError where there is no rollout.
    """
    found, end = cluster.Cluster(), time.monotonic() + PATIENCE
    found.request(name, namespace, verb)
    while time.monotonic() < end:
        record = _record(found, name, namespace)
        if record.request is None:
            return record.answer or "It was taken note of."
        time.sleep(_PERIOD)
    return (
        f"It is written down and not answered after {PATIENCE:.0f} s; it will be as soon as a "
        "process carries the rollout out."
    )


def history(name: str | None = None, namespace: str = "default") -> list[records.Past]:
    """Rollouts that have ended, of a service or of all of a namespace, the latest first."""
    found = cluster.Cluster()
    kept = found.records(namespace) if name is None else [_record(found, name, namespace)]
    ended = [past for each in kept for past in each.history]
    latest = [each.state for each in kept if each.state is not None and each.state.phase.ended]
    ended += [records.Past.of(each) for each in latest]
    return sorted(ended, key=lambda past: past.began, reverse=True)


def _changed(found: cluster.Cluster, policy: Policy, to: str | None) -> tuple[Object, Object]:
    """The InferenceService before and after the change that begins a rollout.

    Its controllers write it at any time, so what was written meanwhile is read again.
    """
    where = (policy.service, policy.namespace)
    pairs = policy.sources.pairs is not None
    for _ in range(_TRIES):
        before = found.service(*where)
        record = found.record(*where)
        if record is not None and record.state is not None:
            record.begun(record.state, before)  # refuses while it is under way
        if to is None:
            patch = service.adopt(before, pairs=pairs)
        else:
            patch = service.begin(before, to, service.canary_name(before, to), pairs=pairs)
        with contextlib.suppress(errors.Conflict):
            return before, found.patch(*where, patch)
    raise errors.Conflict(
        f"{policy.service} in namespace {policy.namespace} was changed by somebody else whenever "
        "the rollout was about to begin; try it again"
    )


def _record(found: cluster.Cluster, name: str, namespace: str) -> records.Record:
    record = found.record(name, namespace)
    if record is None or record.state is None:
        raise errors.RolloutError(
            f"{name} in namespace {namespace} has no rollout; `calumma rollout start` begins one"
        )
    return record


def _state(found: cluster.Cluster, name: str, namespace: str) -> State:
    found_state = _record(found, name, namespace).state
    assert found_state is not None  # a record without one is refused
    return found_state


def _shown(now: State) -> Shown:
    news = tuple(
        f"{datetime.fromtimestamp(note.time, UTC):%H:%M:%S} {note.reason}: {note.text}"
        for note in now.notes
    )
    return Shown(listing.status(now, time.time()), news, now)
