"""Where the time of a request goes: the server's own account of a window, by Prometheus.

Triton counts queueing and computing, KServe's transformer its two halves; what is left of the
caller's mean latency is the gateway, the network, and waiting anywhere else. A window in which
Prometheus read too little has no split: that is not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from calumma.load import curve
from calumma.monitoring import client, queries
from calumma.scoring import metrics

SHORTEST = 5.0
"""Seconds of a window below which Prometheus, reading every two seconds, cannot see a rate."""

PARTS = (
    "transformer, before",
    "Triton, queue",
    "Triton, input",
    "Triton, compute",
    "Triton, output",
    "transformer, after",
)
REST = "gateway, network, waiting"


class Split(NamedTuple):
    """Mean milliseconds of a request by part, mean batch size, GPU share and bytes.

    A part that nobody counted is missing from ``parts``, the others are then None.
    """

    parts: Mapping[str, float]
    batch: float | None
    gpu: float | None
    gpu_bytes: float | None


class Where(NamedTuple):
    """Which service to ask for."""

    service: str
    namespace: str


def of_window(watch: client.Client, where: Where, began: float, ended: float) -> Split:
    """The split of a window between two Unix times.

    Raises :class:`~calumma.errors.MonitoringError` when Prometheus does not answer.
    """
    if ended - began < SHORTEST:
        return Split({}, None, None, None)
    window = f"{1000 * (ended - began):.0f}ms"
    predictor, transformer = (
        queries.where(namespace=where.namespace, service=where.service, component=component)
        for component in ("predictor", "transformer")
    )
    by = queries.SERVICE
    expressions = dict(
        zip(
            PARTS,
            (
                queries.transformer_time("preprocess", transformer, window),
                queries.triton_queue_time(predictor, window, by),
                queries.triton_input_time(predictor, window, by),
                queries.triton_compute_time(predictor, window, by),
                queries.triton_output_time(predictor, window, by),
                queries.transformer_time("postprocess", transformer, window),
            ),
            strict=True,
        )
    )
    found = {name: _one(watch, each, ended) for name, each in expressions.items()}
    return Split(
        {name: value for name, value in found.items() if value is not None},
        _one(watch, queries.triton_batch_size(predictor, window, by), ended),
        _one(watch, queries.gpu_utilisation(predictor, window), ended),
        _one(watch, queries.gpu_memory(predictor, window), ended),
    )


def of_steps(watch: client.Client, where: Where, found: curve.Curve) -> dict[float, Split]:
    """The split of each rate of a curve that has one, the last measurement of it."""
    splits = {step.rate: of_window(watch, where, step.began, step.ended) for step in found.steps}
    return {rate: each for rate, each in sorted(splits.items()) if each.parts}


def measured(found: Split, mean: float | None, n: int) -> list[metrics.Metric]:
    """The split as metrics, with what is left of the caller's ``mean`` milliseconds.

    The parts are the server's means over everybody's requests, ``n`` the caller's, so they have no
    interval here.
    """
    rows = [metrics.Metric(name, found.parts.get(name), n, None, "ms") for name in PARTS]
    rows.append(metrics.Metric(REST, rest(found, mean), n, None, "ms"))
    rows.append(metrics.Metric("batch size", found.batch, n, None))
    if found.gpu is not None:
        rows.append(metrics.Metric("GPU utilisation", found.gpu, n, None))
    if found.gpu_bytes is not None:
        rows.append(metrics.Metric("GPU memory", found.gpu_bytes / 1e6, n, None, "MB"))
    return rows


def rest(found: Split, mean: float | None) -> float | None:
    """What no part accounts for of a mean in milliseconds, None where that is not known."""
    if not found.parts or mean is None:
        return None
    return max(0.0, mean - sum(found.parts.values()))


def _one(watch: client.Client, expression: str, at: float) -> float | None:
    """The only value of a query, None where there is none."""
    return next(iter(watch.values(expression, label="service", at=at).values()), None)
