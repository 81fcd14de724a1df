"""Traps: what KServe does with a change although few people expect it, told by a Warning event.

KServe itself says nothing of them. The decisions stay KServe's; a trap only tells, once for the
change that leads into it, what happens now, why, and what to do instead.
:mod:`~calumma.cluster.kserve.canary_traps` knows those of the traffic,
:mod:`~calumma.cluster.kserve.manifest_traps` those of a manifest;
:mod:`~calumma.cluster.kserve.controller` makes events of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from calumma.cluster import objects
from calumma.cluster.kserve import vocabulary
from calumma.cluster.objects import Object


class Trap(NamedTuple):
    """A warning: its reason in CamelCase, and its sentences."""

    reason: str
    message: str


@dataclass(frozen=True)
class Change:
    """What one pass does to one component's Knative Service.

    ``present`` is the Service as it is stored, None before the first pass; ``wanted`` what the
    pass makes of it.
    """

    isvc: Object
    component: vocabulary.Component
    present: Object | None
    wanted: Object

    @property
    def status(self) -> Object:
        """The component's part of the InferenceService's status before the pass."""
        found: Object = objects.dig(self.isvc, "status", "components", self.component, default={})
        return found

    @property
    def percent(self) -> int | None:
        """The component's ``canaryTrafficPercent``, None when it has none."""
        asked: int | None = self.isvc["spec"][self.component].get("canaryTrafficPercent")
        return asked

    @property
    def has_new_template(self) -> bool:
        """Whether the pass leads to a new revision."""
        return self.present is None or (
            self.present["spec"]["template"] != self.wanted["spec"]["template"]
        )

    @property
    def is_asked_for(self) -> bool:
        """Whether the object has changed since its status was written, so that a person did it."""
        generation = objects.dig(self.isvc, "metadata", "generation", default=1)
        observed = objects.dig(self.isvc, "status", "observedGeneration", default=0)
        return bool(generation != observed)


def patch(isvc: Mapping[str, Any], component: str, **fields: Any) -> str:
    """The kubectl command that sets fields of one component; None removes one."""
    body = json.dumps({"spec": {component: fields}}, separators=(",", ":"))
    name, namespace = objects.name(isvc), objects.namespace(isvc)
    return f"kubectl patch isvc {name} -n {namespace} --type merge -p '{body}'"


def set_percent(change: Change, percent: int | None) -> str:
    """The kubectl command that sets or removes a component's canary percentage."""
    return patch(change.isvc, change.component, canaryTrafficPercent=percent)
