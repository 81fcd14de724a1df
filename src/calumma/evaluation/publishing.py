"""The numbers of a run for Prometheus: what it measured, how sure it is, and the verdict.

On a one-machine cluster they go into files that the node serves, one for each section of a suite
and service, so that what another section found last stays. On a real cluster they go to a
Pushgateway. A section without a report has a verdict and no metrics: no data is not an old number.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import prometheus_client
from prometheus_client import exposition

from calumma.cluster import layout
from calumma.evaluation import history, record
from calumma.scoring import metrics

JOB = "calumma-evaluation"
PREFIX = "calumma_evaluation"

_SECTION = ("suite", "service", "namespace", "section")
_METRIC = (*_SECTION, "metric", "revision")
_PUSH_SECONDS = 10


def publish(
    run: record.Run, folder: Path, home: Path | None, pushgateway: str | None
) -> Iterator[str]:
    """Give out what a run in a folder found; the answers are what went wrong, in sentences.

    ``home`` is the folder of the one-machine cluster that the service is in, if it is in one, and
    ``pushgateway`` the address of a Pushgateway. Sections that were not run are left as they were.
    """
    reports = history.reports(run, folder)
    for section in (each for each in run.sections if each.state == "ended"):
        numbers = _numbers(run, section, record.metrics_of(reports[section.name]))
        if home is not None:
            try:
                _write(layout.Home(home).metrics, run, section, numbers)
            except OSError as error:
                yield f"the metrics of {section.name} cannot be written into {home}: {error}"
        if pushgateway is not None:
            try:
                exposition.push_to_gateway(
                    pushgateway, JOB, numbers, _labels(run, section), timeout=_PUSH_SECONDS
                )
            except (OSError, ValueError) as error:
                yield f"the Pushgateway {pushgateway} did not take {section.name}: {error}"


def _write(
    folder: Path,
    run: record.Run,
    section: record.Section,
    numbers: prometheus_client.CollectorRegistry,
) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = "+".join(_labels(run, section).values())
    exposition.write_to_textfile(str(folder / f"evaluation+{name}.prom"), numbers)


def _labels(run: record.Run, section: record.Section) -> dict[str, str]:
    values = (run.suite, run.service, run.namespace, section.name)
    return dict(zip(_SECTION, values, strict=True))


def _numbers(
    run: record.Run, section: record.Section, measured: dict[str, metrics.Metric]
) -> prometheus_client.CollectorRegistry:
    registry = prometheus_client.CollectorRegistry()
    labels = _labels(run, section)

    def gauge(name: str, text: str, names: tuple[str, ...] = _SECTION) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(f"{PREFIX}_{name}", text, names, registry=registry)

    values = gauge("metric", "A metric of the last evaluation, in its own unit.", _METRIC)
    lows = gauge("metric_low", "The lower end of the metric's interval.", _METRIC)
    highs = gauge("metric_high", "The upper end of the metric's interval.", _METRIC)
    ns = gauge("metric_n", "The number of observations that the metric rests on.", _METRIC)
    for metric in measured.values():
        own = {**labels, "metric": metric.name, "revision": section.revision}
        ns.labels(**own).set(metric.n)
        if metric.value is not None:
            values.labels(**own).set(metric.value)
        if metric.value is not None and metric.interval is not None:
            lows.labels(**own).set(metric.interval.low)
            highs.labels(**own).set(metric.interval.high)
    verdict = gauge(
        "verdict", "1 for the verdict of the last evaluation, 0 for others.", (*_SECTION, "verdict")
    )
    for word in record.CODES:
        verdict.labels(**labels, verdict=word).set(word == section.verdict)
    began = datetime.fromisoformat(section.started or run.started).timestamp()
    seconds = section.seconds or 0.0
    gauge("time_seconds", "When the last evaluation ended, in Unix time.").labels(**labels).set(
        began + seconds
    )
    gauge("duration_seconds", "How long the last evaluation took.").labels(**labels).set(seconds)
    return registry
