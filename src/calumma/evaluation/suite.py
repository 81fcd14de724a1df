"""A suite: a service, and a section for each notebook that looks at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import pydantic

from calumma import errors
from calumma.evaluation import document, section
from calumma.evaluation.business import Business
from calumma.evaluation.detection import Detection
from calumma.evaluation.drift import Drift
from calumma.evaluation.load import Load
from calumma.evaluation.offline import Offline
from calumma.evaluation.online import Online

SECTIONS = ("offline", "detection", "online", "load", "drift", "business")
"""In the order in which they run."""

_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


class Suite(document.Part):
    """The content of a suite's file."""

    name: Annotated[str, pydantic.Field(pattern=f"^{_NAME}$", max_length=40)]
    """The suite's own name, under which its runs are kept."""
    service: str
    """The InferenceService that it is about."""
    namespace: str = "default"
    offline: Offline | None = None
    detection: Detection | None = None
    online: Online | None = None
    load: Load | None = None
    drift: Drift | None = None
    business: Business | None = None

    @property
    def sections(self) -> dict[str, section.Section]:
        """The sections that it has, by name."""
        found = {name: getattr(self, name) for name in SECTIONS}
        return {name: each for name, each in found.items() if each is not None}


def read(path: Path | str) -> Suite:
    """The suite in a file; raises :class:`~calumma.errors.DocumentInvalid`."""
    found = document.read(path, Suite)
    if not found.sections:
        raise errors.DocumentInvalid(
            f"{path} has no section, so it evaluates nothing; it may have {', '.join(SECTIONS)}"
        )
    return found


Found = TypeVar("Found", bound=section.Section)


def require(found: Found | None, name: str, path: Path | str) -> Found:
    """A section that a notebook cannot do without; raises DocumentInvalid where it is missing."""
    if found is None:
        raise errors.DocumentInvalid(f"{path} has no section {name}, which this notebook reads")
    return found


def notebook(path: Path | str, name: str, found: section.Section) -> Path:
    """The notebook of a section of the suite at ``path``."""
    return Path(path).parent / (found.notebook or f"../{name}.ipynb")
