"""What Prometheus has counted of both revisions, and the differences.

Requests are counted exactly (:mod:`calumma.monitoring.counting`); what was predicted is
extrapolated from scrapes and so is about right. Latency is judged by how many requests took longer
than a bucket's bound, which was counted, and not by quantiles, which would have to be guessed
between two bounds. A revision that Prometheus has no data of has no counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from calumma.canary.counts import Counts, Sides
from calumma.inference import Target
from calumma.monitoring import client, counting, queries
from calumma.scoring import metrics, report


def read(
    watch: client.Client,
    service: str,
    namespace: str,
    targets: Sides[Target],
    begin: float,
    end: float,
) -> Sides[Counts]:
    """The counts of both revisions' predictors between two Unix times.

    Raises :class:`~calumma.errors.MonitoringError`.
    """
    revisions = [target.revision for target in targets]
    counted = counting.read(watch, service, namespace, revisions, begin=begin, end=end).revisions
    found = []
    for role, target in zip(Sides._fields, targets, strict=True):
        made_by = _made_by(service, namespace, target)
        classes = watch.values(
            queries.prediction_counts(made_by, _window(begin, end)), "class", end
        )
        counts = counted[target.revision]
        found.append(
            Counts(
                role=role,
                revision=target.revision,
                percent=target.percent,
                source="prometheus",
                requests=counts.requests,
                failures=counts.errors,
                classes={name: round(value) for name, value in classes.items()},
                latency=counts.at_most,
            )
        )
    return Sides(*found)


def confidence(
    watch: client.Client,
    service: str,
    namespace: str,
    targets: Sides[Target],
    begin: float,
    end: float,
) -> Sides[Mapping[float, int]]:
    """How many predictions of both had at most which confidence, by the bounds of the buckets."""
    found = []
    for target in targets:
        made_by = _made_by(service, namespace, target)
        query = queries.confidence_buckets(made_by, _window(begin, end))
        values = watch.values(query, "le", end)
        found.append({float(bound): round(n) for bound, n in sorted(values.items())})
    return Sides(*found)


def traffic(found: Sides[Counts], failures: str) -> report.Table:
    """Failed requests of both; the difference, called ``failures``, is the last row."""
    stable, canary = (
        metrics.proportion(f"failed requests of {each.role}", each.failures, each.requests)
        for each in found
    )
    return report.Table(
        "All traffic, by Prometheus",
        "The share of requests to each revision's predictor that were answered with 5xx, this "
        "evaluation's and everyone else's.",
        (stable, canary, metrics.difference(failures, canary, stable)),
    )


def unsure(found: Sides[Mapping[float, int]], bound: float = 0.7) -> report.Table:
    """The share of predictions with a confidence of at most ``bound``, of both."""
    sides = [
        metrics.proportion(
            f"unsure predictions of {role}",
            min(each.get(bound, 0), each.get(math.inf, 0)),
            each.get(math.inf, 0),
        )
        for role, each in zip(Sides._fields, found, strict=True)
    ]
    return report.Table(
        "Confidence in all traffic, by Prometheus",
        f"Unsure is a probability of at most {bound:g} for the answered class.",
        (*sides, metrics.difference("unsure predictions, canary minus stable", sides[1], sides[0])),
    )


def slow(found: Sides[Counts], milliseconds: float) -> tuple[float, list[metrics.Metric]]:
    """The share of slow requests of both and the difference, and the bound that was used.

    That is the smallest bucket bound that is not below ``milliseconds``; it is infinite, and the
    metrics have no data, where the two revisions have none in common.
    """
    common = set(found.stable.latency) & set(found.canary.latency)
    bound = min((each for each in common if each >= milliseconds), default=math.inf)
    sides = []
    for each in found:
        n = each.latency.get(math.inf, 0) if bound < math.inf else 0
        over = max(0, n - each.latency.get(bound, 0))
        sides.append(metrics.proportion(f"slow requests of {each.role}", over if n else 0, n))
    return bound, [
        *sides,
        metrics.difference("slow requests, canary minus stable", sides[1], sides[0]),
    ]


def _made_by(service: str, namespace: str, target: Target) -> str:
    """The transformers count predictions by the predictor's revision that made them."""
    return queries.where(namespace=namespace, service=service, predictor_revision=target.revision)


def _window(begin: float, end: float) -> str:
    """The time between two Unix times for :mod:`~calumma.monitoring.queries`, whole seconds."""
    return f"{max(1, end - begin):.0f}s"
