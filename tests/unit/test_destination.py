"""Which hosts are the cluster's, and how each is asked."""

from __future__ import annotations

import pytest

from calumma import destination
from calumma.cluster.programs import envoy

GATEWAY = "127.0.0.1:8080"


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("http://dumper.team.svc.cluster.local", "dumper.team.svc.cluster.local", ""),
        ("http://dumper.team.svc/a?b=c", "dumper.team.svc", "/a?b=c"),
        ("http://dumper.team:80/", "dumper.team", "/"),
        ("http://DUMPER.team/", "dumper.team", "/"),
        ("http://dumper", "dumper.default", ""),
    ],
)
def test_a_host_of_the_cluster_is_asked_at_the_gateway(url: str, host: str, path: str) -> None:
    first = destination.attempts(url, "default", GATEWAY)[0]
    assert first == destination.Attempt(f"http://{GATEWAY}{path}", host)


@pytest.mark.parametrize(
    "url",
    [
        "https://webhook.site/abc",
        "http://logs.example.com/in",
        "http://127.0.0.1:9000/in",
        "http://10.0.0.1/in",
        "http://[::1]:9000/",
        "http://localhost:9000/",
        "http://dumper.team:9000/",
        "nonsense",
        "",
    ],
)
def test_any_other_goes_out_unchanged(url: str) -> None:
    assert destination.attempts(url, "default", GATEWAY) == (destination.Attempt(url),)


def test_a_name_that_could_be_of_both_is_tried_in_the_cluster_first() -> None:
    inside, outside = destination.attempts("http://webhook.site/abc", "default", GATEWAY)
    assert inside == destination.Attempt(f"http://{GATEWAY}/abc", "webhook.site")
    assert outside == destination.Attempt("http://webhook.site/abc")


def test_names_below_localhost_are_this_machines() -> None:
    found = destination.attempts("http://dumper.team.localhost:8080/in", "default", GATEWAY)
    expected = destination.Attempt("http://127.0.0.1:8080/in", "dumper.team.localhost:8080")
    assert found == (expected,)


def test_without_a_gateway_everything_is_outside() -> None:
    url = "http://dumper.team.svc"
    assert destination.attempts(url, "default", None) == (destination.Attempt(url),)


def test_the_gateway_says_what_the_sidecar_listens_for() -> None:
    assert destination.UNKNOWN == envoy.UNKNOWN_HOST
