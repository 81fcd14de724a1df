"""What a pod reports: the status that ``kubectl get pods`` shows, from its programs.

Source: Kubernetes' ``core/v1`` PodStatus and the kubelet's conventions for its reasons. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from calumma.cluster import conditions, objects
from calumma.cluster.knative import revision as knative
from calumma.cluster.kserve import vocabulary
from calumma.cluster.node import pods
from calumma.cluster.node.record import Observed
from calumma.cluster.objects import Object

LONGEST_MESSAGE = 2048
_LONGEST_HOPE = 5.0
"""Seconds between a container's end and its next start after which nobody waits for it: by then it
has failed five times in a row."""

_PYTHON_ERROR = re.compile(
    r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(?P<error>\S.*)"
    r"|^(?P<command>\S+: error: .*)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Seen:
    """What was observed of one pod.

    ``programs`` by their name, ``ready`` the names of those whose probe succeeds, ``words`` what
    those that failed said last, by name. ``refusal`` is why no program could be planned at all.
    """

    programs: Mapping[str, Observed]
    ready: frozenset[str]
    words: Mapping[str, str]
    refusal: str | None = None


def is_ready(pod: pods.Pod, seen: Seen) -> bool:
    """Whether every container of a pod is ready."""
    names = [pod.program_name(each["name"]) for each in pod.containers]
    return seen.refusal is None and all(name in seen.ready for name in names)


def is_hopeless(pod: pods.Pod, seen: Seen) -> bool:
    """Whether a pod cannot start, or fails again and again: nobody should wait for it."""
    if seen.refusal is not None:
        return True
    names = [pod.program_name(each["name"]) for each in pod.containers]
    rows = [seen.programs[name] for name in names if name in seen.programs]
    return any(row.backoff > _LONGEST_HOPE for row in rows)


def problem(pod: pods.Pod, seen: Seen) -> knative.Problem | None:
    """Why a pod is not ready, when something failed."""
    if seen.refusal is not None:
        return knative.Problem(knative.CONTAINER_HEALTHY, "ContainerMissing", seen.refusal)
    initializer = [vocabulary.STORAGE_INITIALIZER] if pod.storage_uri is not None else []
    for container in [*initializer, *(each["name"] for each in pod.containers)]:
        name = pod.program_name(container)
        observed = seen.programs.get(name)
        failed = observed is not None and observed.last is not None and name not in seen.ready
        if failed and observed is not None and observed.last and not _completed(observed):
            return knative.exited(observed.last.code, seen.words.get(name, ""))
    return None


def status(pod: pods.Pod, seen: Seen, stored: Mapping[str, Any], now: str) -> Object:
    """The pod's status."""
    initialized = _initialized(pod, seen)
    ready = is_ready(pod, seen)
    facts = {
        "ContainersReady": ready,
        "Initialized": initialized,
        "PodScheduled": True,
        "Ready": ready,
    }
    running = initialized and all(
        pod.program_name(each["name"]) in seen.programs for each in pod.containers
    )
    found: Object = {
        "phase": "Running" if running else "Pending",
        "conditions": _conditions(facts, stored.get("conditions", ()), now),
        "hostIP": pods.ADDRESS,
        "podIP": pods.ADDRESS,
        "startTime": stored.get("startTime", now),
        "containerStatuses": [
            _container(pod, each["name"], each.get("image", ""), seen) for each in pod.containers
        ],
    }
    if pod.storage_uri is not None:
        name = vocabulary.STORAGE_INITIALIZER
        found["initContainerStatuses"] = [
            _container(pod, name, "kserve/storage-initializer:latest", seen)
        ]
    return found


def complaints(status: Mapping[str, Any]) -> dict[str, str]:
    """What the containers that failed said, by their names."""
    found = {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(kind, ()):
            state = each["state"]
            ended = state.get("terminated") or objects.dig(each, "lastState", "terminated")
            if ended and ended["exitCode"]:
                found[each["name"]] = ended.get("message") or f"exit code {ended['exitCode']}"
            elif objects.dig(state, "waiting", "message") and not ended:
                found[each["name"]] = state["waiting"]["message"]
    return found


def time(seconds: float) -> str:
    """Seconds since the epoch as Kubernetes writes a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _conditions(
    facts: Mapping[str, bool], stored: Sequence[Mapping[str, Any]], now: str
) -> list[Object]:
    """A pod's conditions; a time moves only when its fact changes."""
    found = []
    for kind, fact in facts.items():
        new: Object = {"type": kind, "status": "True" if fact else "False"}
        old = conditions.find(stored, kind)
        unchanged = old is not None and old.get("status") == new["status"]
        since = old.get("lastTransitionTime", now) if unchanged and old else now
        found.append({**new, "lastTransitionTime": since})
    return found


def _initialized(pod: pods.Pod, seen: Seen) -> bool:
    if pod.storage_uri is None:
        return True
    observed = seen.programs.get(pod.program_name(vocabulary.STORAGE_INITIALIZER))
    return observed is not None and _completed(observed)


def _completed(observed: Observed) -> bool:
    return observed.state == "completed"


def _container(pod: pods.Pod, name: str, image: str, seen: Seen) -> Object:
    program = pod.program_name(name)
    observed = seen.programs.get(program)
    words = seen.words.get(program, "")
    found: Object = {
        "name": name,
        "image": image,
        "imageID": "",
        "ready": program in seen.ready or (observed is not None and _completed(observed)),
        "restartCount": observed.restarts if observed else 0,
        "state": _state(pod, name, observed, words, seen.refusal),
        "started": observed is not None and observed.state == "running",
    }
    if observed is not None and observed.last is not None and not _completed(observed):
        found["lastState"] = {"terminated": _terminated(observed, words)}
    return found


def _state(
    pod: pods.Pod, name: str, observed: Observed | None, words: str, refusal: str | None
) -> Object:
    if observed is None:
        if refusal is not None:
            return {"waiting": {"reason": "ErrImagePull", "message": refusal}}
        return {"waiting": {"reason": "PodInitializing"}}
    if _completed(observed):
        return {"terminated": _terminated(observed, words)}
    if observed.state == "waiting":
        text = f"restarting failed container={name} pod={pod.name}_{pod.namespace}"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
    return {"running": {"startedAt": time(observed.since)}}


def _terminated(observed: Observed, words: str) -> Object:
    last = observed.last
    if last is None:
        return {"exitCode": 0, "reason": "Completed"}
    found: Object = {
        "exitCode": last.code,
        "reason": "Completed" if last.code == 0 else "Error",
        "startedAt": time(last.started),
        "finishedAt": time(last.finished),
    }
    if last.signal:
        found["signal"] = last.signal
    if words:
        found["message"] = words[-LONGEST_MESSAGE:]
    return found


def scale(desired: int, seen: Sequence[tuple[pods.Pod, Seen]], needed: int = 1) -> knative.Scale:
    """A revision's scale from all its pods; it ``needed`` so many to become ready."""
    ready = sum(is_ready(pod, each) for pod, each in seen)
    problems = (problem(pod, each) for pod, each in seen)
    found = next((p for p in problems if p is not None), None)
    return knative.Scale(desired, ready, found, needed)


def last_words(text: str) -> str:
    """What a program's log says of its end, at most :data:`LONGEST_MESSAGE` characters.

    The error of its last traceback or of its command line, else the last lines that say something.
    """
    errors = [found["error"] or found["command"] for found in _PYTHON_ERROR.finditer(text)]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (errors[-1] if errors else "\n".join(lines[-8:]))[-LONGEST_MESSAGE:]
