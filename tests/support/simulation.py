"""A cluster in which time and readiness are the test's: the controllers run, nothing else does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import calumma.cluster.kserve
from calumma.cluster import objects
from calumma.cluster.knative import revision, service
from calumma.cluster.kserve import admission, configuration, controller, runtimes, vocabulary
from calumma.cluster.objects import Object

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
"""When a simulation begins; every pass takes a second."""

BUNDLE = list(
    yaml.safe_load_all(Path(calumma.cluster.kserve.__file__).with_name("bundle.yaml").read_text())
)


def bundled(kind: str) -> list[Object]:
    """The objects of one kind that a cluster starts with."""
    return [each for each in BUNDLE if each["kind"] == kind]


def digits(version: str = "v1", **predictor: Any) -> Object:
    """A small InferenceService with a transformer."""
    return {
        "apiVersion": vocabulary.API_VERSION,
        "kind": "InferenceService",
        "metadata": {"name": "digits", "namespace": "default", "generation": 1, "uid": "u-1"},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "triton"},
                    "storageUri": f"pvc://models/digits/{version}",
                },
                **predictor,
            },
            "transformer": {"containers": [{"name": "main", "image": "calumma/digits:1"}]},
        },
    }


READY = revision.Scale(desired=1, ready=1)
"""What is seen of a revision with one ready pod."""


class State(NamedTuple):
    """What the predictor's status says after a pass, revisions as numbers (0: none).

    ``created``, ``ready``, ``rolled_out`` and ``previous`` are KServe's four names for a revision.
    """

    traffic: str
    created: int
    ready: int
    rolled_out: int
    previous: int
    is_ready: str


@dataclass
class Simulation:
    """Both controllers over one InferenceService; revisions become ready when the test says so."""

    settings: configuration.Configuration = field(
        default_factory=lambda: configuration.parse(bundled("ConfigMap")[0])
    )
    isvc: Object = field(default_factory=dict)
    services: dict[vocabulary.Component, Object] = field(default_factory=dict)
    revisions: dict[str, Object] = field(default_factory=dict)
    scales: dict[str, revision.Scale] = field(default_factory=dict)
    programmed: dict[str, list[Object]] = field(default_factory=dict)
    events: list[controller.Event] = field(default_factory=list)
    runtimes: runtimes.Runtimes = field(
        default_factory=lambda: runtimes.Runtimes([], bundled("ClusterServingRuntime"))
    )
    states: list[State] = field(default_factory=list)
    told: int = 0
    clock: int = 0

    def apply(self, isvc: Object) -> None:
        """Store an object as the API server would: defaulted, checked, its status kept."""
        old = self.isvc or None
        new = admission.mutate(old, isvc, "UPDATE" if old else "CREATE", self.settings)
        admission.validate(old, new, "UPDATE" if old else "CREATE", self.settings)
        if old is not None:
            new["status"] = old["status"]
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        self.isvc = new
        self.settle()

    def change(self, edit: Callable[[Object], None]) -> None:
        """Edit the stored object."""
        edited = copy.deepcopy(self.isvc)
        edit(edited)
        self.apply(edited)

    def warnings(self) -> list[str]:
        """The reasons of the traps that were told since the last call."""
        told = [event.reason for event in self.events if event.generation is not None]
        self.events.clear()
        return told

    def become_ready(self, *names: str) -> None:
        """Let revisions have one ready pod."""
        for name in names:
            self.scales[name] = READY
        self.settle()

    def fail(self, name: str, message: str = "boom") -> None:
        """Let a revision's container exit."""
        self.scales[name] = revision.Scale(1, 0, revision.exited(1, message))
        self.settle()

    def step(self) -> bool:
        """One pass of both controllers; whether anything changed."""
        self.clock += 1
        now = (STARTED + timedelta(seconds=self.clock)).strftime("%Y-%m-%dT%H:%M:%SZ")
        before = copy.deepcopy((self.isvc, self.services, self.revisions, self.programmed))
        world = controller.World(
            services=self.services,
            pods=self._pods(),
            runtimes=self.runtimes,
            storage=bundled("ClusterStorageContainer"),
            settings=self.settings,
        )
        decision = controller.decide(self.isvc, world, now)
        self.isvc["status"] = decision.status
        self.events += decision.events
        for component, wanted in decision.services.items():
            present = self.services.get(component, {})
            self.services[component] = {**wanted, "status": present.get("status", {})}
        if decision.complete:
            for component in [c for c in self.services if c not in decision.services]:
                del self.services[component]
        for component in self.services:
            self._knative(component, now)
        if "predictor" in self.isvc["status"].get("components", {}):
            state = self.state
            self.states += [] if self.states[-1:] == [state] else [state]
        return before != (self.isvc, self.services, self.revisions, self.programmed)

    def settle(self) -> None:
        """Run passes until nothing changes."""
        for _ in range(20):
            if not self.step():
                return
        raise AssertionError("the controllers do not settle")

    def _knative(self, component: vocabulary.Component, now: str) -> None:
        wanted = self.services[component]
        name = objects.name(wanted)
        own = [
            each
            for each in self.revisions.values()
            if objects.labels_of(each)[revision.SERVICE_LABEL] == name
        ]
        for each in own:
            scale = self.scales.get(objects.name(each), revision.Scale(desired=1))
            each["status"] = revision.status(each, scale, now)
        made = service.decide(wanted, own, self.programmed.get(name), "localhost:8080", now)
        if made.revision is not None:
            made.revision["metadata"]["creationTimestamp"] = now
            self.revisions[objects.name(made.revision)] = made.revision
        if made.traffic is not None:
            self.programmed[name] = made.traffic
        wanted["status"] = made.status

    def _pods(self) -> list[Object]:
        created = objects.dig(
            self.isvc, "status", "components", "predictor", "latestCreatedRevision", default=""
        )
        scale = self.scales.get(created)
        if scale is None:
            return []
        state: Object = {"running": {}}
        if scale.problem is not None:
            ended = {"reason": "Error", "exitCode": 1, "message": scale.problem.message}
            state = {"terminated": ended}
        ready = "True" if scale.ready else "False"
        return [
            {
                "metadata": {"name": f"{created}-pod"},
                "status": {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": ready}],
                    "containerStatuses": [{"name": "kserve-container", "state": state}],
                },
            }
        ]

    @property
    def predictor(self) -> Object:
        """``status.components.predictor``."""
        found: Object = self.isvc["status"]["components"]["predictor"]
        return found

    @property
    def state(self) -> State:
        """The predictor's present state."""
        created, ready = (self._number(f"latest{each}Revision") for each in ("Created", "Ready"))
        return State(self.traffic, created, ready, *self.rollout, self.condition("Ready")[0])

    def _number(self, field: str) -> int:
        """The revision that a field of the predictor's status names, 0 for none."""
        return int(self.predictor.get(field, "-0").rsplit("-", 1)[1])

    def passed(self) -> list[State]:
        """The states that came since the last call, each change once."""
        states, self.told = self.states[self.told :], len(self.states)
        return states

    @property
    def traffic(self) -> str:
        """The predictor's split in the oracle table's words: ``L:2=10 P:1=90``."""
        shares = []
        for entry in self.predictor.get("traffic", []):
            side = "L" if entry["latestRevision"] else "P"
            number = int(entry["revisionName"].rsplit("-", 1)[1])
            shares.append(f"{side}:{number}={entry['percent']}")
        return " ".join(shares)

    @property
    def rollout(self) -> tuple[int, int]:
        """LRO and PRO as revision numbers, 0 for none."""
        return (
            self._number("latestRolledoutRevision"),
            self._number("previousRolledoutRevision"),
        )

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message of one condition."""
        for condition in self.isvc["status"]["conditions"]:
            if condition["type"] == kind:
                return (
                    condition["status"],
                    condition.get("reason", ""),
                    condition.get("message", ""),
                )
        raise AssertionError(f"no condition {kind}")


def predictor_revision(number: int) -> str:
    """The name of the predictor's revision with this number."""
    return f"digits-predictor-{number:05d}"
