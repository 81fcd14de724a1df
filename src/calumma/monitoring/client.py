"""Asking a Prometheus server, with prometheus-api-client.

Answers are values by the label that tells them apart. NaN, which PromQL gives for a quantile or a
ratio of nothing, is left out as if there were no series: it means the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import prometheus_api_client
import requests
import urllib3
from prometheus_api_client.exceptions import PrometheusApiClientException

from calumma import errors

Points = list[tuple[float, float]]


class Samples(NamedTuple):
    """The raw samples of one series, the oldest first."""

    labels: Mapping[str, str]
    points: Points


class Client:
    """A Prometheus server at ``url``; each request may take ``timeout`` seconds.

    Raises :class:`~calumma.errors.MonitoringError` without a ``url``, which is what a cluster that
    names no Prometheus has to offer.
    """

    def __init__(self, url: str | None, timeout: int = 10) -> None:
        if not url:
            raise errors.MonitoringError(
                "the cluster names no Prometheus (ConfigMap calumma in namespace kserve); "
                "give its address"
            )
        self.url = url.rstrip("/")
        self._connection = prometheus_api_client.PrometheusConnect(
            self.url, timeout=timeout, retry=urllib3.Retry(total=2, backoff_factor=0.1)
        )

    def values(
        self, query: str, label: str = "revision", at: float | None = None
    ) -> dict[str, float]:
        """The value of each series of an instant query, by the value of its ``label``.

        ``at`` is a Unix time, by default now. Series without the label are under ``""``. Raises
        :class:`~calumma.errors.MonitoringError` when the server does not answer or refuses.
        """
        parameters = {} if at is None else {"time": at}
        rows = self._ask("custom_query", query, params=parameters)
        values = {row["metric"].get(label, ""): float(row["value"][1]) for row in rows}
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def samples(self, selector: str, end: float, seconds: float) -> list[Samples]:
        """The raw samples of each series of a ``selector`` in the ``seconds`` up to a Unix time.

        Whatever Prometheus scraped or recorded, at its own times and nothing between; where a
        series ended there is none. Raises as :meth:`values` does.
        """
        # Prometheus may read a time as one a millisecond earlier.
        found = self._samples(f"{selector}[{math.ceil(1000 * seconds)}ms]", end + 0.001)
        cut = [(labels, [point for point in points if point[0] <= end]) for labels, points in found]
        return [Samples(labels, points) for labels, points in cut if points]

    def latest(self, selector: str, at: float, seconds: float) -> list[Samples]:
        """The last sample of each series in the ``seconds`` up to a Unix time, as if of then.

        Raises as :meth:`values` does.
        """
        return self._samples(f"last_over_time({selector}[{math.ceil(1000 * seconds)}ms])", at)

    def series(
        self, query: str, start: float, end: float, step: float, label: str = "revision"
    ) -> dict[str, Points]:
        """The (Unix time, value) points of each series between two Unix times, by its ``label``.

        Raises as :meth:`values` does.
        """
        rows = self._ask(
            "custom_query_range",
            query,
            start_time=datetime.fromtimestamp(start, UTC),
            end_time=datetime.fromtimestamp(end, UTC),
            step=str(step),
        )
        found: dict[str, Points] = {}
        for row in rows:
            points = [(float(time), float(value)) for time, value in row["values"]]
            kept = [point for point in points if not math.isnan(point[1])]
            if kept:
                found[row["metric"].get(label, "")] = kept
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _samples(self, query: str, at: float) -> list[Samples]:
        found = []
        for row in self._ask("custom_query", query, params={"time": at}):
            labels = {name: each for name, each in row["metric"].items() if name != "__name__"}
            values = row["values"] if "values" in row else [row["value"]]
            points = [(float(time), float(value)) for time, value in values]
            kept = [point for point in points if not math.isnan(point[1])]
            if kept:
                found.append(Samples(labels, kept))
        return found

    def _ask(self, method: str, query: str, **arguments: Any) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = getattr(self._connection, method)(query, **arguments)
        except requests.RequestException as error:
            raise errors.MonitoringError(
                f"Prometheus at {self.url} does not answer: {error}"
            ) from error
        except (PrometheusApiClientException, ValueError, KeyError) as error:
            raise errors.MonitoringError(
                f"Prometheus at {self.url} refuses the query {query}: {error}"
            ) from error
        return rows
