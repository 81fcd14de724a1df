"""The storage initializer: brings a model to the folder that its server reads.

``python -m calumma.cluster.storage URI FOLDER`` runs once before a pod's containers, as KServe's
init container does, and uses KServe's own ``kserve-storage`` for every scheme (``file``, ``s3``,
``https``, ``hf``, ``gs``, ...), with the same environment variables for credentials.
``pvc://claim/path`` is a folder of this machine: ``--claim NAME=FOLDER`` says which, else it is
the folder of that name below ``--claims``; neither a path nor a link in it can lead out of its
claim. What is fetched stays in its folder, and leaves the disk a reserve.

Its exit code and last line tell the node what went wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from calumma import errors

PVC = "pvc://"
RESERVE: Final = 512 << 20
"""Bytes of a disk that no download may take: the cluster's own database may lie there."""
_CLAIM: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_IGNORED: Final = "STORAGE_IGNORE_PATTERNS"
_OUTSIDE: Final = ("../*", "*/../*", "*/..")
_GUARD_SECONDS: Final = 0.05


def resolve(uri: str, claims: Mapping[str, Path], folder: Path) -> str:
    """The URI that kserve-storage understands: a claim's path becomes a local one.

    ``claims`` are the mapped claims, ``folder`` holds the others. Raises ConfigurationError when
    the claim or the path is not there or leads elsewhere.
    """
    if not uri.startswith(PVC):
        return uri
    parts = urlsplit(uri)
    claim, path = parts.netloc, unquote(parts.path).strip("/")
    if claim and not _CLAIM.fullmatch(claim):
        raise errors.ConfigurationError(
            f"{uri}: {claim!r} is no name of a claim: small letters, digits, '-' and '.' make one."
        )
    root = claims.get(claim, folder / claim)
    if not claim or not root.is_dir():
        known = sorted({*claims, *(p.name for p in folder.glob("*") if p.is_dir())})
        raise errors.ConfigurationError(
            f"{uri}: there is no claim {claim!r}; known are {', '.join(known) or 'none'}. Map one "
            f"with `calumma up --claim {claim or 'NAME'}=FOLDER` or make the folder "
            f"{folder / (claim or 'NAME')}."
        )
    root = root.resolve()
    target = (root / path).resolve()
    if not target.is_relative_to(root):
        raise errors.ConfigurationError(f"{uri}: the path leads out of the claim {claim!r}.")
    if not target.exists():
        there = sorted(entry.name for entry in nearest(target).iterdir())
        raise errors.ConfigurationError(
            f"{uri}: no {path!r} in the claim {claim!r} ({root}); "
            f"{nearest(target)} holds {', '.join(there) or 'nothing'}."
        )
    for link in _links(target):
        if not link.resolve().is_relative_to(root):
            raise errors.ConfigurationError(
                f"{uri}: {link.relative_to(root)} is a link that leads out of the claim {claim!r}."
            )
    return str(target)


def _links(folder: Path) -> Iterator[Path]:
    """The symbolic links below a folder."""
    for parent, folders, files in os.walk(folder):
        entries = (Path(parent) / name for name in (*folders, *files))
        yield from (entry for entry in entries if entry.is_symlink())


def nearest(path: Path) -> Path:
    """The closest folder above a path that exists."""
    return next(parent for parent in path.parents if parent.is_dir())


def fetch(uri: str, destination: Path) -> None:
    """Bring what a URI names into an empty folder; local entries are linked, others downloaded.

    Names of remote objects that would lead out of the folder are passed over. Raises what the
    storage library raises.
    """
    from kserve_storage import Storage

    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    os.environ[_IGNORED] = json.dumps([*_patterns(os.environ.get(_IGNORED, "")), *_OUTSIDE])
    Storage.download_files([uri], [str(destination)])


def _patterns(text: str) -> list[str]:
    """Patterns of file names as kserve-storage reads them: a list in JSON, or split by commas."""
    try:
        found = json.loads(text)
    except ValueError:
        return [pattern for pattern in text.split(",") if pattern.strip()]
    return [str(pattern) for pattern in (found if isinstance(found, list) else [found])]


def _guard(uri: str, destination: Path) -> None:
    """End this process, and drop what it has fetched, before it takes the last of a disk.

    An archive of a few kilobytes may hold terabytes, and the cluster's database may lie on the same
    disk. At least :data:`RESERVE` is left, or half of what there is where that is less.
    """
    reserve = min(RESERVE, shutil.disk_usage(destination.parent).free // 2)

    def watch() -> None:
        while shutil.disk_usage(destination.parent).free > reserve:
            time.sleep(_GUARD_SECONDS)
        shutil.rmtree(destination, ignore_errors=True)
        sys.stderr.write(
            f"{uri}: it would leave less than {reserve >> 20} MB on the disk of {destination}. "
            "Make room, or take a smaller model.\n"
        )
        sys.stderr.flush()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the initializer; 0 when the model is there."""
    parser = argparse.ArgumentParser(description="Bring a model to the folder of its server.")
    parser.add_argument("uri")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--claim", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--claims", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args(arguments)
    claims = {name: Path(path) for name, _, path in (c.partition("=") for c in options.claim)}
    try:
        uri = resolve(options.uri, claims, options.claims)
        options.folder.parent.mkdir(parents=True, exist_ok=True)
        _guard(options.uri, options.folder)
        fetch(uri, options.folder)
    except Exception as error:  # whatever a storage library raises is the reason of the failure
        shutil.rmtree(options.folder, ignore_errors=True)
        sys.stderr.write(f"{_sentence(error, options.uri)}\n")
        return 1
    return 0


def _sentence(error: Exception, uri: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if uri in text else f"{uri}: {text}"


if __name__ == "__main__":
    sys.exit(main())
