"""The section ``load`` of a suite."""

from __future__ import annotations

from calumma.evaluation import section


class Load(section.Section):
    """What ``evaluation/load.ipynb`` reads."""
