"""Logits to predictions, replies and metrics."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from kserve import InferRequest
from kserve.protocol.infer_type import RequestedOutput
from prometheus_client import REGISTRY

from calumma import errors
from calumma.serving import predictions

NAMES = ("cat", "dog", "owl")
LOGITS = np.array([[0.0, 2.0, 1.0], [5.0, 0.0, 0.0]], dtype=np.float32)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.just(3)),
        elements=st.floats(-1e4, 1e4, width=32),
    )
)
def test_probabilities_sum_to_one_however_large_the_logits(logits: Any) -> None:
    found = predictions.of(logits, NAMES)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (found.probabilities >= 0).all()
    np.testing.assert_array_equal(found.probability, found.probabilities.max(axis=1))
    assert found.labels == [NAMES[number] for number in found.classes]
    np.testing.assert_array_equal(
        np.take_along_axis(logits, found.classes[:, np.newaxis], 1)[:, 0], logits.max(axis=1)
    )


def test_the_softmax_is_the_textbooks() -> None:
    found = predictions.of(LOGITS, NAMES)
    exponentials = np.exp(LOGITS.astype(np.float64))
    np.testing.assert_allclose(
        found.probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=1e-6
    )


def test_half_precision_logits_do_not_overflow() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predictions.of(np.array([[60000, 0, -60000]], dtype=np.float16), NAMES)
    assert found.labels == ["cat"]


@pytest.mark.parametrize("logits", [np.zeros((1, 2)), np.array([[0.0, np.nan, 0.0]])])
def test_what_is_not_logits_of_these_classes_is_the_predictors_fault(logits: Any) -> None:
    with pytest.raises(errors.PredictorFailed) as failure:
        predictions.of(logits, NAMES)
    assert failure.value.status == 502


def test_the_v1_reply() -> None:
    reply = predictions.v1(predictions.of(LOGITS, NAMES))
    first, second = reply["predictions"]
    assert (first["label"], first["class"]) == ("dog", 1)
    assert (second["label"], second["class"]) == ("cat", 0)
    assert first["probability"] == first["probabilities"][1]
    assert sum(first["probabilities"]) == pytest.approx(1)


def test_the_v2_reply_has_the_outputs_asked_for() -> None:
    request = InferRequest("m", [], request_id="7", request_outputs=[RequestedOutput("class")])
    document, length = predictions.v2(predictions.of(LOGITS, NAMES), request).to_rest()
    assert length is None
    assert document["id"] == "7"
    assert document["outputs"] == [
        {
            "name": "class",
            "shape": [2],
            "datatype": "INT64",
            "data": [1, 0],
        }
    ]


def test_the_v2_reply_has_all_outputs_by_default() -> None:
    document, _ = predictions.v2(predictions.of(LOGITS, NAMES), InferRequest("m", [])).to_rest()
    shapes = {output["name"]: output["shape"] for output in document["outputs"]}
    assert shapes == {"label": [2], "class": [2], "probability": [2], "probabilities": [2, 3]}
    assert document["id"]


def test_predictions_are_counted_by_revision() -> None:
    meter = predictions.Meter("counted", NAMES)

    def counts(revision: str) -> list[float | None]:
        labels = {"model_name": "counted", "predictor_revision": revision}
        return [
            REGISTRY.get_sample_value("calumma_predictions_total", {**labels, "class": name})
            for name in NAMES
        ]

    assert counts("digits-predictor-00001") == [None, None, None]
    meter.count(predictions.of(LOGITS, NAMES), "digits-predictor-00001")
    meter.count(predictions.of(LOGITS[:1], NAMES), "digits-predictor-00002")
    assert counts("digits-predictor-00001") == [1, 1, 0]
    assert counts("digits-predictor-00002") == [0, 1, 0]
    labels = {"model_name": "counted", "predictor_revision": "digits-predictor-00001"}
    confidence = "calumma_prediction_confidence"
    assert REGISTRY.get_sample_value(f"{confidence}_count", labels) == 2
    assert REGISTRY.get_sample_value(f"{confidence}_bucket", {**labels, "le": "0.7"}) == 1
    assert REGISTRY.get_sample_value(f"{confidence}_bucket", {**labels, "le": "1.0"}) == 2
    labels["predictor_revision"] = "digits-predictor-00002"
    assert REGISTRY.get_sample_value(f"{confidence}_count", labels) == 1
