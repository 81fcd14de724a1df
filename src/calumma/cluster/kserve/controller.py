"""One pass of KServe's InferenceService controller.

:func:`decide` looks at an InferenceService and what belongs to it and says which Knative Services
should exist, what the status is and which events to record. Passes repeat until nothing changes:
a traffic target follows from the bookkeeping of the pass before, as in KServe.
Source: kserve ``controller/v1beta1/inferenceservice/controller.go``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from calumma import errors
from calumma.cluster import conditions, objects
from calumma.cluster.knative import route
from calumma.cluster.kserve import (
    canary_traps,
    component,
    configuration,
    injection,
    manifest_traps,
    model_status,
    predictor,
    runtimes,
    status,
    transformer,
    trap,
    vocabulary,
)
from calumma.cluster.objects import Object

_UNBUILT_FIELDS: Final = (
    ("predictor", "storageUris"),
    ("transformer", "storageUris"),
    ("predictor", "storageContainerName"),
)


class Event(NamedTuple):
    """An event about an InferenceService.

    With a ``generation`` it is told once for that generation of the object, however often a pass
    comes to it; without one it counts every time.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    generation: int | None = None


@dataclass(frozen=True)
class World:
    """What belongs to one InferenceService, as it is now.

    ``services`` are its Knative Services by component, ``pods`` those of the predictor's latest
    created revision (newest first), ``storage`` the cluster's ClusterStorageContainers.
    """

    services: Mapping[vocabulary.Component, Object]
    pods: Sequence[Object]
    runtimes: runtimes.Runtimes
    storage: Sequence[Object]
    settings: configuration.Configuration


@dataclass(frozen=True)
class Decision:
    """The Knative Services that should exist, the status, and the events of this pass.

    A pass that failed is not ``complete``: the Services it could build should exist, and those
    that it did not come to stay as they are.
    """

    services: Mapping[vocabulary.Component, Object]
    complete: bool
    status: Object
    events: list[Event] = field(default_factory=list)


def decide(isvc: Object, world: World, now: str) -> Decision:
    """One pass; ``now`` is an RFC 3339 time."""
    mode = configuration.deployment_mode(isvc, world.settings)
    changing = status.StatusUnderChange(isvc, now)
    changing.conditions.initialize()
    changing.fields["deploymentMode"] = mode
    if update_disabled(isvc):
        return Decision({}, False, dict(isvc["status"]))
    asked = components(isvc)
    services: dict[vocabulary.Component, Object] = {}
    events: list[Event] = []
    warnings: list[trap.Trap] = []
    try:
        refuse_unbuilt(isvc, mode, world.settings)
        if vocabulary.is_stopped(isvc):
            changing.stop(asked)
        else:
            for name in asked:
                services[name] = _component(isvc, name, world, changing)
                _observe(name, world, changing)
            changing.conditions.mark(status.STOPPED, "False")
            changing.aggregate(asked)
            changing.ingress(asked)
    except errors.ReconcileFailed as failure:
        events.append(Event("Warning", "InternalError", str(failure)))
        if isinstance(failure, errors.InvalidSpec):
            warnings += manifest_traps.no_runtime(isvc, world.runtimes)
        observed = failure.condition is not None
        if failure.condition is not None:
            changing.conditions.mark(failure.condition, "False", "ReconcileFailed", str(failure))
    else:
        observed = all(
            _is_stored(each, world.services.get(name)) for name, each in services.items()
        )
    generation = objects.dig(isvc, "metadata", "generation", default=1)
    if observed:
        changing.fields["observedGeneration"] = generation
    complete = not events
    changing.keep_only(asked)
    result = changing.result()
    changes = [
        trap.Change(isvc, name, world.services.get(name), wanted)
        for name, wanted in services.items()
    ]
    warnings += _traps(isvc, changes, result)
    events += [Event("Warning", *each, generation) for each in warnings]
    return Decision(services, complete, result, events + transitions(isvc, result))


def _traps(isvc: Object, changes: Sequence[trap.Change], result: Object) -> Iterator[trap.Trap]:
    """What this pass leads into that KServe does not tell."""
    yield from manifest_traps.found(changes)
    yield from canary_traps.found(changes)
    for change in changes:
        yield from canary_traps.failures(change, result)
    url = result.get("url")
    if url is not None and url != objects.dig(isvc, "status", "url"):
        yield from manifest_traps.misnamed(isvc, url)


def _is_stored(wanted: Object, present: Object | None) -> bool:
    """Whether a component's present status is about the spec that is wanted.

    Until then the InferenceService's status is about an earlier generation, and says so: who waits
    for a generation must not see the readiness of the one before.
    """
    return present is not None and present["spec"] == wanted["spec"]


def components(isvc: Mapping[str, Any]) -> list[vocabulary.Component]:
    """The components that an InferenceService asks for; the last one is its entrance."""
    return [each for each in vocabulary.COMPONENTS if isvc["spec"].get(each) is not None]


