"""What a policy may not declare, and the sentence that says so."""

from __future__ import annotations

from typing import Any

import pytest

from calumma import errors
from support.rollouts import policy

PLANNED = {"name": "errors", "kind": "errors", "margin": 0.05, "planned": 1000}
AGREEMENT = {"name": "agreement", "kind": "agreement", "at_least": 0.9}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"steps": [{"weight": 50}, {"weight": 10}]}, "they must grow"),
        ({"steps": [{"weight": 10, "seconds": 90, "timeout": 60}]}, "its timeout is 60 s"),
        ({"steps": [{"weight": 10, "seconds": 1000}]}, "the deadline is 1000 s"),
        ({"steps": [{"weight": 0}]}, "neither pairs nor a mirror"),
        ({"steps": [{"weight": 0, "requests": 1}, {"weight": 5}]}, "neither pairs nor a mirror"),
        ({"steps": [{"weight": 10, "proves": False}]}, "the last step's proves is false"),
        ({"strategy": "blue-green"}, "blue-green has one step, of weight 0"),
        ({"strategy": "ab"}, "the metric errors has no planned number"),
        (
            {
                "strategy": "ab",
                "metrics": [PLANNED, AGREEMENT],
                "sources": {"pairs": {"dataset": "digits"}},
            },
            "the metric agreement has no planned number",
        ),
        ({"metrics": [AGREEMENT]}, "sources.pairs is missing"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(errors.DocumentInvalid, match=sentence):
        policy(**given)


def test_what_can_be_carried_out_is_read() -> None:
    assert policy(strategy="ab", metrics=[PLANNED]).strategy == "ab"
    assert policy(strategy="rolling", steps=[{"weight": 10, "proves": False}]).steps
    silent = [{"weight": 0, "seconds": 10}, {"weight": 10}]
    assert policy(steps=silent).proves(1)
    assert not policy(steps=silent).proves(0)
    assert not policy(strategy="rolling").proves(1)
