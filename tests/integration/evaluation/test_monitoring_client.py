"""Asking a real Prometheus about real traffic."""

from __future__ import annotations

import time

import pytest

from calumma import errors
from calumma.inference import classification
from calumma.models import digits
from calumma.monitoring import client, queries, vocabulary

from .conftest import CANARY, STABLE, Service


def send(service: Service, number: int) -> None:
    image = digits.png(digits.held_out().images[0])
    for _ in range(number):
        service.answer(classification.encode([image]), "digits")


def test_values_and_series_are_by_revision_and_silence_has_none(
    service: Service, watching: str
) -> None:
    where = queries.where(namespace=service.namespace, service="digits", component="predictor")
    begin = time.time()
    with client.Client(watching) as watch:
        time.sleep(0.6)
        send(service, 40)
        time.sleep(1.2)
        end = time.time()
        window = f"{end - begin:.0f}s"
        # The counters were born in the window, so that nothing is extrapolated.
        assert watch.values(queries.requests(where, window), at=end) == {STABLE: 40, CANARY: 0}
        # The canary got no request: it has no errors, and no ratio and no quantile.
        assert watch.values(queries.errors(where, window), at=end) == {STABLE: 0, CANARY: 0}
        assert watch.values(queries.error_ratio(where, window), at=end) == {STABLE: 0}
        median = watch.values(queries.latency(where, window, 0.5), at=end)
        assert set(median) == {STABLE} and 0 < median[STABLE] < 50
        total = f"sum by (revision) ({vocabulary.REQUESTS}{{{where}}})"
        points = watch.series(total, begin, end, step=1)
        assert points[STABLE][-1][1] == 40 and points[CANARY][-1][1] == 0
        assert abs(points[STABLE][-1][0] - end) <= 1
        assert watch.values("vector(1)") == {"": 1.0}
        assert watch.values("nothing_like_this") == {}


def test_the_first_errors_are_seen(service: Service, watching: str) -> None:
    where = queries.where(namespace=service.namespace, service="digits", component="predictor")
    send(service, 10)
    time.sleep(1)
    service.failing = {STABLE}
    send(service, 10)
    time.sleep(1)
    with client.Client(watching) as watch:
        assert watch.values(queries.errors(where, "3s")) == {STABLE: 10, CANARY: 0}


def test_a_wrong_query_and_a_server_that_is_gone_are_sentences(watching: str) -> None:
    with (
        client.Client(watching) as watch,
        pytest.raises(errors.MonitoringError, match="refuses the query sum"),
    ):
        watch.values("sum(")
    with (
        client.Client("http://127.0.0.1:1") as nobody,
        pytest.raises(errors.MonitoringError, match="does not answer"),
    ):
        nobody.values("up")
    with pytest.raises(errors.MonitoringError, match="names no Prometheus"):
        client.Client(None)
