"""Latencies as an HDR histogram: every size with the same relative precision, and a text format.

HdrHistogram's ``.hgrm`` text is what other load generators leave (wrk2, vegeta, k6's exporters), so
that runs of any of them can be drawn into one picture. Values are recorded in microseconds from
1 microsecond to an hour, with three significant digits.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from hdrh.histogram import HdrHistogram

FILE = "latency.hgrm"
_LONGEST = 3_600_000_000
_TICKS = 5
"""Steps for each halving of the distance to 100%."""


def recorded(latencies: Iterable[float]) -> HdrHistogram:
    """The histogram of latencies in seconds; what is longer than an hour counts as an hour."""
    histogram = HdrHistogram(1, _LONGEST, 3)
    for latency in latencies:
        histogram.record_value(min(max(round(1e6 * latency), 1), _LONGEST))
    return histogram


def text(histogram: HdrHistogram) -> str:
    """The ``.hgrm`` text, in microseconds: the library does not scale the standard deviation."""
    file = io.BytesIO()
    histogram.output_percentile_distribution(file, 1.0, _TICKS)
    return file.getvalue().decode()


def write(folder: Path, latencies: Iterable[float]) -> None:
    """Leave the text of latencies in seconds in a report's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text(recorded(latencies)), encoding="utf-8")


def curve(histogram: HdrHistogram) -> list[tuple[float, float]]:
    """(quantile from 0 to 1, latency in seconds) points, closer together towards 1."""
    return [
        (entry.percentile_level_iterated_to / 100, entry.value_iterated_to / 1e6)
        for entry in histogram.get_percentile_iterator(_TICKS)
    ]
