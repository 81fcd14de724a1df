"""One rollout, carried out: look, write down what is decided, do it, until it has ended.

Between any two of these steps the process may be killed: what is written says what was about to be
done, and the next process finds out from the InferenceService whether it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from calumma import errors
from calumma.cluster import layout
from calumma.rollout import (
    cluster,
    decision,
    evidence,
    gates,
    listing,
    routing,
    service,
    sources,
    telling,
)
from calumma.rollout import record as records
from calumma.rollout.look import EVIDENCED
from calumma.rollout.record import Record
from calumma.rollout.state import Phase, State, Verb
from calumma.rollout.traffic import Patch

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two glances; requests are counted at the policy's interval."""
_MOST_SAID = 20
_GRACE = 30.0
"""Seconds that evidence and messages under way may take at the end."""


class Hands:
    """What works for one rollout beside the looks: gates, evidence, messages, and the sources."""

    def __init__(self, state: State, home: layout.Home) -> None:
        policy = state.policy
        project = Path(policy.project)
        self.rollout = state.id
        self.folder = evidence.folder(project, policy.service, state.id)
        self.gates = gates.Gates(state.id, policy, self.folder, home)
        self.evidence = evidence.Evidence(state.id, policy.service, project, home)
        self.telling = telling.Telling(policy, self.folder, home)
        self.sources: sources.Sources | None = None

    async def count(
        self, state: State, isvc: dict[str, Any], view: service.View, prometheus: str | None
    ) -> sources.Counted:
        """What came since the last look."""
        if self.sources is None:
            self.sources = sources.Sources(
                state, isvc, view.components, prometheus=prometheus, evidence=self.folder
            )
            await self.sources.__aenter__()
        others = any(each.outcome == "pending" for each in self.gates.results().values())
        return await self.sources.look(state, time.time(), others=others)

    async def forget_sources(self) -> None:
        """End what is sent; what was taken and not written down is taken again by nobody."""
        if self.sources is not None:
            found, self.sources = self.sources, None
            await found.__aexit__(None, None, None)

    async def close(self) -> None:
        """End what is under way; evidence and messages are given time."""
        await asyncio.gather(
            self.forget_sources(),
            self.gates.close(),
            self.evidence.close(_GRACE),
            self.telling.close(_GRACE),
        )


