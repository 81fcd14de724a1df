"""Which of a request's headers go on to a step."""

from __future__ import annotations

import pytest

from calumma.graph import services


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
