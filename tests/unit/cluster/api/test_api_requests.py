"""What a request names, wants and may: paths, queries, media types, tokens, hosts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.cluster.api import access, kinds, negotiation, options, routing
from calumma.cluster.api.access import Doorkeeper, User
from calumma.cluster.api.negotiation import Form

ISVC = "/apis/serving.kserve.io/v1beta1"


def target(method: str, path: str) -> tuple[str, ...] | None:
    found = routing.target(path, method, kinds.CATALOG)
    return found and (found.resource.plural, *found[1:])


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/pods", ("pods", "", "", "", "list")),
        ("GET", "/api/v1/namespaces", ("namespaces", "", "", "", "list")),
        ("GET", "/api/v1/namespaces/n", ("namespaces", "", "n", "", "get")),
        ("PUT", "/api/v1/namespaces/n/status", ("namespaces", "", "n", "status", "update")),
        ("GET", "/api/v1/namespaces/n/pods/", ("pods", "n", "", "", "list")),
        ("GET", "/api/v1/namespaces/n/pods/p/log", ("pods", "n", "p", "log", "get")),
        ("DELETE", "/api/v1/namespaces/n/secrets", ("secrets", "n", "", "", "deletecollection")),
        (
            "POST",
            f"{ISVC}/namespaces/n/inferenceservices",
            ("inferenceservices", "n", "", "", "create"),
        ),
        (
            "PATCH",
            f"{ISVC}/namespaces/n/inferenceservices/a/status",
            ("inferenceservices", "n", "a", "status", "patch"),
        ),
        ("GET", f"{ISVC}/inferenceservices", ("inferenceservices", "", "", "", "list")),
        ("POST", f"{ISVC}/inferenceservices", None),
        ("GET", f"{ISVC}/inferenceservices/a", None),
        ("GET", f"{ISVC}/namespaces/n/nosuch", None),
        ("GET", f"{ISVC}/namespaces/n/inferenceservices/a/status/more", None),
        ("GET", "/apis/nosuch/v1/things", None),
        ("GET", "/api/v1", None),
        ("GET", "/apis", None),
        ("GET", "/", None),
    ],
)
def test_targets(method: str, path: str, expected: tuple[str, ...] | None) -> None:
    assert target(method, path) == expected


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/nosuch", 404),
        ("GET", "/api/v1/pods/p", 404),
        ("GET", "/api/v1/namespaces/n/namespaces", 404),
        ("GET", "/api/v1/namespaces/n/configmaps/a/status", 404),
        ("POST", "/api/v1/pods", 405),
        ("POST", "/api/v1/namespaces/n/pods/p", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("DELETE", "/api/v1/namespaces/n/pods/p/log", 405),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405),
        ("GET", f"{ISVC}/namespaces/n/inferenceservices/a/scale", 404),
        ("DELETE", f"{ISVC}/namespaces/n/inferenceservices/a/status", 405),
        ("PUT", f"{ISVC}/namespaces/n/inferenceservices", 400),
        ("BREW", f"{ISVC}/namespaces/n/inferenceservices", 405),
    ],
)
def test_targets_that_are_refused(method: str, path: str, code: int) -> None:
    with pytest.raises(errors.Refused) as refusal:
        target(method, path)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form("application/json")),
        ("*/*", Form("application/json")),
        ("application/yaml", Form("application/yaml")),
        ("text/html, application/json;q=0.9", Form("application/json")),
        ("application/vnd.kubernetes.protobuf,application/json", Form("application/json")),
        (
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Form("application/json", "table"),
        ),
        (
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
            Form("application/json", "table", "v1beta1"),
        ),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Form("application/json")),
        (
            "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            Form("application/json", "metadata"),
        ),
    ],
)
def test_forms(accept: str, form: Form) -> None:
    assert negotiation.form(accept) == form


@pytest.mark.parametrize("accept", ["text/html", "application/json;as=Nosuch;v=v1;g=meta.k8s.io"])
def test_forms_that_do_not_exist(accept: str) -> None:
    with pytest.raises(errors.Refused) as refusal:
        negotiation.form(accept)
    assert refusal.value.code == 406


def causes(refusal: pytest.ExceptionInfo[errors.Refused]) -> list[str]:
    details = refusal.value.details or {}
    return [f"{cause['field']}: {cause['message']}" for cause in details["causes"]]


def test_how_to_write() -> None:
    found = options.write({"fieldManager": "me", "dryRun": "All"}, "CreateOptions", "agent/1 (x)")
    assert (found.manager, found.dry_run, found.validation, found.force) == (
        "me",
        True,
        "Warn",
        False,
    )
    assert options.write({}, "CreateOptions", "agent/1 (x)").manager == "agent"
    assert options.write({}, "CreateOptions", "").manager == "unknown"
    forced = {"fieldManager": "me", "force": "true"}
    assert options.write(forced, "PatchOptions", "", "apply").force


@pytest.mark.parametrize(
    ("query", "patch_type", "cause"),
    [
        ({"dryRun": "Some"}, "", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        (
            {"fieldValidation": "X"},
            "",
            'fieldValidation: Unsupported value: "X": '
            'supported values: "", "Ignore", "Strict", "Warn"',
        ),
        ({"force": "true"}, "", "force: Forbidden: may not be specified for non-apply patch"),
        ({}, "apply", "fieldManager: Required value: is required for apply patch"),
        ({"fieldManager": "x" * 129}, "", "fieldManager: Too long: may not be more than 128 bytes"),
    ],
)
def test_wrong_ways_to_write(query: dict[str, str], patch_type: str, cause: str) -> None:
    with pytest.raises(errors.Refused) as refusal:
        options.write(query, "PatchOptions", "", patch_type)
    assert refusal.value.code == 422
    assert causes(refusal) == [cause]


@pytest.mark.parametrize(
    ("query", "body", "policy"),
    [
        ({}, None, "Background"),
        ({"propagationPolicy": "Foreground"}, None, "Foreground"),
        ({"propagationPolicy": "Foreground"}, {"propagationPolicy": "Orphan"}, "Orphan"),
        ({"orphanDependents": "true"}, None, "Orphan"),
        ({}, {"orphanDependents": True}, "Orphan"),
    ],
)
def test_how_to_delete(query: dict[str, str], body: Any, policy: str) -> None:
    assert options.delete(query, body or {}).policy == policy


def test_wrong_ways_to_delete() -> None:
    for query in (
        {"propagationPolicy": "X"},
        {"propagationPolicy": "Orphan", "orphanDependents": "1"},
    ):
        with pytest.raises(errors.Refused) as refusal:
            options.delete(query, {})
        assert refusal.value.code == 422


@pytest.mark.parametrize(
    "query",
    [
        {"resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "Nosuch", "resourceVersion": "1"},
        {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
        {"resourceVersionMatch": "Exact", "watch": "true"},
        {"sendInitialEvents": "true"},
        {"sendInitialEvents": "true", "watch": "true"},
        {"sendInitialEvents": "true", "watch": "true", "resourceVersionMatch": "Exact"},
    ],
)
def test_wrong_ways_to_list(query: dict[str, str]) -> None:
    with pytest.raises(errors.Refused) as refusal:
        options.listing(query)
    assert refusal.value.code == 422


@pytest.mark.parametrize(
    "query", [{"limit": "many"}, {"watch": "perhaps"}, {"timeoutSeconds": "1s"}]
)
def test_unreadable_queries(query: dict[str, str]) -> None:
    with pytest.raises(errors.Refused) as refusal:
        options.listing(query)
    assert refusal.value.code == 400


@given(st.integers(1, 2**62), st.text(max_size=20))
def test_a_continue_token_survives_the_way_through_a_client(revision: int, start: str) -> None:
    assert options.continued(options.continue_token(revision, start)) == (revision, start)


@given(st.text(max_size=30))
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(errors.Refused) as refusal:
        options.continued(token)
    assert refusal.value.code == 400


DOORKEEPER = Doorkeeper({"good": User("me", ()), "other": User("node", ())})


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:6443", "[::1]:6443", "[::1]", "LOCALHOST:1"]
)
def test_hosts_that_are_this_machine(host: str) -> None:
    access.check_host([host])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "127.0.0.1.nip.io",
        "localhost.evil:1",
        "::1",
        "127.0.0.1:443/api/v1/secrets?",
        "127.0.0.1:",
        "127.0.0.1@evil.example",
        "localhost:٤٤٣",
    ],
)
def test_hosts_that_are_not(host: str) -> None:
    with pytest.raises(errors.Refused) as refusal:
        access.check_host([host])
    assert refusal.value.code == 403


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.example"], ["localhost", "localhost"]])
def test_a_request_has_one_host(hosts: list[str]) -> None:
    with pytest.raises(errors.Refused) as refusal:
        access.check_host(hosts)
    assert refusal.value.code == 400


def test_tokens() -> None:
    assert DOORKEEPER.user("Bearer good").name == "me"
    assert DOORKEEPER.user("bearer other").name == "node"
    for header in (
        "",
        "good",
        "Bearer",
        "Bearer ",
        "Bearer goo",
        "Bearer good2",
        "Basic good",
        "Bearer gööd",
    ):
        with pytest.raises(errors.Refused) as refusal:
            DOORKEEPER.user(header)
        assert refusal.value.code == 401


def test_who_may_write_what() -> None:
    person, node = User("me", ()), User("system:node:calumma", ())
    for row in kinds.CATALOG.rows:
        assert access.may(person, "get", row)
        assert access.may(person, "update", row) is (not row.writer)
        assert access.may(node, "update", row)
    written = {str(row.name) for row in kinds.CATALOG.rows if row.writer}
    knative = {
        f"{plural}.serving.knative.dev"
        for plural in ("services", "revisions", "routes", "configurations")
    }
    assert written == {"pods", "services", "deployments.apps", "replicasets.apps"} | knative
