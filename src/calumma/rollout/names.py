"""What a rollout is called in the cluster, for the node and for who carries it out. Pure."""

from __future__ import annotations

from typing import Final

POLICY: Final = "rollout.calumma.dev/policy"
"""The annotation of an InferenceService with the ConfigMap whose ``policy.yaml`` is its policy."""
SERVICE: Final = "rollout.calumma.dev/service"
"""The label of a rollout's ConfigMap, with the service's name."""
ACTIVE: Final = "rollout.calumma.dev/active"
"""Its label that is ``true`` until the rollout has ended and people have been told."""
PREFIX: Final = "rollout-"


def config_map(service: str) -> str:
    """The name of a service's ConfigMap."""
    return f"{PREFIX}{service}"
