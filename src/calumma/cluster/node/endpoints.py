"""Where pods can be reached: the gateway's backends and Prometheus' targets, from their programs.

A program's notes say which port takes requests and which one has metrics, so that a backend is
the same whether its revision is wanted or only drains. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from calumma.cluster import objects
from calumma.cluster.node import gates, owners, pods
from calumma.cluster.node.record import Observed
from calumma.cluster.objects import Object
from calumma.cluster.programs import prometheus, upstreams


class Reached(NamedTuple):
    """A wanted revision, the pods that it should have, those that are ready, and its gate."""

    revision: Object
    planned: Collection[str]
    ready: Collection[str]
    gate: gates.Gate | None


def backends(
    wanted: Sequence[Reached], programs: Mapping[str, Observed], drained: Sequence[gates.Gate] = ()
) -> list[upstreams.Backend]:
    """One backend for each wanted revision and for each other one that still works on requests.

    A wanted revision is reached at its ready pods, and where there is none at its gate; one that
    drains wherever it runs or will run again, so that requests under way keep their connection and
    those that wait at one of the ``drained`` gates are answered.
    """
    found = []
    names = {objects.name(each.revision) for each in wanted}
    for each in wanted:
        rows = _entrances(programs, objects.name(each.revision))
        leaving = {row.wanted.notes["pod"] for row in rows} - set(each.planned)
        backend = dataclasses.replace(
            _backend(each.revision),
            endpoints=ports(each.revision, programs, each.ready),
            draining=ports(each.revision, programs, leaving),
            http2=pods.Pod(each.revision, "").http2,
            gate=each.gate.port if each.gate else 0,
            limited=bool(limit(each.revision)),
        )
        found += _with_grpc(backend, rows)
    waiting = {gate.name: gate.port for gate in drained}
    for rows in _draining(programs, names):
        http2 = bool(rows[0].wanted.notes["http2"])
        gate = waiting.get(backend_name(rows[0]), 0)
        ports_of_all = tuple(map(_port, rows))
        backend = upstreams.Backend(*_labels(rows[0]), ports_of_all, http2, gate=gate)
        found += _with_grpc(backend, rows)
    return found


def draining_gates(
    owner: owners.Owner,
    wanted: Collection[str],
    programs: Mapping[str, Observed],
    open_gates: Mapping[str, int],
) -> list[gates.Gate]:
    """The open gates of the revisions that drain: somebody may wait there for a pod to come back.

    ``wanted`` are the names of the revisions that do not.
    """
    return [
        gates.Gate(str(owner), name, open_gates[name], 0, tuple(map(_port, rows)))
        for rows in _draining(programs, wanted)
        if (name := backend_name(rows[0])) in open_gates
    ]


def _with_grpc(backend: upstreams.Backend, rows: Sequence[Observed]) -> list[upstreams.Backend]:
    """A backend, and another one where its pods have a gRPC port beside their HTTP port."""
    notes = [row.wanted.notes for row in rows]
    second = {int(each["endpoint"]): int(each["grpc"]) for each in notes if each.get("grpc")}

    def beside(first: Sequence[int]) -> tuple[int, ...]:
        return tuple(second[port] for port in first if port in second)

    if not second:
        return [backend]
    name = backend.revision + upstreams.GRPC
    endpoints, draining = beside(backend.endpoints), beside(backend.draining)
    other = dataclasses.replace(
        backend, revision=name, endpoints=endpoints, draining=draining, http2=True, gate=0
    )
    return [backend, other]


def name_of(revision: Mapping[str, Any]) -> str:
    """The name of a revision's backend, and of its gate."""
    return _backend(revision).name


def ports(
    revision: Mapping[str, Any], programs: Mapping[str, Observed], of: Collection[str]
) -> tuple[int, ...]:
    """The ports that take requests at these pods of a revision."""
    rows = _entrances(programs, objects.name(revision))
    return tuple(_port(row) for row in rows if row.wanted.notes["pod"] in of)


def limit(revision: Mapping[str, Any]) -> int:
    """How many requests at a time one pod takes, 0 for any number."""
    return int(objects.dig(revision, "spec", "containerConcurrency", default=0))


def entrance(programs: Mapping[str, Observed], pod: str) -> int:
    """The port at which a pod takes requests; 0 when it has none yet."""
    rows = [row for row in programs.values() if row.wanted.notes["pod"] == pod]
    return next((_port(row) for row in rows if row.wanted.notes.get("endpoint")), 0)


def backend_name(row: Observed) -> str:
    """The name of the backend that a program belongs to."""
    return upstreams.Backend(*_labels(row), ()).name


def targets(programs: Mapping[str, Observed]) -> list[prometheus.Target]:
    """Where Prometheus finds metrics: every running program that has some."""
    found = [
        prometheus.Target(row.wanted.notes["metrics"], *_labels(row), row.wanted.notes["pod"])
        for row in programs.values()
        if row.state == "running" and row.wanted.notes.get("metrics") is not None
    ]
    return sorted(found, key=lambda target: target.port)


def _draining(
    programs: Mapping[str, Observed], wanted: Collection[str]
) -> Iterator[list[Observed]]:
    """The programs that take requests of each revision that is not wanted any more."""
    for name in sorted({str(row.wanted.notes["revision"]) for row in programs.values()}):
        rows = [row for row in _entrances(programs, name) if row.state in ("running", "waiting")]
        if rows and name not in wanted:
            yield rows


def _backend(revision: Mapping[str, Any]) -> upstreams.Backend:
    notes = owners.notes(revision)
    return upstreams.Backend(
        notes["namespace"], notes["service"], notes["component"], objects.name(revision), ()
    )


def _entrances(programs: Mapping[str, Observed], revision: str) -> list[Observed]:
    """The programs of a revision that take requests, in the order of their names."""
    return [
        row
        for _, row in sorted(programs.items())
        if row.wanted.notes["revision"] == revision and row.wanted.notes.get("endpoint")
    ]


def _port(row: Observed) -> int:
    return int(row.wanted.notes["endpoint"])


def _labels(row: Observed) -> tuple[str, str, str, str]:
    notes = row.wanted.notes
    return notes["namespace"], notes["service"], notes["component"], notes["revision"]
