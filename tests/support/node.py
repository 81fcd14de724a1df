"""A node whose API, supervisor and gateway are dictionaries: only the plan is real."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calumma.cluster import layout, objects
from calumma.cluster.kserve import admission, configuration, controller, runtimes, vocabulary
from calumma.cluster.node import (
    client,
    containers,
    gates,
    owners,
    plan,
    planning,
    rollouts,
    routing,
)
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.record import Ended, Observed
from calumma.cluster.objects import Object
from calumma.cluster.programs import images
from support import simulation

DIGITS = owners.Owner("InferenceService", "default", "digits")


@dataclass
class Node:
    """Everything of one owner; ``work`` acts until nothing changes.

    ``isvcs`` are the InferenceServices that a graph finds beside it.
    """

    folder: Path
    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    programs: dict[str, Observed] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    words: dict[str, str] = field(default_factory=dict)
    programmed: dict[str, list[Object]] = field(default_factory=dict)
    part: routing.Part = field(default_factory=routing.Part)
    scales: dict[str, int] = field(default_factory=dict)
    gates: dict[str, gates.Gate] = field(default_factory=dict)
    busy: set[str | int] = field(default_factory=set)
    owner: owners.Owner = DIGITS
    isvc: Object | None = None
    isvcs: list[Object] = field(default_factory=list)
    runtimes: list[Object] = field(default_factory=list)
    asked: rollouts.Asked = field(default_factory=rollouts.Asked)
    last: plan.Plan = field(default_factory=plan.Plan)
    now: str = "2026-01-01T00:00:00Z"
    events: list[controller.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._versions = itertools.count(1)
        self._ports = itertools.count(20000)
        for name in ("transformers/digits", "backends"):
            (self.folder / name).mkdir(parents=True)
        self.settings = configuration.parse(simulation.bundled("ConfigMap")[0])

    def apply(self, isvc: Object) -> None:
        """Store the InferenceService as the API server would, and work."""
        self.store(isvc)
        self.work()

    def store(self, isvc: Object) -> None:
        """Store the InferenceService as the API server would."""
        old = self.isvc
        new = isvc
        if self.owner.kind == "InferenceService":
            new = admission.mutate(old, isvc, "UPDATE" if old else "CREATE", self.settings)
        if old is not None:
            new["metadata"] = {
                **new["metadata"],
                "finalizers": old["metadata"].get("finalizers", []),
                "generation": old["metadata"]["generation"] + 1,
            }
            new["status"] = old["status"]
        self.isvc = new

    def kind(self, name: str) -> dict[str, Object]:
        """The stored objects of one kind by name."""
        return self.objects.setdefault(name, {})

    def world(self) -> plan.World:
        """What the agent would gather."""
        entrances = {
            f"{name}.default": f"127.0.0.1:{objects.annotations_of(each)[routing.ENTRANCE]}"
            for kind in ("Service", "v1 Service")
            for name, each in self.kind(kind).items()
            if routing.ENTRANCE in objects.annotations_of(each)
        }
        return plan.World(
            owner=self.owner,
            object=copy.deepcopy(self.isvc),
            services=copy.deepcopy(list(self.kind("Service").values())),
            revisions=copy.deepcopy(list(self.kind("Revision").values())),
            deployments=copy.deepcopy(list(self.kind("Deployment").values())),
            replica_sets=copy.deepcopy(list(self.kind("ReplicaSet").values())),
            core_services=copy.deepcopy(list(self.kind("v1 Service").values())),
            stored_pods=copy.deepcopy(list(self.kind("Pod").values())),
            programs=dict(self.programs),
            ready=frozenset(self.ready),
            words=self.words,
            programmed=dict(self.programmed),
            scales=dict(self.scales),
            gates={gate.name: gate.port for gate in self.gates.values()},
            isvcs=copy.deepcopy(self.isvcs),
            runtimes=runtimes.Runtimes(self.runtimes, simulation.bundled("ClusterServingRuntime")),
            storage=simulation.bundled("ClusterStorageContainer"),
            settings=self.settings,
            machine=containers.Machine(
                layout.Home(self.folder),
                settings_room.Settings(
                    1, 8080, 2, 3, 4, "now", images=images.defaults(self.folder)
                ),
                entrances.get,
                {},
            ),
            free_port=lambda: next(self._ports),
            now=self.now,
            asked=self.asked,
        )

    def step(self) -> bool:
        """One plan, carried out; whether it asked for anything."""
        made = self.last = planning.plan(self.world())
        self.events += made.events
        for write in made.writes:
            self._write(write)
        for wanted in made.start:
            if wanted.name not in self.programs:
                self.programs[wanted.name] = Observed(wanted, "running", 0.0, pid=1)
                made.events.append(None)  # type: ignore[arg-type]
        changed = self.part != made.part
        self.part = made.part
        for name, traffic in made.traffic.items():
            changed |= self.programmed.get(name) != traffic
            self.programmed[name] = traffic
        changed |= self.gates != {gate.name: gate for gate in made.gates}
        self.gates = {gate.name: gate for gate in made.gates}
        for each in made.stop:
            if not {each.backend, each.port} & self.busy:
                del self.programs[each.program]
                self.ready.discard(each.program)
                changed = True
        return bool(made.writes) or changed or None in made.events

    def work(self) -> None:
        """Act on plans until planning gives nothing."""
        for _ in range(30):
            if not self.step():
                return
        raise AssertionError(f"the plan does not settle: {self.last.writes}")

    def complete(self) -> None:
        """Let all initializers succeed and all containers become ready."""
        for _ in range(2):
            self.advance()
            self.work()

    def advance(self) -> None:
        """Let initializers succeed and containers become ready, and plan nothing."""
        for name, observed in list(self.programs.items()):
            if name.endswith(vocabulary.STORAGE_INITIALIZER):
                self.programs[name] = Observed(observed.wanted, "completed", 0.0)
            elif observed.last is None:
                self.ready.add(name)

    def crash(self, part: str, words: str) -> None:
        """Let the programs with this text in their name end with code 1."""
        for name, observed in list(self.programs.items()):
            if part in name:
                ended = Ended(1, 0, 0.0, 1.0, "")
                self.programs[name] = Observed(
                    observed.wanted, "waiting", 1.0, last=ended, retry_at=2.0
                )
                self.words[name] = words
                self.ready.discard(name)
        self.work()

    def names(self, kind: str) -> list[str]:
        """The names of the stored objects of one kind."""
        return sorted(self.kind(kind))

    def running(self) -> list[str]:
        """The revisions that have programs."""
        return sorted({str(row.wanted.notes["revision"]) for row in self.programs.values()})

    def shares(self, host: str) -> dict[str, int]:
        """Where a host's requests go, by revision."""
        for each in self.part.hosts:
            if each.name == host:
                return {name.rsplit("/", 1)[1]: weight for name, weight in each.split.shares}
        return {}

    def _write(self, write: plan.Write) -> None:
        if write.resource == owners.KINDS[self.owner.kind].resource:
            if self.isvc is None:
                raise AssertionError("no owner to write")
            part: dict[str, Any] = (
                {"status": write.object["status"]}
                if write.verb == "status"
                else {"metadata": write.object["metadata"]}
            )
            self.isvc = {**self.isvc, **part}
            return
        kind = "v1 Service" if write.resource == client.CORE_SERVICE else write.resource.kind
        stored = self.kind(kind)
        name = objects.name(write.object)
        if write.verb == "delete":
            self._collect(stored.pop(name))
            return
        if write.verb == "create" and name in stored:
            raise AssertionError(f"{name} is there already")
        before = stored.get(name, {})
        number = str(next(self._versions))
        given = {"uid": f"u-{name}-{number}", "generation": 1, "creationTimestamp": self.now}
        metadata = {**given, **write.object["metadata"]}
        if before and before["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            return  # what the API server answers with a conflict is tried again
        made = {**write.object, "metadata": {**metadata, "resourceVersion": number}}
        if write.verb == "update":
            made["metadata"]["generation"] += before["spec"] != write.object["spec"]
            made.pop("status", None)
            made |= {key: before[key] for key in ("status",) if key in before}
        stored[name] = made

    def _collect(self, owner: Object) -> None:
        """Delete what a deleted object owned, as the API server's garbage collector does."""
        for stored in self.objects.values():
            for name, each in list(stored.items()):
                owners = each["metadata"].get("ownerReferences", ())
                if any(found["uid"] == owner["metadata"]["uid"] for found in owners):
                    self._collect(stored.pop(name))
