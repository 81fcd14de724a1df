"""Which program stands for a container image on a machine without containers.

A small table maps image names to local programs; the tag does not matter, because the program is
the one that is installed. People add rows of their own. An image that no row knows fails its
revision with a sentence that names the rows, and nothing is guessed.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from calumma import errors

Kind = Literal["triton", "kserve", "agent", "router", "plain"]
"""``kserve`` programs take ``--http_port`` and ``--grpc_port``, ``agent`` ones KServe's agent's
arguments; ``plain`` ones read ``PORT``; ``router`` is :mod:`calumma.graph`."""

OFFERED: Final = ("triton", "kserve", "plain")
"""The kinds that a person's row may have."""

_TAG = re.compile(r"(@sha256:[0-9a-f]+|:[\w.\-]+)$")


@dataclass(frozen=True)
class Row:
    """Images whose name without tag matches ``image`` (``*`` for any text) and their program.

    In ``command`` and ``directory``, ``{name}`` is the last part of the image's name.
    """

    image: str
    kind: Kind
    command: tuple[str, ...] = ()
    directory: str = ""


@dataclass(frozen=True)
class Match:
    """The program for one image."""

    kind: Kind
    command: tuple[str, ...]
    directory: Path


def defaults(project: Path) -> tuple[Row, ...]:
    """The rows that every cluster has: Triton, ``calumma/<name>``, KServe's agent and router."""
    folder = f"{project}/transformers/{{name}}"
    return (
        Row("nvcr.io/nvidia/tritonserver", "triton"),
        Row("calumma/*", "kserve", ("python", f"{folder}/main.py"), folder),
        Row("kserve/agent", "agent", ("python", "-P", "-m", "calumma.sidecar")),
        Row("kserve/router", "router", ("python", "-P", "-m", "calumma.graph")),
    )


def rows_of(document: Any, source: str) -> tuple[Row, ...]:
    """The rows of a user's table: ``images: [{image, command, kind?, directory?}]``.

    Raises ConfigurationError, naming ``source`` and the entry.
    """
    entries = document.get("images") if isinstance(document, Mapping) else None
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise errors.ConfigurationError(
            f"{source} has no list `images`; each entry has `image` and `command`, for example "
            "{image: example/model, command: [python, -m, model]}."
        )
    return tuple(_row(entry, f"{source}, images[{index}]") for index, entry in enumerate(entries))


def find(image: str, rows: Iterable[Row]) -> Match:
    """The program for an image; raises ConfigurationError with a sentence that names the rows."""
    name = repository(image)
    known = []
    for row in rows:
        known.append(row.image)
        if fnmatch.fnmatchcase(name, row.image):
            short = name.rsplit("/", 1)[-1]
            directory = Path(row.directory.format(name=short) or ".")
            if not directory.is_dir():
                raise errors.ConfigurationError(
                    f"the program for {row.image} would be in {directory}, which does not exist"
                )
            command = tuple(part.format(name=short) for part in row.command)
            return Match(row.kind, command, directory)
    raise errors.ConfigurationError(
        f"no program of this machine stands for it; known images are {', '.join(known)}. "
        "Add a row with `calumma up --images FILE`"
    )


def repository(image: str) -> str:
    """An image's name without its tag or digest: ``calumma/digits:1`` is ``calumma/digits``."""
    return _TAG.sub("", image)


def _row(entry: Any, where: str) -> Row:
    known = {"image", "command", "kind", "directory"}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("image"), str):
        raise errors.ConfigurationError(f"{where} has no `image`, the name without its tag.")
    if unknown := set(entry) - known:
        raise errors.ConfigurationError(
            f"{where} has {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}."
        )
    command = entry.get("command")
    if not isinstance(command, list) or not all(isinstance(part, str) for part in command):
        raise errors.ConfigurationError(f"{where} has no `command`, a list of words.")
    kind = entry.get("kind", "plain")
    if kind not in OFFERED:
        raise errors.ConfigurationError(
            f"{where} has the kind {kind!r}; known are {', '.join(OFFERED)}."
        )
    return Row(entry["image"], kind, tuple(command), str(entry.get("directory", "")))
