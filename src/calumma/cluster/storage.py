"""The storage initializer: brings a model to the folder that its server reads.

``python -m calumma.cluster.storage URI FOLDER`` runs once before a pod's containers, as KServe's
init container does, and uses KServe's own ``kserve-storage`` for every scheme (``file``, ``s3``,
``https``, ``hf``, ``gs``, ...), with the same environment variables for credentials.
``pvc://claim/path`` is a folder of this machine: ``--claim NAME=FOLDER`` says which, else it is
the folder of that name below ``--claims``; a path cannot lead out of its claim.

Its exit code and last line tell the node what went wrong.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from calumma import errors

PVC = "pvc://"


def resolve(uri: str, claims: Mapping[str, Path], folder: Path) -> str:
    """The URI that kserve-storage understands: a claim's path becomes a local one.

    ``claims`` are the mapped claims, ``folder`` holds the others. Raises ConfigurationError when
    the claim or the path is not there or leads elsewhere.
    """
    if not uri.startswith(PVC):
        return uri
    parts = urlsplit(uri)
    claim, path = parts.netloc, unquote(parts.path).strip("/")
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
    return str(target)


def nearest(path: Path) -> Path:
    """The closest folder above a path that exists."""
    return next(parent for parent in path.parents if parent.is_dir())


def fetch(uri: str, destination: Path) -> None:
    """Bring what a URI names into an empty folder; local entries are linked, others downloaded."""
    from kserve_storage import Storage

    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    Storage.download_files([uri], [str(destination)])


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
        fetch(resolve(options.uri, claims, options.claims), options.folder)
    except Exception as error:  # whatever a storage library raises is the reason of the failure
        sys.stderr.write(f"{_sentence(error, options.uri)}\n")
        return 1
    return 0


def _sentence(error: Exception, uri: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if uri in text else f"{uri}: {text}"


if __name__ == "__main__":
    sys.exit(main())
