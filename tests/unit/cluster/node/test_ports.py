"""Ports for pods: free, and each given once."""

from __future__ import annotations

import socket

from calumma.cluster.node import ports


def test_ports_are_free_and_different() -> None:
    given = ports.Ports(lambda: ())
    found = [given.free() for _ in range(20)]
    assert len(set(found)) == 20
    assert all(ports.FIRST <= port < ports.LAST for port in found)


def test_a_port_that_a_program_has_is_not_given() -> None:
    first = ports.Ports(lambda: ()).free()
    assert ports.Ports(lambda: (first,)).free() != first


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_two_homes_begin_at_different_places_of_the_range() -> None:
    one, other = (ports.Ports(lambda: (), place).free() for place in (10, 7_000_000_011))
    assert abs(one - other) > 20
    assert ports.FIRST <= other < ports.LAST
