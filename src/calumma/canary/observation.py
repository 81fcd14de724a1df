"""What Prometheus has counted of both revisions, and the differences.

Latency is judged by how many requests took longer than a bucket's bound, which was counted, and not
by quantiles, which would have to be guessed between two bounds. Counts are extrapolated from
scrapes and so are about right; a revision that Prometheus has no data of has no counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from calumma.canary.counts import Counts, Sides
from calumma.inference import Target
from calumma.monitoring import client, queries
from calumma.scoring import metrics, report


def read(
    watch: client.Client,
    service: str,
    namespace: str,
    targets: Sides[Target],
    window: str,
    at: float,
) -> Sides[Counts]:
    """The counts of both revisions' predictors in the ``window`` (``60s``) before ``at``.

    Raises :class:`~calumma.errors.MonitoringError`.
    """
    where = queries.where(namespace=namespace, service=service, component="predictor")
    requests = watch.values(queries.requests(where, window), at=at)
    failed = watch.values(queries.errors(where, window), at=at)
    found = []
    for role, target in zip(Sides._fields, targets, strict=True):
        one = queries.where(
            namespace=namespace, service=service, component="predictor", revision=target.revision
        )
        latency = watch.values(queries.latency_buckets(one, window), "le", at)
        failures = round(failed.get(target.revision, 0))
        found.append(
            Counts(
                role=role,
                revision=target.revision,
                percent=target.percent,
                source="prometheus",
                requests=max(round(requests.get(target.revision, 0)), failures),
                failures=failures,
                classes=_rounded(
                    watch.values(
                        queries.prediction_counts(_made_by(service, namespace, target), window),
                        "class",
                        at,
                    )
                ),
                latency={float(bound): round(n) for bound, n in latency.items()},
            )
        )
    return Sides(*found)


def confidence(
    watch: client.Client,
    service: str,
    namespace: str,
    targets: Sides[Target],
    window: str,
    at: float,
) -> Sides[Mapping[float, int]]:
    """How many predictions of both had at most which confidence, by the bounds of the buckets."""
    found = []
    for target in targets:
        query = queries.confidence_buckets(_made_by(service, namespace, target), window)
        values = watch.values(query, "le", at)
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


def _rounded(values: Mapping[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in values.items()}
