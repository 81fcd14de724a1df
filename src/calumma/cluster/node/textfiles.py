"""Metrics of programs that come and go: what lies in a folder as ``*.prom`` is served.

As node_exporter's textfile collector does: a program that has ended (an evaluation, a scheduler)
leaves its last numbers in Prometheus' text format, in a file that it replaces as a whole. What is
not such a file is left out and logged once, and said by ``calumma_textfile_error``; no file can
break another's metrics or the node's own.
"""

from __future__ import annotations

import logging
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client import metrics_core, parser, registry

LARGEST = 4 << 20
"""Bytes beyond which a file is not read."""

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

_log = logging.getLogger(__name__)


class _Read(NamedTuple):
    """A file as it was when it had this time and size: its metrics, or what is wrong with it."""

    version: tuple[int, int]
    families: tuple[metrics_core.Metric, ...]
    problem: str


class Collector(registry.Collector):
    """Collects the files of a folder, which need not exist; ``own`` names are not theirs to use."""

    def __init__(self, folder: Path, own: Collection[str]) -> None:
        self._folder, self._own = folder, own
        self._read: dict[Path, _Read] = {}
        self._told: dict[Path, str] = {}

    def collect(self) -> Iterator[metrics_core.Metric]:
        """The families of all files, those of the same name as one."""
        merged: dict[str, metrics_core.Metric] = {}
        series: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        failed = metrics_core.GaugeMetricFamily(
            "calumma_textfile_error", "1 for a file of metrics that is left out.", labels=("file",)
        )
        present = self._files()
        for path, read in present.items():
            keys = [
                (sample.name, tuple(sorted(sample.labels.items())))
                for family in read.families
                for sample in family.samples
            ]
            problem = read.problem or self._clash(read.families, merged, keys, series)
            failed.add_metric((path.name,), float(bool(problem)))
            self._tell(path, problem)
            if problem:
                continue
            series.update(keys)
            for family in read.families:
                whole = merged.setdefault(
                    family.name,
                    metrics_core.Metric(family.name, family.documentation, family.type),
                )
                whole.samples += family.samples
        self._told = {path: told for path, told in self._told.items() if path in present}
        yield from merged.values()
        if present:
            yield failed

    def _files(self) -> dict[Path, _Read]:
        """All files, read where they have changed."""
        found = {}
        for path in sorted(self._folder.glob("*.prom")):
            try:
                status = path.lstat()
                version = (status.st_mtime_ns, status.st_size)
                known = self._read.get(path)
                if known is None or known.version != version:
                    known = _Read(version, *_parse(path, status.st_mode, status.st_size))
            except OSError as error:
                known = _Read((0, 0), (), f"it cannot be read: {error.strerror}")
            found[path] = known
        self._read = found
        return found

    def _clash(
        self,
        families: Collection[metrics_core.Metric],
        merged: dict[str, metrics_core.Metric],
        keys: list[tuple[str, tuple[tuple[str, str], ...]]],
        series: set[tuple[str, tuple[tuple[str, str], ...]]],
    ) -> str:
        """Why a file cannot stand beside the node's own metrics and the files before it."""
        for family in families:
            if family.name in self._own:
                return f"{family.name} is the node's own"
            if family.name in merged and merged[family.name].type != family.type:
                return f"{family.name} is a {merged[family.name].type} in another file"
        twice = next((name for name, labels in keys if (name, labels) in series), None)
        if twice is None and len(set(keys)) < len(keys):
            twice = next(key[0] for key in keys if keys.count(key) > 1)
        return "" if twice is None else f"a series of {twice} is there already"

    def _tell(self, path: Path, problem: str) -> None:
        if problem and self._told.get(path) != problem:
            _log.warning("%s is left out: %s", path, problem)
        self._told[path] = problem


def _parse(path: Path, mode: int, size: int) -> tuple[tuple[metrics_core.Metric, ...], str]:
    """What a file says, or what is wrong with it."""
    if not stat.S_ISREG(mode):
        return (), "it is not a regular file"
    if size > LARGEST:
        return (), f"it has {size} bytes; at most {LARGEST} are read"
    try:
        families = tuple(parser.text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except ValueError as error:  # among them text that is not UTF-8
        return (), f"it is not in Prometheus' text format: {error}"
    except (IndexError, KeyError, TypeError) as error:  # what the parser makes of some junk
        return (), f"it is not in Prometheus' text format: {error!r}"
    for sample in (sample for family in families for sample in family.samples):
        if not _METRIC.fullmatch(sample.name):
            return (), f"{sample.name!r} is not a metric's name"
        if not all(_LABEL.fullmatch(label) for label in sample.labels):
            return (), f"the labels of {sample.name} are not all labels' names"
        if sample.timestamp is not None:
            return (), f"{sample.name} has a time of its own, and metrics are served as of now"
    return families, ""
