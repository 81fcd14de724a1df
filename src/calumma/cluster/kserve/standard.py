"""One pass of KServe's InferenceService controller in Standard mode.

:func:`decide` says which Deployments and Services should exist, which of those that nobody asks for
any more may go, how the traffic is divided, and what the status is. Nothing is taken away before
the gateway has confirmed that it is not needed: a promoted canary takes the traffic over while the
old predictor still runs. ``observedGeneration`` moves when the update of that generation has come
to its end and its traffic is in effect.
Source: kserve ``components/predictor.go``, ``reconcilers/ingress/httproute_reconciler.go``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.apps import deployment as deployments
from calumma.cluster.kserve import (
    availability,
    configuration,
    controller,
    deployment,
    model_status,
    predictor,
    runtimes,
    status,
    variant,
    vocabulary,
)
from calumma.cluster.objects import Object

MODE = "Standard"
CANARY_READY = "CanaryPredictorReady"
_NO_ROUTE = ("ParentStatusNotAvailable", "InferenceService HttpRouteNotReady")


@dataclass(frozen=True)
class World:
    """What belongs to one InferenceService, as it is now.

    ``deployments`` are its Deployments by name with their present status, ``pods`` the pods of each
    by its name (the newest ReplicaSet's first), ``programmed`` the traffic that the gateway has
    confirmed, by route. ``domain`` is that of public host names, with the port.
    """

    deployments: Mapping[str, Object]
    pods: Mapping[str, Sequence[Object]]
    programmed: Mapping[str, Sequence[Mapping[str, Any]]]
    runtimes: runtimes.Runtimes
    storage: Sequence[Object]
    settings: configuration.Configuration
    domain: str


@dataclass(frozen=True)
class Decision:
    """What one pass wants.

    ``deployments`` and ``services`` should exist; present ones with a name in ``going`` may go,
    and others stay. ``traffic`` is what each route should do, where that can be said now.
    """

    deployments: Sequence[Object] = ()
    services: Sequence[Object] = ()
    going: frozenset[str] = frozenset()
    traffic: Mapping[str, list[Object]] = field(default_factory=dict)
    status: Object = field(default_factory=dict)
    events: Sequence[controller.Event] = ()


_Built = dict[str, tuple[Object, Object]]
"""The Deployment and the Service that should exist, by their name."""


def route(isvc: Mapping[str, Any], component: vocabulary.Component) -> str:
    """The name of a component's route, which a promotion does not change."""
    return f"{objects.name(isvc)}-{component}"


def decide(isvc: Object, world: World, now: str) -> Decision:
    """One pass; ``now`` is an RFC 3339 time."""
    changing = status.StatusUnderChange(isvc, now)
    changing.conditions.initialize()
    changing.fields["deploymentMode"] = MODE
    if controller.update_disabled(isvc):
        return Decision(status=dict(isvc["status"]))
    try:
        for each in (isvc, *(found.isvc for found in variant.canaries(isvc))):
            controller.refuse_unbuilt(each, MODE, world.settings)
        if vocabulary.is_stopped(isvc):
            return _stopped(isvc, world, changing)
        return _running(isvc, world, changing)
    except errors.ReconcileFailed as failure:
        if failure.condition is not None:
            changing.conditions.mark(failure.condition, "False", "ReconcileFailed", str(failure))
            _observe(isvc, changing)
        event = controller.Event("Warning", "InternalError", str(failure))
        result = changing.result()
        return Decision(status=result, events=[event, *controller.transitions(isvc, result)])


def _stopped(isvc: Object, world: World, changing: status.StatusUnderChange) -> Decision:
    changing.stop(controller.components(isvc))
    variants = variant.canaries(isvc)
    if variants:
        changing.fields["canaryStatuses"] = [
            {"name": each.name, "ready": False, "trafficPercent": each.percent} for each in variants
        ]
        changing.conditions.mark(CANARY_READY, "False", status.STOPPED)
    _observe(isvc, changing)
    result = changing.result()
    going = frozenset(world.deployments)
    return Decision(going=going, status=result, events=controller.transitions(isvc, result))


def _running(isvc: Object, world: World, changing: status.StatusUnderChange) -> Decision:
    asked = controller.components(isvc)
    variants = variant.canaries(isvc)
    available = [
        v.name for v in variants if deployments.available(world.deployments.get(v.deployment))
    ]
    reported = _report_canaries(isvc, variants, available, world, changing)
    built = _build(isvc, variants, reported, world, changing)
    traffic: dict[str, list[Object]] = {}
    was_routed = changing.conditions.status(status.INGRESS_READY) == "True"
    for component in asked:
        name, way = vocabulary.service_name(isvc, component), route(isvc, component)
        ready = availability.mark(changing.conditions, component, world.deployments.get(name))
        # Judged by its present spec: a canary that is promoted may have too few pods for all.
        ready = ready and _is_stored(built, name, world)
        if not ready and was_routed and way not in world.programmed:
            # An agent that starts does not know what the gateway does.
            name, ready = _serving(name, component, variants, world), True
        if ready:
            taking = variants if component == "predictor" else []
            traffic[way] = [
                {"revisionName": each, "percent": percent}
                for each, percent in variant.shares(name, taking, available)
            ]
    _report_components(isvc, asked, world, changing)
    in_effect = all(world.programmed.get(name) == wanted for name, wanted in traffic.items())
    changing.conditions.mark(status.STOPPED, "False")
    _report_ingress(isvc, asked, world, changing)
    if in_effect and _is_rolled_out(isvc, asked, built, world):
        _observe(isvc, changing)
    going: frozenset[str] = frozenset()
    if in_effect and len(traffic) == len(asked) and _is_quiet(isvc, asked, world):
        going = frozenset(world.deployments) - frozenset(built)
    result = changing.result()
    return Decision(
        [each for each, _ in built.values()],
        [each for _, each in built.values()],
        going,
        traffic,
        result,
        [*_warnings(isvc, result), *controller.transitions(isvc, result)],
    )


def _serving(
    name: str,
    component: vocabulary.Component,
    variants: Sequence[variant.Variant],
    world: World,
) -> str:
    """The Deployment that can take a component's traffic now: its own, else an earlier one."""
    canaries = {each.deployment for each in variants}
    earlier = [
        other
        for other, found in world.deployments.items()
        if vocabulary.component_of(found) == component and other not in canaries
    ]
    able = (n for n in (name, *earlier) if deployments.available(world.deployments.get(n)))
    return next(able, name)


def _build(
    isvc: Object,
    variants: Sequence[variant.Variant],
    ready: Sequence[str],
    world: World,
    changing: status.StatusUnderChange,
) -> _Built:
    """All Deployments and Services; raises ReconcileFailed when one of them cannot be made."""
    built: _Built = {}

    def add(owner: Object, kind: vocabulary.Component, made: predictor.Template, pods: int) -> None:
        name = vocabulary.service_name(owner, kind)
        if pods > variant.MOST:
            raise errors.ReconcileFailed(
                f"The Deployment {name} asks for {pods} pods; one machine runs at most "
                f"{variant.MOST} of a component. Lower minReplicas.",
                condition=f"{kind.capitalize()}Ready",
            )
        built[name] = (
            deployment.deployment(owner, kind, made, pods, world.settings),
            deployment.service(owner, kind, made),
        )

    for each in variants:
        made = predictor.template(each.isvc, world.runtimes, world.storage)
        add(each.isvc, "predictor", made, each.replicas)
    for kind in controller.components(isvc):
        made = controller.template(isvc, kind, world.runtimes, world.storage, changing)
        pods = variant.replicas(isvc["spec"][kind])
        if kind == "predictor":
            pods = variant.stable_replicas(isvc, variants, ready)
        add(isvc, kind, made, pods)
    return built


def _report_canaries(
    isvc: Object,
    variants: Sequence[variant.Variant],
    available: Sequence[str],
    world: World,
    changing: status.StatusUnderChange,
) -> list[str]:
    """Set the canaries' statuses and their condition; the names of those that are ready.

    A canary is ready when it has pods and the gateway has its share; where it is unknown what the
    gateway does, what was ready stays so.
    """
    if not variants:
        changing.fields.pop("canaryStatuses", None)
        changing.conditions.remove(CANARY_READY)
        return []
    stored = {each["name"]: each for each in changing.fields.get("canaryStatuses", [])}
    confirmed = world.programmed.get(route(isvc, "predictor"))
    shares = {each["revisionName"]: each["percent"] for each in confirmed or ()}
    statuses, ready = [], []
    for each in variants:
        before = stored.get(each.name, {})
        routed = each.deployment in shares if confirmed else before.get("ready", False)
        if each.name in available and routed:
            ready.append(each.name)
        seen = model_status.Observation(
            pods=world.pods.get(each.deployment, ()),
            service_conditions=(),
            ready=each.name in ready,
            current=deployments.is_complete(world.deployments.get(each.deployment, {})),
        )
        statuses.append(
            {
                "name": each.name,
                "ready": each.name in ready,
                "trafficPercent": shares.get(each.deployment, each.percent),
                "modelStatus": model_status.propagate(before.get("modelStatus", {}), seen),
            }
        )
    changing.fields["canaryStatuses"] = statuses
    if len(ready) == len(variants):
        changing.conditions.mark(CANARY_READY, "True", "AllCanariesReady")
    else:
        changing.conditions.mark(CANARY_READY, "False", "CanariesNotReady")
    return ready


def _report_components(
    isvc: Object,
    asked: Sequence[vocabulary.Component],
    world: World,
    changing: status.StatusUnderChange,
) -> None:
    """Set the components' URLs and the model's state, and forget components that are gone."""
    parts: Object = dict(changing.fields.get("components", {}))
    for component in vocabulary.COMPONENTS:
        kind = f"{component.capitalize()}Ready"
        if component not in asked:
            parts.pop(component, None)
            changing.conditions.remove(kind)
        elif changing.conditions.status(kind) == "True":
            parts[component] = {"url": _url(isvc, world.domain, f"-{component}")}
        else:
            parts.setdefault(component, {})
    changing.fields["components"] = parts
    stable = vocabulary.service_name(isvc, "predictor")
    seen = model_status.Observation(
        pods=world.pods.get(stable, ()),
        service_conditions=(),
        ready=changing.conditions.status("Ready") == "True",
        current=deployments.is_complete(world.deployments.get(stable, {})),
    )
    stored = changing.fields.get("modelStatus", {})
    changing.fields["modelStatus"] = model_status.propagate(stored, seen)


def _report_ingress(
    isvc: Object,
    asked: Sequence[vocabulary.Component],
    world: World,
    changing: status.StatusUnderChange,
) -> None:
    """Mark IngressReady and give the URLs, once every component has been routed to.

    As in KServe a route that exists stays when its component is not ready later.
    """
    ready = changing.conditions.status(status.INGRESS_READY) == "True"
    routed = all(route(isvc, component) in world.programmed for component in asked)
    if not ready and not routed:
        unready = availability.first_unready(changing.conditions, asked)
        reason, message = _NO_ROUTE
        if unready is not None:
            reason = f"{unready} Deployment NotReady"
            message = f"{unready} HTTPRoute not created"
        changing.conditions.mark(status.INGRESS_READY, "False", reason, message)
        return
    changing.fields["url"] = _url(isvc, world.domain)
    entrance = vocabulary.service_name(isvc, asked[-1])
    host = f"{entrance}.{objects.namespace(isvc)}.svc.cluster.local"
    changing.fields["address"] = {"url": f"http://{host}"}
    changing.conditions.mark(status.INGRESS_READY, "True")


def _url(isvc: Object, domain: str, suffix: str = "") -> str:
    return f"http://{objects.name(isvc)}{suffix}-{objects.namespace(isvc)}.{domain}"


def _observe(isvc: Object, changing: status.StatusUnderChange) -> None:
    generation = objects.dig(isvc, "metadata", "generation", default=1)
    changing.fields["observedGeneration"] = generation


def _is_rolled_out(
    isvc: Object, asked: Sequence[vocabulary.Component], built: _Built, world: World
) -> bool:
    """Whether every Deployment is stored as wanted, and the components' updates came to an end."""
    if not all(_is_stored(built, name, world) for name in built):
        return False
    names = [vocabulary.service_name(isvc, component) for component in asked]
    return all(deployments.is_settled(world.deployments[name]) for name in names)


def _is_stored(built: _Built, name: str, world: World) -> bool:
    present = world.deployments.get(name)
    return present is not None and present["spec"] == built[name][0]["spec"]


def _is_quiet(isvc: Object, asked: Sequence[vocabulary.Component], world: World) -> bool:
    """Whether no pod of an earlier transformer is left, which might call an earlier predictor.

    One that is ending counts: it still works on requests.
    """
    if "transformer" not in asked:
        return True
    name = vocabulary.service_name(isvc, "transformer")
    present = world.deployments[name]
    return deployments.is_complete(present) and (
        len(world.pods.get(name, ())) == present["spec"]["replicas"]
    )


def _warnings(isvc: Object, result: Object) -> list[controller.Event]:
    """What Standard mode does other than one might think, told once for each generation."""
    stored = objects.dig(isvc, "status", default={})
    generation = objects.dig(isvc, "metadata", "generation", default=1)
    first = "deploymentMode" not in stored
    reached = stored.get("observedGeneration") != generation == result.get("observedGeneration")
    if not first and not (reached and generation > 1):
        return []
    found = [
        f"spec.{component}.canaryTrafficPercent has no effect in Standard mode, where an update "
        "replaces all pods; a canary there is an entry of spec.canary"
        for component in controller.components(isvc)
        if isvc["spec"][component].get("canaryTrafficPercent") is not None
    ]
    if objects.dig(isvc, "spec", "canary", default=[]) and "transformer" in isvc["spec"]:
        found.append(
            "the transformer calls the stable predictor only: requests to the service's own host "
            f"reach no canary, those to {route(isvc, 'predictor')} are divided. Use Knative mode "
            "to divide what the transformer asks for"
        )
    return [controller.Event("Warning", "CanaryWithoutEffect", text) for text in found]
