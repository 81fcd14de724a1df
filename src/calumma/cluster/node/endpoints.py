"""Where pods can be reached: the gateway's backends and Prometheus' targets, from their programs.

A program's notes say which port takes requests and which one has metrics, so that a backend is
the same whether its revision is wanted or only drains. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from calumma.cluster import objects
from calumma.cluster.node import owners
from calumma.cluster.node.record import Observed
from calumma.cluster.objects import Object
from calumma.cluster.programs import envoy, prometheus


def backends(
    wanted: Sequence[Object], programs: Mapping[str, Observed], ready_pods: Collection[str]
) -> list[envoy.Backend]:
    """One backend for each wanted revision and for each other one that still works on requests.

    A wanted revision is reached at its ready pods; one that drains wherever it runs, so that
    requests under way keep their connection.
    """
    found = []
    names = {objects.name(revision) for revision in wanted}
    for revision in wanted:
        rows = _entrances(programs, objects.name(revision))
        ports = [_port(row) for row in rows if row.wanted.notes["pod"] in ready_pods]
        owner = owners.notes(revision)
        found.append(
            envoy.Backend(
                owner["namespace"],
                owner["service"],
                owner["component"],
                objects.name(revision),
                tuple(ports),
                any(row.wanted.notes["http2"] for row in rows),
            )
        )
    draining = {str(row.wanted.notes["revision"]) for row in programs.values()} - names
    for name in sorted(draining):
        rows = [row for row in _entrances(programs, name) if row.state == "running"]
        if rows:
            http2 = bool(rows[0].wanted.notes["http2"])
            ports = [_port(row) for row in rows]
            found.append(envoy.Backend(*_labels(rows[0]), tuple(ports), http2))
    return found


def backend_name(row: Observed) -> str:
    """The name of the backend that a program belongs to."""
    return envoy.Backend(*_labels(row), ()).name


def targets(programs: Mapping[str, Observed]) -> list[prometheus.Target]:
    """Where Prometheus finds metrics: every running program that has some."""
    found = [
        prometheus.Target(row.wanted.notes["metrics"], *_labels(row), row.wanted.notes["pod"])
        for row in programs.values()
        if row.state == "running" and row.wanted.notes.get("metrics") is not None
    ]
    return sorted(found, key=lambda target: target.port)


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
