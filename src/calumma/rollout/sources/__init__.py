"""What each look learns of the two revisions: increments of the metrics, from three sources.

- :mod:`~calumma.rollout.sources.prometheus`: users' requests, failed and slow ones.
- :mod:`~calumma.rollout.sources.pairs`: the same images sent to both revisions' own hosts, in the
  background; :mod:`~calumma.rollout.sources.populations` says which.
- :mod:`~calumma.rollout.sources.feedback`: users' requests whose label came later. Pure.
- :mod:`~calumma.rollout.sources.tallies`: all of it as increments. Pure.

Each has its own cursor in the state's ``counted``, and its own sentence when nothing is known of
it: what one source does not say hides nothing of the others. The names in ``counted`` are
``prometheus`` (a Unix time), ``feedback``, ``predictions`` and ``labels`` (a time and two numbers
of lines), and ``step 0``, ``step 1`` and so on (when a step's share began to count).

Where users' requests reach the canary, pairs and users take turns, because Prometheus cannot tell
them apart: after a burst of pairs, which lasts for one interval, there is none until a stretch of
users' requests is counted. Next room: :mod:`calumma.rollout.judgement`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from calumma import errors
from calumma.canary.counts import Sides
from calumma.feedback import folder
from calumma.inference import location
from calumma.rollout import decision, disagreements, policy, state
from calumma.rollout.sources import feedback, pairs, populations, prometheus, tallies

_STRETCH = 0.25
"""The share of an interval for which users' requests are counted before pairs have their turn."""


@dataclass
class Counted:
    """What a look has learned.

    ``tallies`` are the increments by metric. ``requests`` are the canary's since the last look,
    pairs among them, as far as they are known; ``users`` those of users alone to the canary and to
    stable, which the declared split is held against (both 0 where nothing is known, and at the
    share 0). ``sent`` and ``counted`` belong into the state before the next look. ``troubles`` say
    by source what keeps us from knowing, ``remarks`` what is worth saying and no trouble.
    """

    sent: int
    counted: dict[str, float]
    tallies: dict[str, state.Tally] = field(default_factory=dict)
    requests: int = 0
    users: tuple[int, int] = (0, 0)
    troubles: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)


