"""Label and field selectors, against their meaning and against a real server's refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.cluster.api import selectors

NAMES = st.text("abcXYZ019", min_size=1, max_size=6)
LABELS = st.dictionaries(NAMES, NAMES | st.just(""), max_size=4)


def labelled(labels: dict[str, str]) -> dict[str, object]:
    return {"metadata": {"labels": labels}}


@given(LABELS, NAMES, st.lists(NAMES, min_size=1, max_size=3))
def test_set_operators_mean_membership(labels: dict[str, str], key: str, values: list[str]) -> None:
    listed = ",".join(values)
    chosen = selectors.by_labels(f"{key} in ({listed})")(labelled(labels))
    assert chosen == (labels.get(key) in values)
    assert selectors.by_labels(f"{key} notin ({listed})")(labelled(labels)) == (not chosen)


@given(LABELS, NAMES, NAMES)
def test_equality_and_existence(labels: dict[str, str], key: str, value: str) -> None:
    obj = labelled(labels)
    for text in (f"{key}={value}", f"{key}=={value}", f" {key} = {value} "):
        assert selectors.by_labels(text)(obj) == (labels.get(key) == value)
    assert selectors.by_labels(f"{key}!={value}")(obj) == (labels.get(key) != value)
    assert selectors.by_labels(key)(obj) == (key in labels)
    assert selectors.by_labels(f"!{key}")(obj) == (key not in labels)


@given(LABELS, st.lists(st.tuples(NAMES, NAMES), max_size=3))
def test_terms_are_joined_by_and(labels: dict[str, str], terms: list[tuple[str, str]]) -> None:
    text = ",".join(f"{key}={value}" for key, value in terms)
    expected = all(labels.get(key) == value for key, value in terms)
    assert selectors.by_labels(text)(labelled(labels)) == expected


def test_numbers_are_compared() -> None:
    small, large = labelled({"n": "3"}), labelled({"n": "30"})
    assert selectors.by_labels("n<10")(small)
    assert not selectors.by_labels("n<10")(large)
    assert selectors.by_labels("n>10")(large)
    assert not selectors.by_labels("n>10")(labelled({}))
    assert not selectors.by_labels("n>10")(labelled({"n": "many"}))


def test_an_object_without_labels_has_none() -> None:
    assert selectors.by_labels("!a")({"metadata": {}})
    assert not selectors.by_labels("a")({"metadata": {"labels": None}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a>b", "the value must be an integer"),
        ("a=-", "a valid label must be an empty string or consist of alphanumeric"),
        ("a/b/c=d", "a valid label key"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(errors.Refused) as refusal:
        selectors.by_labels(text)
    assert refusal.value.code == 400
    assert message in str(refusal.value)


PATHS = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "status.phase": ("status", "phase"),
}


def test_fields() -> None:
    obj = {"metadata": {"name": "a", "namespace": "n"}, "status": {"phase": "Running"}}
    for text, expected in (
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name==a,status.phase=Running", True),
        ("metadata.name!=a", False),
        ("status.phase=Pending", False),
        ("metadata.name=a,status.phase!=Running", False),
    ):
        assert selectors.by_fields(text, PATHS, custom=False)(obj) is expected
    assert selectors.by_fields("status.phase=", PATHS, custom=False)({"metadata": {}})


def test_fields_with_escaped_characters() -> None:
    obj = {"metadata": {"name": "a,b=c"}}
    assert selectors.by_fields(r"metadata.name=a\,b\=c", PATHS, custom=False)(obj)


@pytest.mark.parametrize(
    ("text", "custom", "message"),
    [
        ("spec.x=1", True, "field label not supported: spec.x"),
        ("spec.x=1", False, "field label not supported: spec.x"),
        ("name", False, "invalid selector: 'name'; can't understand 'name'"),
    ],
)
def test_field_refusals(text: str, custom: bool, message: str) -> None:
    with pytest.raises(errors.Refused, match=message.replace("'", ".")):
        selectors.by_fields(text, PATHS, custom)


@given(st.text("ab=!<>(),. in\\\"'-é", max_size=12))
def test_any_text_is_a_selector_or_is_refused(text: str) -> None:
    try:
        selectors.by_labels(text)({"metadata": {"labels": {"a": "b"}}})
    except errors.Refused as refusal:
        assert refusal.code == 400
    try:
        selectors.by_fields(text, PATHS, custom=True)({"metadata": {"name": "a"}})
    except errors.Refused as refusal:
        assert refusal.code == 400
