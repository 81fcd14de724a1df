"""Readiness: asks each running container until it answers, then now and then whether it still does.

A container is ready when its HTTP probe answers 2xx or, without one, when its port accepts a
connection. Each run of a program starts as not ready. Where its probe names a ``crew``, a program
that has lost one of the processes that it had when it became ready is broken although it answers:
Triton does not start a model's process again, and says that it is ready all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from calumma.cluster.node import process
from calumma.cluster.node.record import Observed

STARTING = 0.05
STEADY = 5.0
"""Seconds between two probes before the first success and after it."""

FAILURES = 3
"""Failures in a row after which a ready container is not ready any more, Kubernetes' default."""


USER_AGENT = "kube-probe/1.36"
"""By which servers know the kubelet; some answer its probes otherwise than other requests."""


class Prober:
    """Probes of all running containers.

    ``changed`` is called when one becomes ready or not, ``broken`` when one has to be restarted.
    """

    def __init__(
        self, changed: Callable[[Observed], None], broken: Callable[[Observed], None]
    ) -> None:
        self._changed = changed
        self._broken = broken
        self._tasks: dict[str, tuple[int | None, asyncio.Task[None]]] = {}
        self._crews: dict[str, process.Crew] = {}
        self._ready: set[str] = set()
        self._asked: dict[str, asyncio.Event] = {}
        # A kept connection would hold up a Triton that is asked to end.
        self._http = httpx.AsyncClient(
            timeout=1.0,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"User-Agent": USER_AGENT},
        )

    @property
    def ready(self) -> frozenset[str]:
        """The names of the programs that are ready."""
        return frozenset(self._ready)

    def follow(self, name: str, observed: Observed | None) -> None:
        """Take note of a program's state: probe a new run, forget one that ended."""
        pid, task = self._tasks.get(name, (None, None))
        running = observed is not None and observed.state == "running"
        if task is not None and not (running and observed is not None and observed.pid == pid):
            self._forget(name)
        if running and observed is not None and name not in self._tasks:
            probe = observed.wanted.notes.get("probe")
            if probe is not None:
                self._asked[name] = asyncio.Event()
                new = asyncio.create_task(self._probe(name, observed, probe))
                self._tasks[name] = (observed.pid, new)

    async def settle(self) -> None:
        """Return when every container that is probed now has been asked once."""
        await asyncio.gather(*(self._asked[name].wait() for name in self._tasks))

    async def close(self) -> None:
        """Stop probing."""
        for name in list(self._tasks):
            self._forget(name)
        await self._http.aclose()

    async def _probe(self, name: str, observed: Observed, probe: dict[str, Any]) -> None:
        failures = 0
        while True:
            succeeded = await self._ask(probe)
            failures = 0 if succeeded else failures + 1
            was_ready = name in self._ready
            if succeeded:
                self._ready.add(name)
                if probe.get("crew") and name not in self._crews:
                    self._crews[name] = process.Crew(
                        observed.pid or 0, lambda: self._lose(name, observed)
                    )
            elif failures >= FAILURES:
                self._ready.discard(name)
            self._asked[name].set()
            if was_ready != (name in self._ready):
                self._changed(observed)
            await asyncio.sleep(STEADY if name in self._ready and not failures else STARTING)

    def _lose(self, name: str, observed: Observed) -> None:
        """Take a program that lost a part of its crew out, and have it restarted."""
        self._forget(name)
        self._changed(observed)
        self._broken(observed)

    def _forget(self, name: str) -> None:
        _, task = self._tasks.pop(name)
        task.cancel()
        self._ready.discard(name)
        crew = self._crews.pop(name, None)
        if crew is not None:
            crew.close()

    async def _ask(self, probe: dict[str, Any]) -> bool:
        if probe["path"] is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", probe["port"])
            except OSError:
                return False
            writer.close()
            return True
        try:
            url = f"http://127.0.0.1:{probe['port']}{probe['path']}"
            answer = await self._http.get(url, headers=probe.get("headers"))
        except httpx.HTTPError:
            return False
        return answer.is_success
