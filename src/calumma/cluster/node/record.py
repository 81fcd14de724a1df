"""What the supervisor is asked to run, and what it tells about it.

Both cross the supervisor's socket as JSON, one object a line; these classes are that JSON with
names and types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["running", "waiting", "completed", "stopping"]


@dataclass(frozen=True)
class Wanted:
    """A program to keep running, or to run once to success when it is a ``task``.

    ``log`` is the file of its output, or with ``runs`` the folder in which each run gets a log of
    its own. ``notes`` are the asker's own: the supervisor gives them back unread.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    log: str
    task: bool = False
    runs: bool = False
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Wanted:
        """From the JSON of :meth:`to_json`."""
        return cls(**{**data, "argv": tuple(data["argv"])})

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "argv": list(self.argv)}


@dataclass(frozen=True)
class Ended:
    """How the last run of a program ended.

    Times are seconds since the epoch; ``log`` is the file that holds the run's output.
    """

    code: int
    signal: int
    started: float
    finished: float
    log: str


@dataclass(frozen=True)
class Observed:
    """A program as the supervisor has it.

    ``since`` is when it entered its state; ``restarts`` counts the starts after the first;
    ``retry_at`` is set while it waits to be started again.
    """

    wanted: Wanted
    state: State
    since: float
    pid: int | None = None
    restarts: int = 0
    last: Ended | None = None
    retry_at: float | None = None

    @property
    def backoff(self) -> float:
        """Seconds between its last end and its next start, 0 while it is not waiting for that."""
        if self.retry_at is None or self.last is None:
            return 0.0
        return self.retry_at - self.last.finished

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Observed:
        """From the JSON of :meth:`to_json`."""
        last = data.get("last")
        return cls(
            **{
                **data,
                "wanted": Wanted.from_json(data["wanted"]),
                "last": None if last is None else Ended(**last),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **vars(self),
            "wanted": self.wanted.to_json(),
            "last": None if self.last is None else vars(self.last),
        }
