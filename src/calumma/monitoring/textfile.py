"""Metrics as Prometheus' text format has them, for programs that leave them in a file. Pure.

The node serves the files of ``$CALUMMA_HOME/metrics`` with its own metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Family(NamedTuple):
    """A metric: its name after the prefix, its type, and what it says."""

    name: str
    type: str
    help: str


class Sample(NamedTuple):
    """A value of a metric, and the labels that tell it from the others."""

    family: Family
    value: float
    labels: Mapping[str, str]


def text(prefix: str, families: Sequence[Family], samples: Iterable[Sample]) -> str:
    """The samples by family, in the families' order; one without samples is not there."""
    known = list(samples)
    lines = []
    for family in families:
        name = f"{prefix}_{family.name}"
        own = [
            f"{name}{_labels(each.labels)} {each.value:.17g}"
            for each in known
            if each.family is family
        ]
        if own:
            lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.type}", *own]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_quoted(each)}"' for name, each in labels.items()) + "}"


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
