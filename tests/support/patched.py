"""An InferenceService that is changed by patches only, while the real decisions act on it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from calumma.cluster import objects
from calumma.cluster.api import patching
from calumma.cluster.kserve import vocabulary
from calumma.cluster.objects import Object
from calumma.rollout import service
from support import node, simulation


def stored(isvc: Object, change: dict[str, Any]) -> Object:
    """The object after a merge patch, as the API server would store it."""
    if not change:
        return isvc
    metadata = isvc["metadata"]
    if change["metadata"] != {"resourceVersion": metadata["resourceVersion"]}:
        raise AssertionError(f"{change['metadata']} is not about {metadata['resourceVersion']}")
    merged: Object = patching.merge(copy.deepcopy(isvc), change)
    merged["metadata"]["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
    return merged


class Knative:
    """One service in Knative mode that serves v1 (row A1), with its transformer if wanted."""

    def __init__(self, *, transformer: bool = True, name: str = "digits") -> None:
        self.cluster = simulation.Simulation()
        isvc = simulation.digits()
        isvc["metadata"] |= {"resourceVersion": "1", "name": name}
        if not transformer:
            del isvc["spec"]["transformer"]
        self.name = name
        self.cluster.apply(isvc)

    @property
    def isvc(self) -> Object:
        """The stored object."""
        return self.cluster.isvc

    @property
    def view(self) -> service.View:
        """What a rollout sees."""
        return service.view(self.isvc)

    def ready(self, number: int, component: str = "predictor") -> None:
        """Let a revision become ready."""
        service_name, suffix = f"{self.name}-{component}", f"-{number:05d}"
        self.cluster.become_ready(objects.child_name(service_name, suffix))

    def serve(self) -> Knative:
        """Let the first revisions become ready."""
        self.ready(1)
        self.ready(1, "transformer")
        self.cluster.passed()
        return self

    def patch(self, change: dict[str, Any]) -> list[str]:
        """Patch the object; the splits that its predictor went through since."""
        if change:
            self.cluster.apply(stored(self.isvc, change))
        return [state.traffic for state in self.cluster.passed()]

    def person(self, version: str, percent: int | None = None, **predictor: Any) -> list[str]:
        """What a person applies: a manifest."""
        edited = copy.deepcopy(self.isvc)
        spec = edited["spec"]["predictor"]
        spec["model"]["storageUri"] = uri(version)
        spec.pop("canaryTrafficPercent", None)
        spec.update(predictor)
        if percent is not None:
            spec["canaryTrafficPercent"] = percent
        self.cluster.apply(edited)
        return [state.traffic for state in self.cluster.passed()]


def uri(version: str) -> str:
    """The model of a version."""
    return f"pvc://models/digits/{version}"


class Standard:
    """One service in Standard mode on a node whose programs are ready when the test says so."""

    def __init__(self, folder: Path, **predictor: Any) -> None:
        self.node = node.Node(folder)
        isvc = simulation.digits("v1", **predictor)
        isvc["metadata"] |= {
            "resourceVersion": "1",
            "annotations": {vocabulary.DEPLOYMENT_MODE: "Standard"},
        }
        del isvc["spec"]["transformer"]
        self.node.apply(isvc)
        self.ready()

    @property
    def isvc(self) -> Object:
        """The stored object."""
        if self.node.isvc is None:
            raise AssertionError("it is gone")
        return self.node.isvc

    @property
    def view(self) -> service.View:
        """What a rollout sees."""
        return service.view(self.isvc)

    @property
    def shares(self) -> dict[str, int]:
        """What the gateway does."""
        return self.node.shares("digits-default")

    def patch(self, change: dict[str, Any]) -> None:
        """Patch the object and let the node work, while nothing becomes ready by itself."""
        if change:
            self.node.apply(stored(self.isvc, change))

    def ready(self) -> None:
        """Let everything become ready."""
        for _ in range(8):
            self.node.complete()
