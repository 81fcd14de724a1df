"""KServe's two webhooks for InferenceServices, as the API server calls them.

:func:`mutate` runs before the schema is checked, :func:`validate` after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calumma import errors
from calumma.cluster.kserve import configuration, defaults, validation
from calumma.cluster.objects import Object

VALIDATOR = "inferenceservice.kserve-webhook-server.validator"


def mutate(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    operation: str,
    settings: configuration.Configuration,
) -> Object:
    """The object with KServe's defaults; deletions pass as they are."""
    if operation == "DELETE":
        return dict(new)
    return defaults.default(new, settings)


def validate(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    operation: str,
    settings: configuration.Configuration,
) -> None:
    """Raise AdmissionDenied with KServe's own text when the object is refused."""
    if operation == "DELETE":
        return
    objection = validation.problem(old, new)
    if objection is not None:
        raise errors.AdmissionDenied(VALIDATOR, objection)
