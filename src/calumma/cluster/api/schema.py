"""The schemas of the kinds, as the API server holds them: shared, and derived only once.

:func:`ensure` makes sure that the derived definitions lie in the user's cache, keyed by the
versions of kserve and kubernetes and by our own code, and derives them in a short-lived process
where they do not. :func:`load` reads them; equal parts of the schemas are one object in memory.
:mod:`.structure` prunes and defaults by them, :mod:`.validation` judges by them,
:mod:`.typed` merges by them and :mod:`.openapi` publishes them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from calumma import errors

Node = Mapping[str, Any]
"""One schema, in the vocabulary of OpenAPI v3 with Kubernetes' extensions."""

OPEN: Final[Node] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""The schema of kinds whose fields are not looked at."""

MODEL: Final = "x-calumma-model"
"""In a resolved definition: the name of the model that it comes from."""

_DERIVATION = "calumma.cluster.api.derivation"
_SOURCES = ("derivation.py", "constraints.py")


class Schemas(NamedTuple):
    """Every definition, by the name of the model that it comes from."""

    digest: str
    """Changes whenever a definition may have changed."""
    published: Mapping[str, Node]
    """As derived: with descriptions, and ``$ref`` between definitions."""
    resolved: Mapping[str, Node]
    """For walking: no descriptions, and each reference replaced by what it refers to."""

    def of(self, name: str) -> Node:
        """The resolved definition of that name; the open schema where the name is empty."""
        return self.resolved[name] if name else OPEN


def ensure(environment: Mapping[str, str] = os.environ) -> Path:
    """The file with the derived definitions, made first where it does not exist yet.

    Raises:
        errors.ConfigurationError: the definitions cannot be derived or written.
    """
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "calumma"
    target = cache / f"schema-{_digest()}.json"
    if target.exists():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.ConfigurationError(
            f"The cache folder {cache} cannot be made: {error.strerror}. "
            "Set XDG_CACHE_HOME to a folder that can be written."
        ) from error
    command = [sys.executable, "-m", _DERIVATION, str(target)]
    _, code = os.waitpid(os.posix_spawn(sys.executable, command, environment), 0)
    if code or not target.exists():
        raise errors.ConfigurationError(
            f"The schemas could not be derived from the installed kserve: `python -m {_DERIVATION} "
            f"{target}` failed with status {os.waitstatus_to_exitcode(code)}."
        )
    return target


def _digest() -> str:
    """What the definitions depend on, in short."""
    digest = hashlib.sha256()
    for package in ("kserve", "kubernetes"):
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    for source in _SOURCES:
        digest.update(Path(__file__).with_name(source).read_bytes())
    return digest.hexdigest()[:24]


def load(path: Path) -> Schemas:
    """Read derived definitions.

    Raises:
        errors.ConfigurationError: the file cannot be read or is not whole.
    """
    try:
        published = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise errors.ConfigurationError(
            f"The schema cache {path} cannot be used ({error}). Delete it; it is made again."
        ) from error
    resolved: dict[str, dict[str, Any]] = {name: {} for name in published}
    for name, definition in published.items():
        resolved[name].update(_resolve(definition, resolved), **{MODEL: name})
    return Schemas(path.stem.removeprefix("schema-"), published, resolved)


def _resolve(node: Node, resolved: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A schema without descriptions whose references are the very definitions they name."""
    if "$ref" in node:
        return resolved[node["$ref"]]
    if "allOf" in node:
        return resolved[node["allOf"][0]["$ref"]]
    result = {key: value for key, value in node.items() if key != "description"}
    if "properties" in node:
        fields = node["properties"]
        result["properties"] = {name: _resolve(field, resolved) for name, field in fields.items()}
    for inner in ("items", "additionalProperties"):
        if inner in node:
            result[inner] = _resolve(node[inner], resolved)
    return result
