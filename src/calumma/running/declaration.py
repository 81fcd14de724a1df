"""What a notebook declares in its ``parameters`` cell, and which values it takes.

Secrets are not taken at all: whatever a notebook is given stands in the executed notebook, in the
report and in the record of the run, and these are made to be shown around.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill

from calumma import errors

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
}
_WORDS = {"true": True, "false": False}

_SECRET = re.compile(
    r"(^|_)(api_?key|access_?key|credentials?|passphrase|passw(or)?d|secrets?|tokens?)($|_)", re.I
)
_CREDENTIALS = re.compile(r"\w+://[^/\s@]*:[^/\s@]+@")


class Parameter(NamedTuple):
    """One line of a notebook's ``parameters`` cell: name, type, default as written, and help."""

    name: str
    type: str
    default: str
    help: str


def parameters(notebook: Path) -> dict[str, Parameter]:
    """What a notebook declares, in its order.

    Raises :class:`~calumma.errors.EvaluationError` for a file that is not a notebook.
    """
    try:
        found = papermill.inspect_notebook(str(notebook))
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        raise errors.EvaluationError(f"{notebook} cannot be read as a notebook: {error}") from error
    return {
        name: Parameter(name, entry["inferred_type_name"], entry["default"], entry["help"])
        for name, entry in found.items()
    }


def parse(notebook: Path, declared: Mapping[str, Parameter], name: str, text: str) -> Any:
    """The value that a person means by ``text``, of the type that the notebook declares.

    Raises :class:`~calumma.errors.ParameterRefused` for a name that is not declared, and for text
    that is no such value.
    """
    wanted = _declared(notebook, declared, name).type
    try:
        if wanted == "bool":
            return _WORDS[text.lower()]
        return {"int": int, "float": float}.get(wanted, str)(text)
    except (KeyError, ValueError):
        accepted = "true or false" if wanted == "bool" else f"a value of type {wanted}"
        raise errors.ParameterRefused(
            f"{notebook} takes {name} as {wanted}, and {text!r} is not {accepted}"
        ) from None


def check(notebook: Path, declared: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    """Raise :class:`~calumma.errors.ParameterRefused` for what the notebook should not be given."""
    for name, value in given.items():
        wanted = _declared(notebook, declared, name).type
        # The type itself: Python's bool is an int, which nobody means by `count: int`.
        if type(value) not in _TYPES.get(wanted, (type(value),)):
            raise errors.ParameterRefused(
                f"{notebook} takes {name} as {wanted}, not {value!r} ({type(value).__name__})"
            )
        if _SECRET.search(name) or (isinstance(value, str) and _CREDENTIALS.search(value)):
            raise errors.ParameterRefused(
                f"the parameter {name} of {notebook} looks like a secret, and parameters are kept "
                "where everybody can read them; let the notebook read it from the environment or "
                "from a file"
            )


def _declared(notebook: Path, declared: Mapping[str, Parameter], name: str) -> Parameter:
    if name not in declared:
        raise errors.ParameterRefused(
            f"{notebook} has no parameter {name}; it has {', '.join(declared) or 'none'}"
        )
    return declared[name]
