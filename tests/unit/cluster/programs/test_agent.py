"""The agent's arguments with this machine's ports."""

from __future__ import annotations

from pathlib import Path

from calumma.cluster.programs import agent, container, images

MATCH = images.Match("agent", ("python", "-m", "calumma.sidecar"), Path("/home"))
OWN, COMPONENT = container.Ports(20001, 20002, 20003), container.Ports(20011, 20012, 20013)


def words(*arguments: str, grpc: bool = False) -> tuple[str, ...]:
    each = {"name": "agent", "args": list(arguments), "env": [{"name": "A", "value": "1"}]}
    made = agent.program(each, MATCH, OWN, COMPONENT, "127.0.0.1:8080", grpc=grpc)
    assert made.environment["A"] == "1"
    return made.argv


def test_ports_of_the_pods_network_become_this_machines() -> None:
    given = ("--log-url", "http://dumper", "--component-port", "8080", "--endpoint", "")
    assert words(*given) == (
        *("python", "-m", "calumma.sidecar"),
        *("--log-url", "http://dumper", "--endpoint", ""),
        *("--port", "20001", "--component-port", "20011", "--gateway", "127.0.0.1:8080"),
    )


def test_a_component_that_speaks_grpc_is_asked_so() -> None:
    assert words(grpc=True)[-2:] == ("--grpc-ports", "20002:20012")
