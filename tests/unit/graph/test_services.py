"""Where a step's URL leads, and which headers go with it."""

from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from calumma.graph import services

PATH = "/v1/models/digits:predict"


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        (
            f"http://digits.default.svc.cluster.local{PATH}",
            f"http://10.0.0.1:8080{PATH}",
            "digits.default.svc.cluster.local",
        ),
        (f"http://digits.other.svc:80{PATH}", f"http://10.0.0.1:8080{PATH}", "digits.other.svc"),
        (f"https://digits.default.svc{PATH}", f"http://10.0.0.1:8080{PATH}", "digits.default.svc"),
        (f"http://digits.default{PATH}?a=1", f"http://10.0.0.1:8080{PATH}?a=1", "digits.default"),
        (f"http://digits{PATH}", f"http://10.0.0.1:8080{PATH}", "digits.default"),
        ("http://digits", "http://10.0.0.1:8080/", "digits.default"),
        (
            f"http://digits.default.localhost:9000{PATH}",
            f"http://127.0.0.1:9000{PATH}",
            "digits.default.localhost:9000",
        ),
        ("http://example.com/a", "http://example.com/a", ""),
        ("https://models.example.com/a", "https://models.example.com/a", ""),
        ("http://localhost:9000/a", "http://localhost:9000/a", ""),
        ("http://127.0.0.1:9000/a", "http://127.0.0.1:9000/a", ""),
        ("http://[::1]:9000/a", "http://[::1]:9000/a", ""),
    ],
)
async def test_names_of_the_cluster_lead_to_the_gateway(url: str, target: str, host: str) -> None:
    async with aiohttp.ClientSession() as session:
        found = services.Services(session, "10.0.0.1:8080", "default", None)
        assert found.target(url) == (URL(target), host)


def passed(patterns: list[str], **headers: str) -> dict[str, str]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return dict(services.Propagation(patterns).of(raw))


def test_nothing_goes_on_without_a_pattern() -> None:
    found = passed([], authorization="secret", content_type="text/csv")
    assert found == {"Content-Type": "application/json"}


def test_patterns_find_names_as_go_writes_them() -> None:
    headers = {"x_tenant_id": "a", "x_other": "b", "authorization": "secret", "content_type": "c"}
    assert passed(["^X-Tenant", "Authorization"], **headers) == {
        "X-Tenant-Id": "a",
        "Authorization": "secret",
        "Content-Type": "application/json",
    }
    assert passed(["x-tenant"], **headers) == {"Content-Type": "application/json"}
    assert passed(["(?i)x-tenant", "Content-Type"], **headers)["Content-Type"] == "c"


def test_headers_of_the_connection_never_go_on() -> None:
    headers = {"host": "a", "content_length": "1", "connection": "close", "x_a": "1"}
    assert passed([".*"], **headers) == {"X-A": "1", "Content-Type": "application/json"}


def test_a_header_with_several_values_keeps_them() -> None:
    raw = [(b"x-a", b"1"), (b"x-a", b"2")]
    found = services.Propagation(["X-A", "X-.*"]).of(raw)
    assert found == [("X-A", "1"), ("X-A", "2"), ("Content-Type", "application/json")]


def test_a_pattern_that_is_none_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert passed(["(", "X-A"], x_a="1")["X-A"] == "1"
    assert "The header pattern '(' is left out" in caplog.text