def update_disabled(isvc: Object) -> bool:
    """Whether an annotation asks to leave a service that is ready as it is."""
    annotations = objects.annotations_of(isvc)
    ready = conditions.is_true(objects.dig(isvc, "status", "conditions", default=[]))
    return annotations.get(vocabulary.DISABLE_AUTO_UPDATE) == "true" and ready


def refuse_unbuilt(isvc: Object, mode: str, settings: configuration.Configuration) -> None:
    """Raise ReconcileFailed for what does not run on the one-machine cluster."""
    if mode not in ("Knative", "Standard"):
        raise _unbuilt(
            isvc,
            f"the deployment mode {mode} does not run",
            f"use Knative or Standard in the annotation {vocabulary.DEPLOYMENT_MODE}",
        )
    if objects.dig(isvc, "spec", "explainer") is not None:
        raise _unbuilt(isvc, "spec.explainer does not run", "predictor and transformer do")
    for path in _UNBUILT_FIELDS:
        if objects.dig(isvc, "spec", *path) is not None:
            raise _unbuilt(isvc, f"spec.{'.'.join(path)} does not run", "remove it")
    for name in vocabulary.COMPONENTS:
        spec = objects.dig(isvc, "spec", name, default={})
        found = injection.unbuilt(spec, settings)
        if found is not None:
            what = f"spec.{name}.{found} does not run"
            raise _unbuilt(isvc, what, "log to an http or https URL without it")


def _unbuilt(isvc: Object, what: str, instead: str) -> errors.ReconcileFailed:
    return errors.ReconcileFailed(
        f"InferenceService {objects.name(isvc)}: {what} on the one-machine cluster yet; {instead}.",
        condition=status.PREDICTOR_READY,
    )


def _component(
    isvc: Object,
    name: vocabulary.Component,
    world: World,
    changing: status.StatusUnderChange,
) -> Object:
    """The Knative Service that a component should have."""
    built = template(isvc, name, world.runtimes, world.storage, changing)
    service = component.service(isvc, name, built, changing.rollout(name).latest)
    _check_service(name, service)
    return service


def template(
    isvc: Object,
    name: vocabulary.Component,
    known: runtimes.Runtimes,
    storage: Sequence[Object],
    changing: status.StatusUnderChange,
) -> predictor.Template:
    """A component's pod template; the status says which runtime it has, or why it can have none.

    Raises ReconcileFailed or InvalidSpec.
    """
    try:
        if name == "transformer":
            return transformer.template(isvc, storage)
        built = predictor.template(isvc, known, storage)
    except errors.InvalidSpec as failure:
        changing.fields["modelStatus"] = model_status.invalid(
            changing.fields.get("modelStatus", {}), failure.reason, failure.explanation
        )
        raise
    _record_runtime(changing, built.selection)
    return built


def _observe(name: vocabulary.Component, world: World, changing: status.StatusUnderChange) -> None:
    """Take the component's present status over."""
    present = objects.dig(world.services.get(name), "status", default={})
    changing.propagate(name, present)
    if name == "predictor":
        _record_model(changing, world, present)


def _record_runtime(
    changing: status.StatusUnderChange, selection: runtimes.Selection | None
) -> None:
    for key in ("clusterServingRuntimeName", "servingRuntimeName"):
        changing.fields.pop(key, None)
    if selection is not None:
        key = "clusterServingRuntimeName" if selection.is_cluster else "servingRuntimeName"
        changing.fields[key] = objects.name(selection.runtime)


def _record_model(
    changing: status.StatusUnderChange, world: World, service_status: Mapping[str, Any]
) -> None:
    part = changing.component("predictor")
    created, ready = part.get("latestCreatedRevision"), part.get("latestReadyRevision")
    seen = model_status.Observation(
        pods=world.pods,
        service_conditions=service_status.get("conditions", ()),
        ready=changing.conditions.status(conditions.READY) == "True",
        current=created is not None and created == ready,
    )
    stored = changing.fields.get("modelStatus", {})
    changing.fields["modelStatus"] = model_status.propagate(stored, seen)


def _check_service(name: vocabulary.Component, service: Object) -> None:
    """What Knative's webhook says of the Service, which KServe does not check itself."""
    problems = route.name_errors(service) + route.percent_errors(service["spec"]["traffic"])
    if problems:
        raise errors.ReconcileFailed(
            f"fails to reconcile {name}: fails to reconcile knative service: admission webhook "
            '"validation.webhook.serving.knative.dev" denied the request: validation failed: '
            + "\n".join(problems),
            condition=f"{name.capitalize()}Ready",
        )


def transitions(isvc: Object, result: Object) -> list[Event]:
    """The events that KServe records when readiness is won or lost."""
    name = objects.name(isvc)
    before = objects.dig(isvc, "status", "conditions", default=[])
    after = result["conditions"]
    if not conditions.is_true(before) and conditions.is_true(after):
        return [Event("Normal", "InferenceServiceReady", f"InferenceService [{name}] is Ready")]
    if conditions.is_true(before) and conditions.is_false(after):
        failed = ", ".join(c["type"] for c in after if c["status"] == "False")
        text = f"InferenceService [{name}] is no longer Ready because of: {failed}"
        return [Event("Warning", "InferenceServiceNotReady", text)]
    return []
