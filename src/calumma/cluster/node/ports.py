"""Loopback ports for pods: free now, and not given twice.

They come from below the range that the kernel gives to outgoing connections, so that none of
those can take a port between our choice and the program's ``bind``. Clusters of different homes
begin at different places, so that one does not take the port of a program that the other restarts.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from calumma import errors

FIRST, LAST = 20000, 32000


class Ports:
    """Gives ports in turn; ``taken`` tells those that programs have already.

    ``place`` is any number: it says where in the range to begin.
    """

    def __init__(self, taken: Callable[[], Iterable[int]], place: int = 0) -> None:
        self._taken = taken
        self._next = FIRST + place % (LAST - FIRST)

    def free(self) -> int:
        """A free port; raises PortInUse when there is none."""
        taken = set(self._taken())
        for _ in range(FIRST, LAST):
            port = self._next
            self._next = FIRST if port + 1 >= LAST else port + 1
            if port not in taken and is_free(port):
                return port
        raise errors.PortInUse(f"No loopback port between {FIRST} and {LAST} is free.")


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether nothing listens on a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
