"""Documents that people write: YAML read once, checked whole, and never half understood.

A document is a pydantic model. What it does not declare is refused, as are values of another type
(a quoted number is no number), and every mistake is named by its place, by what was found, and by
what would be accepted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from calumma import errors


class Part(pydantic.BaseModel):
    """A mapping in a document; unknown keys are refused and nothing changes afterwards."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


Content = TypeVar("Content", bound=Part)


def read(path: Path | str, model: type[Content]) -> Content:
    """The checked content of a YAML file.

    Raises :class:`~calumma.errors.DocumentInvalid` with one sentence for each mistake.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise errors.DocumentInvalid(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise errors.DocumentInvalid(f"{path} is not YAML: {error}") from error
    return parse(text, model, str(path))


def parse(text: str, model: type[Content], name: str) -> Content:
    """The checked content of YAML (JSON is YAML, too) that is called ``name``.

    Raises :class:`~calumma.errors.DocumentInvalid` with one sentence for each mistake.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise errors.DocumentInvalid(f"{name} is not YAML: {error}") from error
    return check(content, model, name)


def check(content: Any, model: type[Content], name: str) -> Content:
    """The checked content of a document called ``name``; raises DocumentInvalid."""
    if not isinstance(content, dict):
        kind = "empty" if content is None else f"a {type(content).__name__}"
        keys = ", ".join(model.model_fields)
        raise errors.DocumentInvalid(f"{name} is {kind}; expected a mapping with {keys}")
    try:
        # As JSON, where pydantic knows that a list may be meant as a tuple.
        return model.model_validate_json(json.dumps(content, default=str))
    except pydantic.ValidationError as error:
        found = "; ".join(_sentence(each, model) for each in error.errors())
        raise errors.DocumentInvalid(f"{name}: {found}") from error


def _sentence(mistake: Any, model: type[pydantic.BaseModel]) -> str:
    place = ".".join(map(str, mistake["loc"])) or "the document"
    if mistake["type"] == "extra_forbidden":
        return f"{place} is not known here; accepted are {_siblings(mistake['loc'], model)}"
    if mistake["type"] == "missing":
        return f"{place} is missing"
    message = mistake["msg"][0].lower() + mistake["msg"][1:]
    return f"{place} is {mistake['input']!r}: {message.removeprefix('value error, ')}"


def _siblings(place: tuple[str | int, ...], model: type[pydantic.BaseModel]) -> str:
    """The keys that would have been known where one was not."""
    known: Any = model
    for step in place[:-1]:
        if isinstance(step, str) and step in getattr(known, "model_fields", {}):
            known = _model_in(known.model_fields[step].annotation)
    return ", ".join(getattr(known, "model_fields", {})) or "no others"


def _model_in(annotation: Any) -> Any:
    """The model that a field holds: itself, optional, or in a list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
