"""The section ``business`` of a suite."""

from __future__ import annotations

from calumma.evaluation import section


class Business(section.Section):
    """What ``evaluation/business.ipynb`` reads."""
