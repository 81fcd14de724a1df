"""Logged events become predictions: in any order, with the revision, and never from junk."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calumma import errors
from calumma.feedback import exchange, pseudonym
from calumma.inference import classification

POD = "digits-predictor-00002-deployment-6d5f9c7b8-x2x4z"
PICTURES = [b"one", b"two"]


KEY = b"sixteen bytes..."


def headers(kind: str, component: str = "transformer", **more: str) -> dict[str, str]:
    metadata = json.dumps({"X-Request-Id": ["r1"], "X-User": ["ann"]})
    return {
        "ce-id": "e1",
        "ce-type": f"org.kubeflow.serving.inference.{kind}",
        "ce-time": "2026-11-21T10:00:00.5Z" if kind == "response" else "2026-11-21T10:00:00.25Z",
        "ce-inferenceservicename": "digits",
        "ce-namespace": "default",
        "ce-component": component,
        "ce-source": POD if component == "predictor" else POD.replace("predictor", "transformer"),
        "ce-metadata": metadata,
        **more,
    }


def answer(*labels: str) -> bytes:
    rows = [
        {"label": x, "class": 0, "probability": 0.6, "probabilities": [0.6, 0.4]} for x in labels
    ]
    return json.dumps({"predictions": rows}).encode()


def events(*labels: str) -> list[exchange.Event]:
    """The three events of one exchange through a transformer."""
    asked = classification.encode(PICTURES[: len(labels)])
    return [
        exchange.parse(headers("request"), asked),
        exchange.parse(headers("response", "predictor", **{"ce-id": "e2"}), b"\x00 tensors"),
        exchange.parse(headers("response"), answer(*labels)),
    ]


def exchanges(**more: Any) -> exchange.Exchanges:
    return exchange.Exchanges(exchange.Choice(1.0, 0.7), **more)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_an_exchange_is_complete_in_any_order(order: tuple[int, ...]) -> None:
    waiting = exchanges(users=exchange.Users("X-User", KEY))
    found = events("7", "3")
    made = [each for number in order for each in waiting.take(found[number], 0.0)]
    made += waiting.settle(0.5)
    assert [each.image for each in made] == PICTURES
    first, second = (each.prediction for each in made)
    assert (first.id, second.id) == ("e1.0", "e1.1")
    assert (first.label, second.label) == ("7", "3")
    assert first.revision == "digits-predictor-00002"
    assert (first.service, first.namespace) == ("digits", "default")
    assert first.user == second.user == pseudonym.of("ann", KEY)
    assert first.sources == ("random", "low-confidence")
    assert first.seconds == pytest.approx(0.25)
    assert waiting.settle(1000, all=True) == []


def test_a_revision_that_nobody_names_stays_unknown() -> None:
    waiting = exchanges()
    request, _, response = events("7")
    assert waiting.take(request, 0.0) == waiting.take(response, 0.0) == []
    assert waiting.settle(9.0) == []
    (made,) = waiting.settle(11.0)
    assert (made.prediction.id, made.prediction.revision) == ("e1", None)


def test_a_predictor_that_classifies_names_itself() -> None:
    waiting = exchanges()
    asked = classification.encode([b"one"])
    kinds = (("request", asked), ("response", answer("7")))
    found = [exchange.parse(headers(kind, "predictor"), body) for kind, body in kinds]
    assert waiting.take(found[0], 0.0) == []
    (made,) = waiting.take(found[1], 0.0)
    assert made.prediction.revision == "digits-predictor-00002"


def test_a_request_without_an_answer_is_dropped_and_counted() -> None:
    waiting = exchanges()
    waiting.take(events("7")[0], 0.0)
    assert waiting.settle(11.0) == []
    assert waiting.dropped == 1


def test_what_waits_is_bounded() -> None:
    waiting = exchanges(most=5)
    for number in range(20):
        event = exchange.parse(
            headers("request", **{"ce-id": str(number)}), classification.encode([b"one"])
        )
        waiting.take(event, 0.0)
    assert waiting.dropped >= 15
    assert len(waiting._waiting) <= 6


@pytest.mark.parametrize(
    ("pod", "named"),
    [
        (POD, "digits-predictor-00002"),
        ("digits-predictor-7c9d5b6f4d-abcde", "digits-predictor"),
        ("digits-v2-predictor-7c9d5b6f4d-abcde", "digits-v2-predictor"),
        ("http://localhost:9081/", None),
        ("", None),
    ],
)
def test_a_pods_name_names_its_revision(pod: str, named: str | None) -> None:
    assert exchange.revision(pod) == named


@pytest.mark.parametrize(
    ("given_headers", "body", "said"),
    [
        (headers("request", **{"ce-type": "spam"}), b"", "the event's type is 'spam'"),
        (headers("request", **{"ce-id": ""}), b"", "ce-id is missing"),
        (headers("request", **{"ce-id": "x" * 600}), b"", "longer than 512"),
        (headers("request", **{"ce-time": "noon"}), b"", "ce-time is 'noon'"),
        (headers("request", **{"ce-id": "\udcff"}), b"", "or no text"),
        (headers("response"), answer("7").replace(b'"7"', b'"\\ud800"'), "are not labels with"),
        (headers("request"), b"{", "no request of the V1 protocol"),
        (headers("request"), b'{"instances": [{"image": {"b64": "%"}}]}', "no request of the V1"),
        (headers("response"), b'{"predictions": []}', "are not labels with"),
        (headers("response"), answer("7").replace(b"0.4", b"NaN"), "are not labels with"),
        (headers("response"), b"[" * 100_000, "no answer of the V1"),
        (
            headers("response", "predictor", **{"ce-metadata": "{}"}),
            b"tensors",
            r"metadataHeaders: \[X-Request-Id\]",
        ),
    ],
)
def test_junk_is_refused_with_a_sentence(
    given_headers: dict[str, str], body: bytes, said: str
) -> None:
    waiting = exchanges()
    with pytest.raises(errors.FeedbackError, match=said):
        waiting.take(exchange.parse(given_headers, body), 0.0)
    assert waiting.settle(0.0, all=True) == []


@given(st.binary(max_size=200), st.sampled_from(["request", "response"]), st.text(max_size=50))
@settings(max_examples=200, deadline=None)
def test_no_body_is_more_than_refused(body: bytes, kind: str, metadata: str) -> None:
    with pytest.raises(errors.FeedbackError):
        exchanges().take(exchange.parse(headers(kind, **{"ce-metadata": metadata}), body), 0.0)


def test_the_random_draw_is_of_the_share_that_was_asked() -> None:
    choice = exchange.Choice(0.1, 0.0)
    drawn = sum(bool(choice.sources(f"id-{n}", 0.5)) for n in range(20_000))
    assert 1870 < drawn < 2130  # three standard deviations
    assert choice.sources("id-1", 0.5) == choice.sources("id-1", 0.9)


def test_a_picture_is_read_as_it_was_sent() -> None:
    body = json.dumps({"instances": [{"image": {"b64": base64.b64encode(b"x").decode()}}]})
    waiting = exchanges()
    waiting.take(exchange.parse(headers("request", "predictor"), body.encode()), 0.0)
    (made,) = waiting.take(exchange.parse(headers("response", "predictor"), answer("7")), 0.0)
    assert made.image == b"x"