class Sources:
    """The sources of one rollout that is under way; use it as an asynchronous context manager.

    ``known`` is its state, ``isvc`` the InferenceService as it is when the canary is ready, and
    ``components`` are those that are rolled out, the predictor first. ``prometheus`` is the address
    that the cluster names, and ``evidence`` the rollout's folder, which keeps what the two do not
    agree about. Raises :class:`~calumma.errors.ServiceUnavailable` for a service that is not ready,
    and :class:`~calumma.errors.EvaluationError` for one whose traffic is not divided between the
    state's two revisions.

    Who could not write the state because somebody else was faster must not go on with the same
    object: another process may have taken the same pairs.
    """

    def __init__(
        self,
        known: state.State,
        isvc: dict[str, Any],
        components: Sequence[str],
        *,
        prometheus: str | None,
        evidence: Path,
    ) -> None:
        self._policy = known.policy
        self._sources = known.policy.sources
        self._unknown: Sequence[str] = ()
        self._disagreements = evidence / disagreements.FOLDER
        self._prometheus = self._sources.prometheus or prometheus
        endpoints = [location.endpoint(isvc, prometheus, each) for each in components]
        self._name = (endpoints[0].namespace, endpoints[0].service)
        self._revisions = {
            component: Sides(*(target.revision for target in endpoint.sides()))
            for component, endpoint in zip(components, endpoints, strict=True)
        }
        _require(known, self._revisions[components[0]])
        self._others = 0.0
        self._alone = 0.0
        self._population = populations.of(known)
        self._sender: pairs.Sender | None = None
        if self._sources.pairs is not None and self._population is not None:
            self._sender = pairs.Sender(
                endpoints[0],
                self._population,
                form=self._sources.pairs.predictor if components[0] == "predictor" else None,
                rate=self._sources.pairs.rate,
                seconds=self._policy.interval,
                seed=known.id,
            )
        self._reader: folder.Reader | None = None
        if self._sources.feedback is not None and self._rests_on(feedback.NAME):
            self._reader = folder.Reader(Path(self._policy.project) / self._sources.feedback.folder)

    async def __aenter__(self) -> Self:
        if self._sender is not None:
            await self._sender.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sender is not None:
            await self._sender.__aexit__()

    async def look(self, known: state.State, now: float, *, others: bool = False) -> Counted:
        """What became known since the last look; it waits for Prometheus, and never for pairs.

        ``known`` is the state that is on disk. While nothing counts (before a share is in effect,
        and in its warm-up) what came back waits for the look that does. ``others`` says that a
        gate's evaluation may send pairs too, so that requests are not users' alone.
        """
        if others:
            self._others = now
        found = Counted(known.sent, dict(known.counted))
        if known.stepped is not None and decision.counts_from(known, now) is not None:
            begun = known.stepped + self._policy.warmUp
            found.counted[f"{feedback.STEP}{known.step}"] = begun
            turn, _ = await asyncio.gather(
                self._add_requests(found, known, begun, now), self._add_feedback(found, now)
            )
            await self._add_pairs(found, known.step)
            if turn and self._sender is not None:
                self._alone = 0.0
                self._sender.go(known.sent)
        if self._sender is not None:
            found.sent = self._sender.take(known.sent)
        return found

    async def _add_requests(
        self, found: Counted, known: state.State, begun: float, now: float
    ) -> bool:
        """Add what Prometheus counted; whether it is the turn of pairs now."""
        if not (known.weight or self._policy.mirror):
            return True
        busy = self._sender is not None and self._sender.busy
        if self._others == now or busy:  # what was wrong is so until somebody asks again
            self._complain(found, self._unknown)
            return self._others == now
        before = found.counted.get("prometheus", 0.0)
        alone = max(self._others, self._sender.idle if self._sender else 0.0)
        begin = max(before, begun, alone)
        try:
            window = await asyncio.to_thread(
                prometheus.window,
                self._prometheus,
                self._name,
                self._revisions,
                since=begin,
                now=now,
                goes_on=begin == before,
            )
        except errors.MonitoringError as error:
            self._complain(found, [str(error)])
            return True
        if window is None:
            return False
        metrics = self._policy.metrics
        unseen = any(each.seen is None for side in window.counts for each in side)
        if window.troubles and not unseen:  # counters lose nothing by a scrape that is missing
            found.remarks["prometheus"] = "; ".join(window.troubles)
        without = prometheus.without_bucket(metrics, window.counts)
        self._complain(found, [*(window.troubles if unseen else ()), *without])
        found.counted["prometheus"] = window.until
        found.tallies |= tallies.of_requests(metrics, window.counts, known.step)
        stable, canary = (side[0].requests for side in window.counts)
        found.requests += canary
        found.users = (canary, stable) if known.weight else (0, 0)
        self._alone += window.until - window.begin
        return self._alone >= _STRETCH * self._policy.interval

    def _complain(self, found: Counted, sentences: Sequence[str]) -> None:
        """Say what is wrong with Prometheus; no trouble where no metric rests on it."""
        rests = any(isinstance(each, policy.Errors | policy.Slow) for each in self._policy.metrics)
        self._unknown = sentences
        if sentences:
            (found.troubles if rests else found.remarks)["prometheus"] = "; ".join(sentences)

    async def _add_pairs(self, found: Counted, step: int) -> None:
        """Add the pairs that came back, and keep those that do not agree."""
        if self._sender is None:
            return
        came = self._sender.found()
        found.tallies |= tallies.of_pairs(self._policy.metrics, came, step)
        found.requests += len(came)
        if self._sender.trouble:
            found.troubles["pairs"] = self._sender.trouble
        elif self._sender.used_up:
            found.remarks["pairs"] = self._sender.used_up
        try:
            await asyncio.to_thread(disagreements.keep, self._disagreements, came)
        except OSError as error:
            found.remarks["evidence"] = f"the disagreements of pairs cannot be kept: {error}"

    async def _add_feedback(self, found: Counted, now: float) -> None:
        """Add what users' requests turned out to be."""
        plan, population = self._sources.feedback, self._population
        if self._reader is None or plan is None:
            return
        if "predictor" not in self._revisions:
            found.troubles["feedback"] = (
                "predictions name their predictor's revision, and what is rolled out is the "
                "transformer, so feedback says nothing of it"
            )
            return
        if population is not None and population.size is None and not self._hindered:
            return  # which images are the rollout's own is not known yet
        rules = feedback.Rules(
            service=self._name[1],
            namespace=self._name[0],
            revisions=self._revisions["predictor"],
            maturity=plan.maturity,
            adjudicator=plan.adjudicator,
            own=population.digests if population else (),
            recorded=isinstance(population, populations.Recorded),
        )
        steps = feedback.Steps.of(found.counted, self._policy.warmUp)
        before = feedback.Cursor.of(found.counted)
        try:
            contents = await asyncio.to_thread(self._reader.read)
        except errors.FeedbackError as error:
            found.troubles["feedback"] = str(error)
            return
        new = await asyncio.to_thread(feedback.new, contents, rules, steps, before, now)
        found.counted |= new.cursor._asdict()
        found.tallies |= tallies.of_feedback(self._policy.metrics, new.answers)
        if silence := new.silence(rules, steps, now, self._policy.quiet):
            found.troubles["feedback"] = silence

    @property
    def _hindered(self) -> bool:
        """Whether no pair can be sent."""
        return self._sender is not None and bool(self._sender.trouble)

    def _rests_on(self, source: str) -> bool:
        """Whether any metric does."""
        return any(getattr(each, "source", "") == source for each in self._policy.metrics)


def _require(known: state.State, found: Sides[str]) -> None:
    if found != (known.stable, known.canary):
        raise errors.EvaluationError(
            f"the rollout {known.id} compares {known.canary} with {known.stable}, and the traffic "
            f"is divided between {found.canary} and {found.stable}"
        )
