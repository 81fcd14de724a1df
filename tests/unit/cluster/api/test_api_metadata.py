"""Names, labels and ``metadata``, in the words of a real API server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma.cluster.api import metadata, names


@pytest.mark.parametrize("name", ["a", "a.b", "a-1.b-2", "1", "x" * 253])
def test_good_names(name: str) -> None:
    assert names.dns_subdomain(name) == []


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "a..b", "a b", "é", "a/b", "a\n"])
def test_bad_names(name: str) -> None:
    (sentence,) = names.dns_subdomain(name)
    assert sentence == (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' "
        "or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex "
        "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )


def test_long_names() -> None:
    assert names.dns_subdomain("x" * 254) == ["must be no more than 253 bytes"]
    assert names.dns_label("x" * 64) == ["must be no more than 63 bytes"]
    assert names.dns_label("a.b") == ["must not contain dots"]


@given(st.text(max_size=70))
def test_a_label_is_a_subdomain_without_dots(text: str) -> None:
    is_label = not names.dns_label(text)
    assert is_label == (not names.dns_subdomain(text) and "." not in text and len(text) <= 63)


@pytest.mark.parametrize(
    ("key", "fine"),
    [
        ("app", True),
        ("example.com/App_1", True),
        ("", False),
        ("/a", False),
        ("a/", False),
        ("a/b/c", False),
        ("Example.com/a", False),
        ("x" * 64, False),
        ("-a", False),
    ],
)
def test_label_keys(key: str, fine: bool) -> None:
    assert (names.qualified_name(key) == []) is fine


@pytest.mark.parametrize(
    ("value", "fine"), [("", True), ("a_B.1", True), ("a b", False), ("-", False)]
)
def test_label_values(value: str, fine: bool) -> None:
    assert (names.label_value(value) == []) is fine


@pytest.mark.parametrize(
    ("key", "fine"), [("a.b", True), ("..", False), ("..a", False), ("a/b", False)]
)
def test_config_keys(key: str, fine: bool) -> None:
    assert (names.config_key(key) == []) is fine


def judged(namespaced: bool = True, **meta: Any) -> list[str]:
    found = metadata.violations({"name": "a", **meta}, namespaced, names.dns_subdomain)
    return [str(cause) for cause in found]


def test_metadata_that_is_fine() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
    assert judged(labels={"a": "b"}, finalizers=["x.y/z"], ownerReferences=[owner]) == []


def test_metadata_that_is_wrong() -> None:
    owner = {"kind": "Pod", "name": "p", "uid": "", "controller": True, "apiVersion": "v1"}
    assert judged(False, namespace="n") == [
        "metadata.namespace: Forbidden: not allowed on this type"
    ]
    assert judged(name="") == ["metadata.name: Required value: name or generateName is required"]
    assert judged(ownerReferences=[owner]) == [
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty'
    ]
    both = judged(ownerReferences=[owner | {"uid": "u"}, owner | {"uid": "v", "name": "q"}])
    assert "Only one reference can have Controller set to true" in both[0]
    assert 'Found "true" in references for Pod/p and Pod/q' in both[0]
    assert "must be no more than 63 bytes" in judged(labels={"a": "x" * 64})[0]
    assert judged(annotations={"a": "x" * 300_000}) == [
        "metadata.annotations: Too long: may not be more than 262144 bytes"
    ]
    assert "cannot be both set" in judged(finalizers=["orphan", "foregroundDeletion"])[0]


def test_generated_names_are_judged_without_their_end() -> None:
    assert judged(generateName="a-") == []
    assert "metadata.generateName" in judged(generateName="A-")[0]


def test_updates_change_nothing_that_stays() -> None:
    old = {"name": "a", "uid": "u", "creationTimestamp": "t"}
    assert metadata.update_violations(old, old) == []
    found = [str(cause) for cause in metadata.update_violations({**old, "uid": "v"}, old)]
    assert found == ['metadata.uid: Invalid value: "v": field is immutable']
    ending = {**old, "deletionTimestamp": "t", "finalizers": ["a/b"]}
    more = {**ending, "finalizers": ["a/b", "c/d"]}
    (cause,) = metadata.update_violations(more, ending)
    assert str(cause) == (
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
        'deleted, found new finalizers []string{"c/d"}'
    )


def test_finalizers_without_a_domain_earn_a_warning() -> None:
    found = metadata.finalizer_warnings({"finalizers": ["mine", "a.b", "x/y", "orphan"]}, ["old"])
    assert len(found) == 2
    assert found[1].startswith('metadata.finalizers: "mine": prefer a domain-qualified')
    assert "including a path (/)" in found[0]


def test_a_new_object_begins_with_what_the_server_gives_it() -> None:
    obj = {"metadata": {"uid": "sent", "resourceVersion": "9", "deletionTimestamp": "t"}}
    metadata.begin(obj, "n", "a", "given", "2026-11-21T10:00:00Z")
    assert obj["metadata"] == {
        "namespace": "n",
        "name": "a",
        "uid": "given",
        "creationTimestamp": "2026-11-21T10:00:00Z",
    }


LABEL = "[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?"


@given(st.from_regex(rf"{LABEL}(\.{LABEL}){{0,3}}", fullmatch=True))
def test_names_of_the_grammar_are_taken(name: str) -> None:
    assert names.dns_subdomain(name) == []
