"""The document: what runs, when, and what becomes of runs that are late, overlap, fail or hang.

The words are those of Kubernetes' CronJob and its Job, and mean what they mean there.
"""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic

from calumma.evaluation import document
from calumma.schedule import cron

_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"

RUNS = "runs"
"""Where what runs leave goes, in the project."""

Count = Annotated[int, pydantic.Field(ge=0)]
Value = str | int | float | bool


class Secret(document.Part):
    """Where a secret is; the document never holds it."""

    environment: Annotated[str, pydantic.Field(pattern=_VARIABLE)] | None = None
    """A variable of whoever runs ``calumma schedule apply``; it is kept in the cluster's home."""
    file: str | None = None
    """A file, read each time; only its first line counts."""

    @pydantic.model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.environment is None) == (self.file is None):
            raise ValueError(
                "a secret needs either environment, a variable's name, or file, a path"
            )
        return self


class Alerts(document.Part):
    """Whom to tell, once when a schedule begins to fail and once when it recovers."""

    afterFailures: Annotated[int, pydantic.Field(ge=1)] = 1
    """Runs in a row that must not have passed."""
    webhook: Secret | None = None
    """A URL that gets a JSON document by POST."""
    command: Secret | None = None
    """A command line, run without a shell, with ``CALUMMA_ALERT`` in its environment."""

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.webhook is None) == (self.command is None):
            raise ValueError("alerts need either webhook or command")
        return self

    @property
    def secret(self) -> Secret:
        """Where the URL or the command is."""
        secret = self.webhook or self.command
        assert secret is not None  # the validator above
        return secret


class Cluster(document.Part):
    """What only a cluster needs to know."""

    image: str | None = None
    """The image of ``evaluation/Dockerfile``, by default ``calumma/evaluation:<version>``."""
    storage: Annotated[str, pydantic.Field(pattern=r"^[1-9][0-9]*[KMGT]i$")] = "5Gi"
    """The size of the claim that keeps the runs."""
    storageClassName: str | None = None
    pushgateway: Annotated[str, pydantic.Field(pattern=r"^https?://")] | None = None
    """Where a run leaves its metrics for Prometheus, which cannot ask a pod that has ended."""


class Schedule(document.Part):
    """The content of a schedule's file."""

    name: Annotated[str, pydantic.Field(pattern=_NAME, max_length=40)]
    schedule: str
    """Five fields: minute, hour, day of month, month, day of week."""
    timeZone: str = "Etc/UTC"
    suite: str
    """The suite's file, as a path in the project."""
    revision: str = "latest"
    parameters: dict[str, Value] = pydantic.Field(default_factory=dict)
    """Parameters for the suite's notebooks, as ``calumma evaluate -p NAME VALUE`` takes them."""
    command: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = ("calumma", "evaluate")
    """The words before the suite; the exit status is 0 for pass, 1 fail, 2 inconclusive."""
    concurrencyPolicy: Literal["Allow", "Forbid", "Replace"] = "Forbid"
    """What happens when a run is due while another one is under way."""
    startingDeadlineSeconds: Annotated[int, pydantic.Field(ge=10)] | None = None
    """How late a run may begin; without it a missed one begins whenever that is possible again."""
    activeDeadlineSeconds: Annotated[int, pydantic.Field(ge=1)] = 14400
    """How long a run may take, with its retries."""
    backoffLimit: Count = 0
    """How often a run that ended in an error is tried again; a verdict never is."""
    successfulJobsHistoryLimit: Count = 3
    failedJobsHistoryLimit: Count = 3
    """Records of ended runs and their logs; what an evaluation left is never removed."""
    suspend: bool = False
    alerts: Alerts | None = None
    cluster: Cluster = Cluster()

    @pydantic.model_validator(mode="after")
    def _comes_due(self) -> Self:
        cron.Times(self.schedule, self.timeZone)
        return self

    @pydantic.field_validator("suite")
    @classmethod
    def _in_the_project(cls, suite: str) -> str:
        path = Path(suite)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(
                "a suite is a path in the project; for example evaluation/suites/a.yaml"
            )
        return suite

    @property
    def times(self) -> cron.Times:
        """When it is due."""
        return cron.Times(self.schedule, self.timeZone)

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line of a run, in the project's folder."""
        given = [("-p", name, str(value)) for name, value in self.parameters.items()]
        words = (*self.command, self.suite, "--revision", self.revision, "--into", RUNS)
        return (*words, *itertools.chain.from_iterable(given))


def command_line(text: str) -> tuple[str, ...]:
    """The words of a command line; raises ValueError where a quote is not closed."""
    return tuple(shlex.split(text))