class Driver:
    """The process' part in the rollout of one service."""

    def __init__(
        self, found: cluster.Cluster, name: str, namespace: str, home: layout.Home
    ) -> None:
        self._cluster, self._name, self._namespace, self._home = found, name, namespace, home
        self._prometheus: str | None = None
        self._hands: Hands | None = None
        self._renewed: float | None = None
        self._known: tuple[object, ...] = ()
        self._due = 0.0
        self._said: set[str] = set()

    async def run(self, ended: asyncio.Event) -> None:
        """Carry it out until it has ended, or until ``ended`` is set."""
        try:
            while not ended.is_set():
                if await self._looked():
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), PERIOD)
        finally:
            if self._hands is not None:
                await self._hands.close()
            with contextlib.suppress(errors.CalummaError):
                await asyncio.to_thread(self._release)

    def _release(self) -> None:
        """Let another process carry on, if this one was the driver."""
        if self._renewed is None:
            return
        record = self._cluster.record(self._name, self._namespace)
        if record is not None and record.driver is not None:
            self._cluster.release(record)

    async def _looked(self) -> bool:
        """One look; what went wrong is told in the log when it changes, and tried again."""
        try:
            done = await self.look()
        except errors.Conflict:  # somebody was faster: look again
            self._due = 0.0
            if self._hands is not None:
                await self._hands.forget_sources()
            return False
        except errors.CalummaError as error:
            self._due = 0.0
            self._say(str(error))
            return False
        return done

    def _say(self, text: str) -> None:
        """Log what keeps being so once."""
        if text not in self._said:
            log.warning("%s/%s: %s", self._namespace, self._name, text)
        self._said = {*self._said, text} if len(self._said) < _MOST_SAID else {text}

    async def look(self) -> bool:
        """Look, decide, write, do; whether there is nothing left to do.

        Raises :class:`~calumma.errors.CalummaError` where the cluster does not answer, and
        Conflict where somebody else was faster; both are mended by looking again.
        """
        record = await asyncio.to_thread(self._record)
        if record is None or record.state is None:
            return True
        state = record.state
        if state.phase.ended and record.request is None and not state.untold:
            return True
        hands = await self._at_hand(state)
        isvc = await self._service()
        view = None if isvc is None else service.view(isvc, state.former)
        results = hands.gates.results()
        known = (record.request, view and view.resource_version, repr(results))
        if known == self._known and time.monotonic() < self._due:
            return False
        self._known, self._due = known, time.monotonic() + state.policy.interval
        wish = record.wish
        if wish == "undo" and isvc is not None and (obstacle := _obstacle(state, isvc)):
            record, wish = dataclasses.replace(record, answer=obstacle), None
        seen = decision.Seen(time.time(), view, gates=results, wish=wish)
        if isvc is not None and view is not None:
            seen = await self._count(state, seen, isvc, view, hands)
        decided = decision.decide(state, seen)
        await self._carry_out(record, decided, isvc, view, hands)
        return False

    def _record(self) -> Record | None:
        """What is known, once this process is the one that carries it out."""
        record = self._cluster.record(self._name, self._namespace)
        if record is None or record.state is None:
            return record
        now = time.monotonic()
        if self._renewed is None:
            record = self._cluster.take(record)
        elif now - self._renewed > records.RENEW:
            record = self._cluster.renew(record)
        else:
            return record
        self._renewed = now
        return record

    async def _at_hand(self, state: State) -> Hands:
        if self._hands is not None and self._hands.rollout != state.id:
            await self._hands.close()
            self._hands = None
        if self._hands is None:
            self._hands = Hands(state, self._home)
            self._hands.evidence.resume()
            self._prometheus = await asyncio.to_thread(self._cluster.prometheus)
        return self._hands

    async def _service(self) -> dict[str, Any] | None:
        try:
            return await asyncio.to_thread(self._cluster.service, self._name, self._namespace)
        except errors.ServiceMissing:
            return None

    async def _count(
        self,
        state: State,
        seen: decision.Seen,
        isvc: dict[str, Any],
        view: service.View,
        hands: Hands,
    ) -> decision.Seen:
        """Add what came since the last look to what is seen, where anything counts."""
        if state.phase not in (Phase.PROGRESSING, Phase.PAUSED):
            return seen
        try:
            found = await hands.count(state, isvc, view, self._prometheus)
        except errors.CalummaError as error:
            return dataclasses.replace(seen, troubles={"sources": str(error)})
        for remark in found.remarks.values():
            self._say(remark)
        return dataclasses.replace(
            seen,
            tallies=found.tallies,
            requests=found.requests,
            users=found.users,
            sent=found.sent,
            counted=found.counted,
            troubles=found.troubles,
        )

    async def _carry_out(
        self,
        record: Record,
        decided: decision.Decision,
        isvc: dict[str, Any] | None,
        view: service.View | None,
        hands: Hands,
    ) -> None:
        """Write what was decided, do it, and write that people were told."""
        state, actions = decided.state, decided.actions
        if isvc is not None and any(isinstance(each, decision.Promote) for each in actions):
            state = state.model_copy(update={"previous": service.previous(isvc)})
        record = await self._write(record, _answered(record, actions), state)
        if state.phase.ended:
            await hands.forget_sources()
        for action in actions:
            if isinstance(action, decision.RunGate):
                told = telling.document(state, telling.sentence(state))
                hands.gates.ask(action.key, action.gate, told)
            elif isvc is not None and view is not None:
                await self._change(action, state, isvc, view)
        await self._tell(record, state, actions, isvc, hands)

    async def _write(self, stored: Record, record: Record, state: State) -> Record:
        """Write the record with this state, if it is another one than what is stored."""
        status = listing.status(state, time.time())
        found = dataclasses.replace(record, state=state, status=status, routing=_routing(state))
        if found == dataclasses.replace(stored, status=status):
            return stored
        return await asyncio.to_thread(self._cluster.write, found)

    async def _change(
        self, action: decision.Action, state: State, isvc: dict[str, Any], view: service.View
    ) -> None:
        """Change the InferenceService as an action says."""
        try:
            patch = _patch(action, state, isvc, view)
        except errors.RolloutError as error:  # KServe would do something else: a person must look
            if str(error) not in self._said:
                words = ("RolloutBlocked", str(error), True)
                await asyncio.to_thread(self._cluster.event, isvc, *words)
            self._say(str(error))
            return
        if patch is not None:
            await asyncio.to_thread(self._cluster.patch, self._name, self._namespace, patch)
            self._due = 0.0  # what follows from it is looked at soon

    async def _tell(
        self,
        record: Record,
        state: State,
        actions: Sequence[decision.Action],
        isvc: dict[str, Any] | None,
        hands: Hands,
    ) -> None:
        """Keep evidence, record Events and tell people; then write that this was done."""
        page = None
        for action in actions:
            if isinstance(action, decision.KeepEvidence):
                page = str(hands.evidence.keep(state, _word(state, action.step)))
        told = [action.note for action in actions if isinstance(action, decision.Tell)]
        if isvc is not None:
            for note in told:
                kept = page is not None and note.reason in EVIDENCED
                text = f"{note.text}. Evidence: {page}" if kept else note.text
                words = (note.reason, text, note.warning)
                await asyncio.to_thread(self._cluster.event, isvc, *words)
        if telling.is_worth_telling(state, told):
            hands.telling.tell(telling.document(state, telling.sentence(state)))
        for trouble in hands.evidence.troubles():
            self._say(trouble)
        if told:
            await self._write(record, record, decision.recorded(state, page))


