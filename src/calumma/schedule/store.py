"""Schedules on disk: a folder for each in the home, and one writer for each file.

``schedule.json`` is what was applied, ``secret`` the webhook or command that came from a variable,
``request`` a person's wish for a run now: ``calumma schedule`` writes these. ``state.json`` and
``logs/`` are the scheduler's. Files are replaced whole, and reach the disk before anybody acts on
them, so that a process or a machine may end at any moment.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pydantic

from calumma import errors
from calumma.cluster import layout
from calumma.evaluation import document
from calumma.schedule.definition import Schedule, Secret
from calumma.schedule.state import State


class Applied(document.Part):
    """A schedule, and the project in which its suite and notebooks lie."""

    schedule: Schedule
    project: str


class Store:
    """The schedules of a home."""

    def __init__(self, home: layout.Home) -> None:
        self.home = home

    def names(self) -> list[str]:
        """All schedules, sorted."""
        return sorted(path.parent.name for path in self.home.schedules.glob("*/schedule.json"))

    def read(self, name: str) -> Applied:
        """What was applied; raises ConfigurationError where there is none or it cannot be read."""
        path = self._path(name, "schedule.json")
        try:
            return Applied.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            known = ", ".join(self.names()) or "none"
            raise errors.ConfigurationError(
                f"There is no schedule {name!r}; there are {known}."
            ) from error
        except (OSError, pydantic.ValidationError) as error:
            raise errors.ConfigurationError(
                f"{path} cannot be read ({error}); apply the schedule again."
            ) from error

    def version(self, name: str) -> int | None:
        """A number that changes when the schedule is applied again; None where there is none."""
        try:
            return self._path(name, "schedule.json").stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def apply(self, applied: Applied, secret: str | None) -> None:
        """Write a schedule, and the secret that a variable held."""
        folder = self.home.schedules / applied.schedule.name
        folder.mkdir(parents=True, exist_ok=True)
        self.home.path.chmod(0o700)
        if secret is None:
            (folder / "secret").unlink(missing_ok=True)
        else:
            _replace(folder / "secret", secret)
        self._write(applied)

    def suspend(self, name: str, suspend: bool) -> Schedule:
        """Pause or resume a schedule; the one that holds from now on."""
        applied = self.read(name)
        changed = applied.schedule.model_copy(update={"suspend": suspend})
        self._write(Applied(schedule=changed, project=applied.project))
        return changed

    def delete(self, name: str) -> None:
        """Remove a schedule with all that is known of it."""
        self.read(name)
        self._path(name, "schedule.json").unlink()
        self.clear(name)

    def clear(self, name: str) -> None:
        """Remove what is left of a schedule that was deleted."""
        if self.version(name) is None:
            shutil.rmtree(self.home.schedules / name, ignore_errors=True)

    def secret(self, name: str, secret: Secret) -> str:
        """A schedule's secret; raises ConfigurationError where it cannot be read or is empty."""
        path = Path(secret.file).expanduser() if secret.file else self._path(name, "secret")
        return first_line(path)

    def state(self, name: str) -> State | None:
        """What has happened; None where nothing has, or where what is there is no state.

        A state that cannot be understood is set aside, as ``state.json.broken``.
        """
        path = self._path(name, "state.json")
        try:
            return State.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except pydantic.ValidationError:
            path.replace(path.with_suffix(".json.broken"))
            return None

    def write_state(self, name: str, state: State) -> None:
        """Write what has happened; raises OSError, FileNotFoundError once the schedule is gone."""
        _replace(self._path(name, "state.json"), state.model_dump_json(indent=1))

    def ask(self, name: str) -> None:
        """Ask for a run now."""
        _replace(self._path(name, "request"), str(time.time()))

    def request(self, name: str) -> float | None:
        """When a person asked for a run that has not begun yet."""
        try:
            return float(self._path(name, "request").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def answered(self, name: str, request: float) -> None:
        """The run that was asked for then has begun; a later request stays."""
        if self.request(name) == request:
            self._path(name, "request").unlink(missing_ok=True)

    def log(self, name: str, run_id: str) -> Path:
        """The output of a run."""
        return self._path(name, f"logs/{run_id}.log")

    def _write(self, applied: Applied) -> None:
        path = self._path(applied.schedule.name, "schedule.json")
        _replace(path, applied.model_dump_json(indent=1))

    def _path(self, name: str, file: str) -> Path:
        return self.home.schedules / name / file


def first_line(path: Path) -> str:
    """The secret in a file; raises ConfigurationError where it cannot be read or is empty."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise errors.ConfigurationError(f"The secret {path} cannot be read: {why}.") from None
    if not lines[0].strip():
        raise errors.ConfigurationError(f"The secret {path} has an empty first line.")
    return lines[0].strip()


def write(path: Path, text: str) -> None:
    """Write a file of the home that others read at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    """Replace a file, so that after a crash it is the old one or the new one. Mode 0600."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
