"""The agent's command line."""

from __future__ import annotations

import pytest

from calumma.sidecar import options


def test_nothing_asked_for_is_nothing_done() -> None:
    found = options.parse([], {})
    assert (found.port, found.component_port, found.grpc_ports) == (9081, 8080, None)
    assert (found.logger, found.batcher, found.probe) == (None, None, None)


def test_the_defaults_are_kserves() -> None:
    found = options.parse(["--enable-batcher", "--log-url", "http://sink"], {})
    assert found.batcher == options.Batcher(32, 5.0)
    assert found.logger == options.Logger("http://sink", "all", "http://localhost:9081/")
    assert found.workers == 5


def test_lists_are_lines_of_comma_separated_values() -> None:
    found = options.parse(
        [
            *("--log-url", "http://sink", "--metadata-headers", "X-A,X-B"),
            *("--metadata-annotations", 'team=blue,"note=a, ""b"" = c"'),
        ],
        {},
    )
    assert found.logger is not None
    assert found.logger.headers == ("X-A", "X-B")
    assert found.logger.annotations == {"team": "blue", "note": 'a, "b" = c'}


@pytest.mark.parametrize(
    ("probe", "path"),
    [
        ('{"httpGet": {"path": "/ready", "port": 8080}}', "/ready"),
        ('{"tcpSocket": {"port": 8080}}', None),
        ("", None),
    ],
)
def test_the_probe_is_the_components(probe: str, path: str | None) -> None:
    assert options.parse([], {options.READINESS: probe}).probe == path


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["--enable-batcher", "--max-latency", "-1"], {}, "largest latency is -1"),
        (["--log-url", "u", "--log-mode", "some"], {}, "invalid choice: 'some'"),
        (["--log-url", "u", "--metadata-annotations", "a"], {}, "has 'a'; each is KEY=VALUE"),
        (["--log-store-path", "p"], {}, "unrecognized arguments: --log-store-path p"),
        (["--grpc-ports", "1"], {}, "invalid"),
        ([], {options.READINESS: "[]"}, "it is a probe as JSON"),
    ],
)
def test_what_cannot_work_is_a_sentence(
    words: list[str],
    environment: dict[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        options.parse(words, environment)
    assert message in capsys.readouterr().err