def _obstacle(state: State, isvc: dict[str, Any]) -> str:
    """Why a promotion cannot be undone, in a sentence; empty when it can."""
    if state.phase is not Phase.PROMOTED:
        return ""
    try:
        service.undo(isvc, state.previous)
    except errors.RolloutError as error:
        return str(error)
    return ""


def _patch(
    action: decision.Action, state: State, isvc: dict[str, Any], view: service.View
) -> Patch | None:
    """How an action changes the InferenceService; None for one that does not."""
    match action:
        case decision.Weigh(weight):
            return service.weigh(isvc, view.components, weight)
        case decision.Promote():
            return service.promote(isvc, view.components)
        case decision.RollBack():
            return service.roll_back(isvc, view.components)
        case decision.Undo():
            return service.undo(isvc, state.previous)
    return None


def _answered(record: Record, actions: Sequence[decision.Action]) -> Record:
    """The record whose request is taken away, with what became of it."""
    if record.request is None:
        return record
    answers = [each.text for each in actions if isinstance(each, decision.Answer)]
    if record.wish is None:
        verbs = ", ".join(get_args(Verb))
        answers = [f"{record.request!r} was asked for; accepted are {verbs}"]
    return dataclasses.replace(record, request=None, answer="; ".join(answers) or record.answer)


def _routing(state: State) -> str | None:
    """What is asked of the gateway: to mirror at no share, and to keep users where they are."""
    policy, mirror = state.policy, None
    if policy.mirror and state.phase is Phase.PROGRESSING and state.weight == 0 and state.canary:
        mirror = routing.Mirror(percent=policy.mirror, revisions=(state.canary,))
    assignment = None if state.phase.ended else policy.assignment
    if mirror is None and assignment is None:
        return None
    return routing.Routing(mirror=mirror, assignment=assignment).text()


def _word(state: State, step: int) -> str:
    """What a moment's evidence is called."""
    return f"step-{step + 1}" if state.phase is Phase.PROGRESSING else str(state.phase).lower()
