"""The section ``offline`` of a suite."""

from __future__ import annotations

from calumma.evaluation import section


class Offline(section.Section):
    """What ``evaluation/offline.ipynb`` reads."""
