"""The section ``online`` of a suite."""

from __future__ import annotations

from calumma.evaluation import section


class Online(section.Section):
    """What ``evaluation/online.ipynb`` reads."""
