"""From logits to labelled predictions, in the replies of both protocols, and counted.

V1 replies are ``{"predictions": [{"label", "class", "probability", "probabilities"}]}``: the name
of the most probable class, its number, its probability and those of all classes. V2 replies hold
the same four as tensors. The metrics are what a business dashboard shows: which classes are
predicted, and how sure the model is.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse
from numpy.typing import NDArray
from prometheus_client import Counter, Histogram

from calumma import errors

PREDICTIONS = Counter(
    "calumma_predictions",
    "Predictions made, by predicted class and by the predictor's revision that made them.",
    ["model_name", "class", "predictor_revision"],
)
CONFIDENCE = Histogram(
    "calumma_prediction_confidence",
    "Probability of the predicted class, by the predictor's revision that gave it.",
    ["model_name", "predictor_revision"],
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
)


class Predictions(NamedTuple):
    """The predictions of a batch: ``probabilities`` [batch, classes], the others [batch]."""

    labels: list[str]
    classes: NDArray[np.int64]
    probability: NDArray[np.float32]
    probabilities: NDArray[np.float32]


def of(logits: NDArray[Any], names: Sequence[str]) -> Predictions:
    """Softmax of the logits, and the most probable of the classes called ``names``.

    Raises :class:`~calumma.errors.PredictorFailed` where the logits are of other classes or not
    numbers.
    """
    if logits.shape[1] != len(names):
        raise errors.PredictorFailed(
            f"The predictor gave {logits.shape[1]} logits an image; this transformer knows "
            f"{len(names)} classes.",
            502,
        )
    if not np.isfinite(logits).all():
        raise errors.PredictorFailed("The predictor gave logits that are not numbers.", 502)
    # The largest logit is subtracted so that exp cannot overflow.
    exponentials = np.exp(logits.astype(np.float32) - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    classes = logits.argmax(axis=1)
    return Predictions(
        [names[number] for number in classes],
        classes.astype(np.int64),
        probabilities[np.arange(len(classes)), classes],
        probabilities,
    )


def v1(predictions: Predictions) -> dict[str, Any]:
    """The V1 reply."""
    return {
        "predictions": [
            {"label": label, "class": number, "probability": one, "probabilities": each}
            for label, number, one, each in zip(
                predictions.labels,
                predictions.classes.tolist(),
                predictions.probability.tolist(),
                predictions.probabilities.tolist(),
                strict=True,
            )
        ]
    }


def v2(predictions: Predictions, request: InferRequest) -> InferResponse:
    """The V2 reply, with the outputs and in the form that ``request`` asks for."""
    tensors = {
        "label": ("BYTES", np.array(predictions.labels, dtype=np.object_)),
        "class": ("INT64", predictions.classes),
        "probability": ("FP32", predictions.probability),
        "probabilities": ("FP32", predictions.probabilities),
    }
    outputs = []
    for name, (datatype, array) in tensors.items():
        output = InferOutput(name, list(array.shape), datatype)
        output.set_data_from_numpy(array)
        outputs.append(output)
    return InferResponse(
        request.id or str(uuid.uuid4()),
        request.model_name,
        outputs,
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )


class Meter:
    """The metrics of one model; every class of a revision that answers is there, at zero."""

    def __init__(self, model: str, names: Sequence[str]) -> None:
        self._model = model
        self._names = names
        self._counters: dict[str, list[Counter]] = {}
        self._confidences: dict[str, Histogram] = {}

    def count(self, predictions: Predictions, revision: str) -> None:
        """Count each prediction of a batch; ``revision`` is empty where the gateway names none."""
        counters = self._counters.get(revision)
        if counters is None:
            counters = [PREDICTIONS.labels(self._model, name, revision) for name in self._names]
            self._counters[revision] = counters
            self._confidences[revision] = CONFIDENCE.labels(self._model, revision)
        confidence = self._confidences[revision]
        for number, probability in zip(
            predictions.classes.tolist(), predictions.probability.tolist(), strict=True
        ):
            counters[number].inc()
            confidence.observe(probability)
