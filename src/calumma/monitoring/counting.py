"""Exact counts of each revision between two times: whole requests, nothing extrapolated.

Counters are read where Prometheus has samples. A window goes from the last sample at or before its
begin to the last one at or before its end, so that windows which follow each other count each
request once. A pod that restarts, or is new, counts from zero: a reset of one of its counters is
one of all of them, for they are one process's. What happened between a pod's last scrape and its
end nobody knows.

The rules of the vocabulary record everything of a time before :data:`vocabulary.EVALUATED`, so that
its newest sample says up to when nothing more can come. That is where a window really ends, and
where the next one must begin: ``read(..., begin=before.end, end=time.time())``.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from calumma import errors
from calumma.monitoring import client, queries, vocabulary

LOOKBACK = 300.0
"""Seconds before a window in which a counter's last sample usually is."""
LONGEST = 86400.0
"""Seconds before a window after which a counter that was silent counts as new."""


@dataclass(frozen=True)
class Counts:
    """What one revision answered; all zero where Prometheus knows nothing of it.

    ``at_most`` maps each upper bound in milliseconds to the requests that took at most that long;
    ``inf`` is all that were timed. ``seen`` is the Unix time of the last sample, None without one,
    and ``missed`` how many evaluations in the window had none, though they might have.
    """

    requests: int = 0
    errors: int = 0
    at_most: Mapping[float, int] = field(default_factory=dict)
    seen: float | None = None
    missed: int = 0

    def slower(self, milliseconds: float) -> tuple[float, int, int]:
        """How many took longer than a bound, of how many that were timed, and the bound used.

        That is the smallest bucket's bound that is not below ``milliseconds``; it is infinite, and
        nothing is known, where there is none.
        """
        bound = min((each for each in self.at_most if each >= milliseconds), default=math.inf)
        timed = self.at_most.get(math.inf, 0)
        return (bound, timed - self.at_most[bound], timed) if bound < math.inf else (bound, 0, 0)


@dataclass(frozen=True)
class Counted:
    """The counts of a window, by revision.

    It is complete between ``begin`` and ``end``, Unix times that may be later and earlier than the
    ones asked for; ``troubles`` are sentences about what Prometheus has no samples of.
    """

    begin: float
    end: float
    revisions: Mapping[str, Counts]
    troubles: tuple[str, ...]


def read(
    watch: client.Client,
    service: str,
    namespace: str,
    revisions: Sequence[str],
    *,
    begin: float,
    end: float,
    component: str = "predictor",
) -> Counted:
    """Count the requests to revisions of a component between two Unix times.

    It costs all samples of the window and of :data:`LOOKBACK` before it. Raises
    :class:`~calumma.errors.MonitoringError` when Prometheus does not answer, or evaluates none of
    the vocabulary's rules.
    """
    evaluated = _evaluations(watch, begin, end)
    troubles = list(_gaps(evaluated, begin, end))
    begin = max(begin, evaluated[0])
    complete = max(begin, evaluated[-1])
    where = queries.where(namespace=namespace, service=service, component=component)
    where = f'{where},revision=~"{"|".join(revisions)}"'
    requests, latency = (
        _groups(watch, f"{metric}{{{where}}}", inner, begin, complete)
        for metric, inner in ((vocabulary.REQUESTS, _CLASS), (vocabulary.LATENCY, _BOUND))
    )
    found = {
        revision: _counts(requests[revision], latency[revision], evaluated, begin)
        for revision in revisions
    }
    for revision, counts in found.items():
        troubles += _missing(f"{revision} of {service}", counts, evaluated[-1])
    return Counted(begin, complete, found, tuple(troubles))


_CLASS, _BOUND = "response_code_class", "le"
_Group = dict[float, dict[str, float]]
"""The counters of one revision in one instance, by time and then by class or bound."""


