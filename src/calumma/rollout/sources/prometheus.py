"""Users' requests to both revisions, as Prometheus counted them since the last look.

Envoy and Knative count requests of a revision, whoever sent them by whichever host: a pair is a
request to each revision, as a user's is, and no series tells them apart. Mixed, they would spoil
both things that are judged: pairs go to both alike, whatever the declared split is, and as they are
most of what a small canary gets and little of what stable gets, any difference between pairs and
users' requests would look like one between the revisions. So pairs and users take turns
(:mod:`calumma.rollout.sources`), and only stretches without a pair are counted here. Requests that
Envoy mirrors to a canary without a share are users' own, and count.

A stretch that does not go on from the one before it begins with the first evaluation of the rules
after every instance was scraped anew, so that nothing from before is in it. That is later where
histograms lag: Envoy shows latencies only when it flushes its statistics, every five seconds unless
it is told otherwise, and counters at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from calumma.canary.counts import Sides
from calumma.monitoring import client, counting, queries, vocabulary
from calumma.rollout import policy

UNKNOWN = 60.0
"""Seconds after which a counter was read of which Prometheus does not say when it is scraped."""
LAGS = {"envoy": 1.0, "knative-1.18": 0.0, "knative-1.19": 0.0}
"""Seconds by which latencies lag behind counters, by the vocabulary's sources."""
LONGEST_LAG = 5.5
"""The same of gateways that were recorded under the vocabulary's names."""
_TIMEOUT = 3


class Window(NamedTuple):
    """What was counted of both sides, for each component, and between which Unix times."""

    begin: float
    until: float
    counts: Sides[Sequence[counting.Counts]]
    troubles: tuple[str, ...] = ()


def window(
    url: str | None,
    name: tuple[str, str],
    components: Mapping[str, Sides[str]],
    *,
    since: float,
    now: float,
    goes_on: bool,
) -> Window | None:
    """Count a service's requests between ``since`` and about ``now``; None: nothing is known yet.

    ``name`` is its namespace and its name, ``components`` says which revisions of which components
    are compared. It ``goes_on`` from a window that ended at ``since``. Raises
    :class:`~calumma.errors.MonitoringError`.
    """
    namespace, service = name
    if since >= now:
        return None
    with client.Client(url, timeout=_TIMEOUT) as watch:
        begin: float | None = since
        if not goes_on:
            where = queries.where(namespace=namespace, service=service)
            begin = _anew(watch, where, since, now)
        if begin is None:
            return None
        found, until = [], now
        for component, sides in components.items():
            part = counting.read(
                watch, service, namespace, sides, begin=begin, end=until, component=component
            )
            found.append(part)
            until = part.end
    if until <= begin:
        return None
    counts: Sides[Sequence[counting.Counts]] = Sides(
        *(
            [
                each.revisions[sides[role]]
                for each, sides in zip(found, components.values(), strict=True)
            ]
            for role in range(2)
        )
    )
    return Window(begin, until, counts, tuple(text for each in found for text in each.troubles))


def _anew(watch: client.Client, where: str, since: float, now: float) -> float | None:
    """The first evaluation after all of a service's instances were scraped since a time."""
    late = since + UNKNOWN
    evaluated = watch.samples(vocabulary.EVALUATED, now, now - since)
    times = sorted(time for each in evaluated for time, _ in each.points)
    if not times:
        return since if now > late else None  # the counting says what is missing
    counters = watch.samples(f"{vocabulary.REQUESTS}{{{where}}}", now, now - since)
    scrapes = watch.samples("scrape_duration_seconds", now, now - since)
    there = [each for each in counters if each.points[-1][0] >= times[-1]]
    seen = max((_scraped(each, scrapes, since) or late for each in there), default=since)
    return next((time for time in times if time >= seen), None)


def _scraped(
    counter: client.Samples, scrapes: Iterable[client.Samples], since: float
) -> float | None:
    """When a counter was scraped with all latencies from before a time in it."""
    begun = since + LAGS.get(counter.labels.get("source", ""), LONGEST_LAG)
    of = {name: counter.labels.get(name) for name in ("job", "instance")}
    ends = [
        time + lasted
        for each in scrapes
        if {name: each.labels.get(name) for name in of} == of
        for time, lasted in each.points
        if time >= begun
    ]
    return min(ends, default=None)


def without_bucket(
    metrics: Iterable[policy.Metric], found: Sides[Sequence[counting.Counts]]
) -> list[str]:
    """Sentences about latencies that nobody has a bucket for."""
    timed = [each for side in found for each in side if each.requests]
    return [
        f"no bucket of Prometheus' histograms ends at or above {metric.milliseconds:g} ms, which "
        f"the metric {metric.name} asks for"
        for metric in metrics
        if isinstance(metric, policy.Slow)
        and any(math.isinf(each.slower(metric.milliseconds)[0]) for each in timed)
    ]
