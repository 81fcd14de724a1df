"""What a rollout may ask of the gateway, and how what it may not is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.rollout import routing


def test_what_is_written_is_what_is_read() -> None:
    mirror = routing.Mirror(percent=50, revisions=("digits-predictor-00002",))
    asked = routing.Routing(mirror=mirror, assignment=routing.Assignment(header="x-user"))
    assert asked.text() == (
        '{"mirror":{"percent":50,"revisions":["digits-predictor-00002"]},'
        '"assignment":{"header":"x-user"}}'
    )
    assert routing.read(asked.text()) == asked
    assert routing.read("{}") == routing.Routing()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "routing.json is not JSON"),
        ("[]", "routing.json is a list; expected a mapping with mirror, assignment"),
        ('{"mirrors": {}}', "mirrors is not known here; accepted are mirror, assignment"),
        ('{"mirror": {"percent": 50}}', "mirror.revisions is missing"),
        (
            '{"mirror": {"percent": 101, "revisions": ["a"]}}',
            "mirror.percent is 101: input should be less than or equal to 100",
        ),
        ('{"mirror": {"percent": 50, "revisions": ["a/b"]}}', "mirror.revisions.0 is 'a/b'"),
        ('{"mirror": {"percent": 50, "revisions": []}}', "mirror.revisions is []"),
        ('{"assignment": {}}', "an assignment needs either header or cookie"),
        (
            '{"assignment": {"header": "a", "cookie": "b"}}',
            "an assignment needs either header or cookie",
        ),
        ('{"assignment": {"header": ":path"}}', "assignment.header is ':path'"),
        ('{"assignment": {"header": "x)%"}}', "assignment.header is 'x)%'"),
        ('{"assignment": {"header": "X-Calumma-User"}}', "begin with x-calumma- are the gateway's"),
        ('{"assignment": {"cookie": "a;b"}}', "assignment.cookie is 'a;b'"),
    ],
)
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(errors.DocumentInvalid) as caught:
        routing.read(text)
    assert sentence in str(caught.value)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_PARTS = st.dictionaries(
    st.sampled_from(["mirror", "assignment"]),
    st.dictionaries(
        st.sampled_from(["percent", "revisions", "header", "cookie"]),
        _ANYTHING | st.integers() | st.lists(st.text()),
    ),
)


@given(st.text() | _ANYTHING.map(json.dumps) | _PARTS.map(json.dumps))
def test_whatever_stands_there_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(errors.DocumentInvalid):
        routing.read(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"mirror": "\\ud800"}', '{"\\ud800": 1}'])
def test_so_is_what_is_made_to_break(text: str) -> None:
    with pytest.raises(errors.DocumentInvalid) as caught:
        routing.read(text)
    assert str(caught.value).encode()
