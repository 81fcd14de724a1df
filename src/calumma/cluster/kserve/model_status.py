"""``status.modelStatus``: is the new model loaded while the old one serves?

Source: kserve ``PropagateModelStatus`` and ``UpdateModelRevisionStates`` in
``inference_service_status.go``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from calumma.cluster import conditions, objects
from calumma.cluster.kserve import vocabulary
from calumma.cluster.objects import Object

_TRANSITIONS = {
    "Pending": "InProgress",
    "Loading": "InProgress",
    "Loaded": "UpToDate",
    "FailedToLoad": "BlockedByFailedLoad",
}


class Observation(NamedTuple):
    """What the model's state follows from.

    ``pods`` are those of the latest created revision, newest first; ``ready`` says whether the
    InferenceService is; ``current`` whether its latest created revision is the latest ready one.
    """

    pods: Sequence[Object]
    service_conditions: Sequence[Mapping[str, Any]]
    ready: bool
    current: bool


def propagate(stored: Mapping[str, Any], seen: Observation) -> Object:
    """The new ``modelStatus``."""
    status: Object = dict(stored)
    ready_pods = sum(map(_is_ready, seen.pods))
    status["copies"] = {"failedCopies": 0, **({"totalCopies": ready_pods} if ready_pods else {})}
    if not seen.pods:
        failed = any(c.get("status") == "False" for c in seen.service_conditions)
        return _moved(status, "FailedToLoad" if failed else "Pending")
    pod = seen.pods[0]
    for container in objects.dig(pod, "status", "initContainerStatuses", default=[]):
        if container["name"] == vocabulary.STORAGE_INITIALIZER:
            if "running" in container["state"]:
                # One that has failed and tries again is not loading: the failure stands.
                again = objects.dig(container, "lastState", "terminated") is not None
                return status if again else _moved(status, "Loading")
            failure = _failure(container)
            if failure is not None:
                return _moved(status, "FailedToLoad", failure)
    if seen.ready and seen.current:
        return _moved(status, "Loaded")
    for container in objects.dig(pod, "status", "containerStatuses", default=[]):
        if container["name"] == vocabulary.MAIN_CONTAINER:
            failure = _failure(container)
            if failure is not None:
                return _moved(status, "FailedToLoad", failure)
            return _moved(status, "Pending")
    return status


def invalid(stored: Mapping[str, Any], reason: str, message: str) -> Object:
    """The ``modelStatus`` of a model that no runtime can take."""
    return {
        **stored,
        "transitionStatus": "InvalidSpec",
        "states": {
            "activeModelState": "",
            **stored.get("states", {}),
            "targetModelState": "FailedToLoad",
        },
        "lastFailureInfo": {"reason": reason, "message": message},
    }


def _moved(status: Object, target: str, failure: Object | None = None) -> Object:
    states = {"activeModelState": "", **status.get("states", {}), "targetModelState": target}
    if target == "Loaded":
        states["activeModelState"] = "Loaded"
    status.update(states=states, transitionStatus=_TRANSITIONS[target])
    if failure is not None:
        status["lastFailureInfo"] = failure
    return status


def _failure(container: Mapping[str, Any]) -> Object | None:
    """The failure that a container's state reports, or None."""
    state = container["state"]
    ended = None
    if objects.dig(state, "terminated", "reason") == "Error":
        ended = state["terminated"]
    elif objects.dig(state, "waiting", "reason") == "CrashLoopBackOff":
        ended = objects.dig(container, "lastState", "terminated", default={})
    if ended is None:
        return None
    told = {key: ended[key] for key in ("message", "exitCode") if ended.get(key)}
    return {"reason": "ModelLoadFailed", **told}


def _is_ready(pod: Mapping[str, Any]) -> bool:
    running = objects.dig(pod, "status", "phase") == "Running"
    return running and conditions.is_true(objects.dig(pod, "status", "conditions", default=[]))
