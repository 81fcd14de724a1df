"""The section ``drift`` of a suite."""

from __future__ import annotations

from calumma.evaluation import section


class Drift(section.Section):
    """What ``evaluation/drift.ipynb`` reads."""