def _evaluations(watch: client.Client, begin: float, end: float) -> list[float]:
    """When the rules were evaluated up to ``end``: some time before ``begin`` and since."""
    found = watch.samples(vocabulary.EVALUATED, end, end - begin + LOOKBACK)
    times = {time for series in found for time, _ in series.points}
    if min(times, default=math.inf) > begin:  # what was recorded is the time
        far = watch.latest(vocabulary.EVALUATED, begin, LONGEST)
        times |= {value for series in far for _, value in series.points}
    if not times:
        raise errors.MonitoringError(
            f"Prometheus at {watch.url} has no samples of {vocabulary.EVALUATED} up to "
            f"{_told(end)}: it does not evaluate the rules of Calumma's vocabulary; `calumma up` "
            "gives them to its own, `calumma dashboards` writes them for a cluster's"
        )
    return sorted(times)


def _gaps(evaluated: Sequence[float], begin: float, end: float) -> Iterator[str]:
    """When Prometheus was away: for more than three of its usual intervals."""
    if evaluated[0] > begin:
        yield f"Prometheus knows nothing from before {_told(evaluated[0])}"
    steps = list(itertools.pairwise(evaluated))
    usual = statistics.median(after - before for before, after in steps) if steps else math.inf
    for before, after in [*steps, (evaluated[-1], end)]:
        if after > begin and after - before > 3 * usual:
            yield f"Prometheus evaluated no rules from {_told(before)} to {_told(after)}"


def _groups(
    watch: client.Client, selector: str, inner: str, begin: float, end: float
) -> Mapping[str, list[_Group]]:
    """The counters of each process, by revision; ``inner`` is the label by which they differ.

    A process that was silent for long, because Prometheus was away, is looked for far back: it must
    not be taken for a new one, all of whose requests are of this window.
    """
    groups: dict[frozenset[tuple[str, str]], _Group] = defaultdict(lambda: defaultdict(dict))
    for series in watch.samples(selector, end, end - begin + LOOKBACK):
        for time, value in series.points:
            groups[_outer(series, inner)][time][series.labels[inner]] = value
    young = {outer: group for outer, group in groups.items() if min(group) > begin}
    for series in watch.latest(selector, begin, LONGEST) if young else []:
        group = young.get(_outer(series, inner), {})
        # one that is not there any more may be another, earlier process's
        if group and series.labels[inner] in group[min(time for time in group if time > begin)]:
            group[begin][series.labels[inner]] = series.points[0][1]
    found: dict[str, list[_Group]] = defaultdict(list)
    for outer, group in groups.items():
        found[dict(outer)["revision"]].append(group)
    return found


def _outer(series: client.Samples, inner: str) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in series.labels.items() if name != inner)


def _counts(
    requests: Sequence[_Group], latency: Sequence[_Group], evaluated: Sequence[float], begin: float
) -> Counts:
    """The counts of one revision over its instances."""
    classes = sum((_grown(group, begin) for group in requests), Counter[str]())
    buckets = sum((_grown(group, begin) for group in latency), Counter[str]())
    bounds = {bound for group in latency for values in group.values() for bound in values}
    times = {time for group in requests for time in group}
    known = max(begin, min(times, default=math.inf))
    return Counts(
        requests=classes.total(),
        errors=classes[vocabulary.FAILED],
        at_most={float(bound): buckets[bound] for bound in sorted(bounds, key=float)},
        seen=max(times, default=None),
        missed=sum(time > known and time not in times for time in evaluated),
    )


def _grown(group: _Group, begin: float) -> Counter[str]:
    """By how much the counters of one process grew since ``begin``, from zero where it is new."""
    grown: Counter[str] = Counter()
    before: Mapping[str, float] = {}
    for time, now in sorted(group.items()):
        if time > begin:
            restarted = any(now.get(name, 0) < value for name, value in before.items())
            for name, value in now.items():
                grown[name] += round(value - (0 if restarted else before.get(name, 0)))
        before = now
    return grown


def _missing(name: str, counts: Counts, evaluated: float) -> Iterator[str]:
    """What Prometheus has no samples of, of one revision."""
    if counts.seen is None:
        yield f"Prometheus has no sample of {name}"
    elif counts.seen < evaluated:
        yield f"Prometheus has no sample of {name} since {_told(counts.seen)}"
    elif counts.missed:
        yield f"Prometheus has no sample of {name} at {counts.missed} evaluations"


def _told(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(sep=" ", timespec="seconds")
