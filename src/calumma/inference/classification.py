"""The V1 protocol as image classifiers speak it: images in, labels with probabilities out.

``{"instances": [{"image": {"b64": "..."}}]}`` is the form that KServe's own image samples and
TensorFlow Serving take; the answer's ``predictions`` hold one object for each instance.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calumma import errors


@dataclass(frozen=True)
class Prediction:
    """What a classifier said about one image.

    ``index`` is the class's position (``class`` on the wire), ``probability`` that of the label,
    and ``probabilities`` those of all classes in their order.
    """

    label: str
    index: int
    probability: float
    probabilities: tuple[float, ...]


def encode(images: Sequence[bytes]) -> bytes:
    """The request body for these encoded images (PNG, JPEG, ...)."""
    instances = [{"image": {"b64": base64.b64encode(image).decode()}} for image in images]
    return json.dumps({"instances": instances}).encode()


def decode(body: bytes, expected: int) -> tuple[Prediction, ...]:
    """The predictions of an answer to ``expected`` images.

    Raises :class:`~calumma.errors.InferenceError` when the answer has another form or number.
    """
    try:
        rows = json.loads(body)["predictions"]
        predictions = tuple(_prediction(row) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise errors.InferenceError(
            f"the answer is not a list of classifications but {_short(body)}; each of its "
            "`predictions` must have label, class, probability and probabilities"
        ) from error
    if len(predictions) != expected:
        raise errors.InferenceError(
            f"the answer has {len(predictions)} predictions for {expected} images"
        )
    return predictions


def _prediction(row: Any) -> Prediction:
    return Prediction(
        label=str(row["label"]),
        index=int(row["class"]),
        probability=float(row["probability"]),
        probabilities=tuple(float(value) for value in row["probabilities"]),
    )


def _short(body: bytes, limit: int = 120) -> str:
    text = body.decode(errors="replace")
    return repr(text if len(text) <= limit else text[:limit] + "...")
