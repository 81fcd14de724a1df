"""The supervisor's programs as the agent sees them: their state, readiness and last words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from calumma.cluster import logfile
from calumma.cluster.node import owners, pod_status, probes, supervision
from calumma.cluster.node.record import Observed
from calumma.cluster.programs import triton

PODS = "pods/"
LONGEST_TAIL = 64 << 10


class Programs:
    """All programs of pods.

    ``changed`` is called with the owner of a program that changed, ``broken`` with the
    name of one that has to be restarted, ``finished`` with the namespace and the name of a pod
    whose last program is gone.
    """

    def __init__(
        self,
        changed: Callable[[owners.Owner], None],
        broken: Callable[[str], None],
        finished: Callable[[str, str], None],
    ) -> None:
        self._changed = changed
        self._finished = finished
        self._rows: dict[str, Observed] = {}
        self._words: dict[str, tuple[float, str]] = {}
        self.prober = probes.Prober(
            lambda observed: changed(owners.owner_of_program(observed)),
            lambda observed: broken(observed.wanted.name),
        )

    def __iter__(self) -> Iterator[Observed]:
        return iter(list(self._rows.values()))

    def get(self, program: str) -> Observed | None:
        """One program by its name."""
        return self._rows.get(program)

    def pods(self) -> set[tuple[str, str]]:
        """The namespaces and names of the pods that have programs."""
        return {pod_of(row) for row in self._rows.values()}

    def of(self, owner: owners.Owner) -> dict[str, Observed]:
        """The programs of one owner by name."""
        return {
            name: row for name, row in self._rows.items() if owners.owner_of_program(row) == owner
        }

    def take(self, name: str, observed: Observed | None) -> None:
        """Take note of what the supervisor says of a program; None when it is gone."""
        if not name.startswith(PODS):
            return
        about = observed or self._rows.get(name)
        if about is None:
            return
        self.prober.follow(name, observed)
        if observed is not None:
            self._rows[name] = observed
        else:
            del self._rows[name]
            if pod_of(about) not in self.pods():
                self._finished(*pod_of(about))
        self._changed(owners.owner_of_program(about))

    def last_words(self, rows: dict[str, Observed]) -> dict[str, str]:
        """What the programs whose last run failed said at its end, by name."""
        return {
            name: self._last_words(name, row)
            for name, row in rows.items()
            if row.last is not None and row.state != "completed"
        }

    async def run(self, socket: Path, synced: Callable[[], None]) -> None:
        """Follow the supervisor until it ends; ``synced`` is called when all rows are known."""
        async for name, observed in supervision.watch(socket):
            if name == supervision.SYNCED:
                synced()
            else:
                self.take(name, observed)

    def _last_words(self, name: str, row: Observed) -> str:
        if row.last is None:
            return ""
        known = self._words.get(name)
        if known is not None and known[0] == row.last.finished:
            return known[1]
        text = logfile.end(Path(row.last.log), LONGEST_TAIL) if row.last.log else ""
        found = None
        if row.wanted.notes.get("kind") == "triton":
            found = triton.failure(text)
        elif row.wanted.task:  # the storage initializer, whose last line is the reason
            found = text.rstrip().rpartition("\n")[2]
        words = (found or pod_status.last_words(text)).removesuffix(".")  # Knative adds one
        self._words[name] = (row.last.finished, words)
        return words


def pod_of(observed: Observed) -> tuple[str, str]:
    """The namespace and the name of the pod that a program belongs to."""
    return observed.wanted.notes["namespace"], observed.wanted.notes["pod"]
