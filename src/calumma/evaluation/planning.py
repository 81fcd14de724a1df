"""From a request to what each notebook is given; everything that can be refused is refused here.

Nothing has run and nothing is written yet when a suite, a section, a notebook or a parameter turns
out to be wrong.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from calumma import errors, running
from calumma.evaluation import section as sections
from calumma.evaluation import suite as suites

_OWN = ("out", "suite")


@dataclass(frozen=True)
class Request:
    """What to evaluate.

    ``suite`` is the suite's file; ``service``, ``namespace``, ``revision`` and ``seed`` replace
    what it or the notebooks say; ``only`` names the sections to run, all by default. ``everywhere``
    are parameters for each notebook that declares them, ``settings`` those of a section, by name,
    as text or as values. Runs are kept under ``into``, and
    with ``keep`` only so many of the suite. Metrics go to the cluster in the folder ``home`` and to
    the Pushgateway at the address ``pushgateway``, where these are given.
    """

    suite: Path
    service: str | None = None
    namespace: str | None = None
    revision: str | None = None
    seed: int | None = None
    only: tuple[str, ...] = ()
    everywhere: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    into: Path = Path("runs")
    keep: int | None = None
    home: Path | None = None
    pushgateway: str | None = None


class Step(NamedTuple):
    """A notebook, what it is given, its seconds, and whether it was asked for by its name."""

    section: str
    notebook: Path
    parameters: dict[str, Any]
    timeout: float
    asked: bool = True


class Plan(NamedTuple):
    """The steps of a run, and the suite as it is at this moment."""

    suite: suites.Suite
    service: str
    namespace: str
    document: dict[str, str]
    steps: tuple[Step, ...]


def plan(request: Request) -> Plan:
    """What a request comes to.

    Raises :class:`~calumma.errors.DocumentInvalid` for the suite, and
    :class:`~calumma.errors.EvaluationError` for what does not fit it.
    """
    suite = suites.read(request.suite)
    text = request.suite.read_bytes()
    if request.keep is not None and request.keep < 1:
        raise errors.EvaluationError(f"{request.keep} runs cannot be kept; keep at least 1")
    for name in (*request.only, *request.settings):
        if name not in suite.sections:
            there = ", ".join(suite.sections)
            raise errors.EvaluationError(f"{request.suite} has no section {name}; it has {there}")
    service, namespace = request.service or suite.service, request.namespace or suite.namespace
    general = {
        "suite": str(request.suite),
        "service": service,
        "namespace": namespace,
        "revision": request.revision,
        "seed": request.seed,
    }
    asked = {name: value for name, value in general.items() if value is not None}
    steps = tuple(
        _step(request, name, _notebook(request.suite, name, section), section.timeout, asked)
        for name, section in suite.sections.items()
        if not request.only or name in request.only
    )
    _all_are_used(request, steps)
    document = {
        "path": str(request.suite),
        "sha256": hashlib.sha256(text).hexdigest(),
        "text": text.decode(),
    }
    return Plan(suite, service, namespace, document, steps)


def _notebook(path: Path, name: str, section: sections.Section) -> Path:
    """The notebook's path as people would write it, without ``suites/..``."""
    return Path(os.path.normpath(suites.notebook(path, name, section)))


def _step(
    request: Request, section: str, notebook: Path, timeout: float, general: Mapping[str, Any]
) -> Step:
    declared = running.parameters(notebook)
    given = {name: value for name, value in general.items() if name in declared}
    everywhere = {name: each for name, each in request.everywhere.items() if name in declared}
    for name, value in {**everywhere, **request.settings.get(section, {})}.items():
        if name in _OWN:
            raise errors.ParameterRefused(f"{section}.{name} is the run's own and cannot be set")
        is_text = isinstance(value, str)
        given[name] = running.parse(notebook, declared, name, value) if is_text else value
    running.check(notebook, declared, given)
    return Step(section, notebook, given, timeout, section in request.only)


def _all_are_used(request: Request, steps: tuple[Step, ...]) -> None:
    """Refuse what was asked of all notebooks and is a parameter of none."""
    asked = set(request.everywhere)
    asked |= {"seed"} if request.seed is not None else set()
    # The latest revision is what every notebook looks at unless it is told otherwise.
    asked |= {"revision"} if request.revision not in (None, "latest") else set()
    for name in sorted(asked):
        if not any(name in step.parameters for step in steps):
            taken = {each for step in steps for each in running.parameters(step.notebook)}
            raise errors.ParameterRefused(
                f"no notebook of the run has a parameter {name}; "
                f"they have {', '.join(sorted(taken - set(_OWN)))}"
            )
