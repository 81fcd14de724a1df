"""The InferenceService's status, from its components' Knative Services.

Source: kserve ``inference_service_status.go`` (``PropagateStatus``,
``PropagateCrossComponentStatus``) and ``reconcilers/ingress/ingress_reconciler.go``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calumma.cluster import conditions, objects
from calumma.cluster.kserve import traffic, vocabulary
from calumma.cluster.objects import Object

PREDICTOR_READY = "PredictorReady"
INGRESS_READY = "IngressReady"
ROUTES_READY = "RoutesReady"
LATEST_DEPLOYMENT_READY = "LatestDeploymentReady"
STOPPED = "Stopped"
DEPENDENTS = (PREDICTOR_READY, INGRESS_READY)


class StatusUnderChange:
    """An InferenceService's status while one pass works on it; ``result`` is what to store."""

    def __init__(self, isvc: Mapping[str, Any], now: str) -> None:
        stored = objects.dig(isvc, "status", default={})
        self._isvc = isvc
        self.fields: Object = {k: v for k, v in stored.items() if k != "conditions"}
        self.conditions = conditions.Conditions(stored.get("conditions", ()), DEPENDENTS, now)

    def component(self, component: vocabulary.Component) -> Object:
        """The part of one component, empty when it has none yet."""
        return dict(objects.dig(self.fields, "components", component, default={}))

    def rollout(self, component: vocabulary.Component) -> traffic.Rollout:
        """The component's latest and previous rolled out revision."""
        part = self.component(component)
        return traffic.Rollout(
            part.get("latestRolledoutRevision", ""), part.get("previousRolledoutRevision", "")
        )

    def propagate(self, component: vocabulary.Component, service_status: Mapping[str, Any]) -> None:
        """Take over the status of the component's Knative Service."""
        part = self.component(component)
        rollout = traffic.rolled_out(self.rollout(component), service_status)
        found = {
            "latestCreatedRevision": service_status.get("latestCreatedRevisionName"),
            "latestReadyRevision": service_status.get("latestReadyRevisionName"),
            "latestRolledoutRevision": rollout.latest,
            "previousRolledoutRevision": rollout.previous,
            "traffic": service_status.get("traffic"),
        }
        part = {key: value for key, value in {**part, **found}.items() if value}
        theirs = service_status.get("conditions", ())
        if conditions.is_true(theirs):
            part.update({key: service_status[key] for key in ("address", "url")})
        self.fields["components"] = {**self.fields.get("components", {}), component: part}
        title = component.capitalize()
        self.conditions.copy(f"{title}Ready", conditions.find(theirs, conditions.READY))
        self.conditions.copy(f"{title}RouteReady", conditions.find(theirs, "RoutesReady"))
        self.conditions.copy(
            f"{title}ConfigurationReady", conditions.find(theirs, "ConfigurationsReady")
        )

    def aggregate(self, components: Sequence[vocabulary.Component]) -> None:
        """Summarize routes and configurations over all components."""
        for summary, part in (
            (ROUTES_READY, "RouteReady"),
            (LATEST_DEPLOYMENT_READY, "ConfigurationReady"),
        ):
            status: conditions.Status = "True"
            reason = ""
            for component in components:
                kind = f"{component.capitalize()}{part}"
                if self.conditions.status(kind) != "True":
                    status, reason = self.conditions.status(kind), f"{kind} not ready"
            self.conditions.mark(summary, status, reason)

    def ingress(self, components: Sequence[vocabulary.Component]) -> None:
        """Mark IngressReady, and give the public and the internal URL once there are any.

        The last of ``components`` is the entrance. As in KServe the URLs are kept when a component
        is not ready later, and IngressReady is then True again although the reason was set just
        before.
        """
        for component in components:
            ready = self.conditions.status(f"{component.capitalize()}Ready")
            if ready != "True":
                text = f"{component.capitalize()} ingress not created"
                self.conditions.mark(INGRESS_READY, ready, text)
                break
        entrance = components[-1]
        url = self.component(entrance).get("url")
        if not url:
            return
        self.fields["url"] = _public(url, entrance)
        host = f"{objects.name(self._isvc)}.{objects.namespace(self._isvc)}.svc.cluster.local"
        self.fields["address"] = {"url": f"http://{host}"}
        self.conditions.mark(INGRESS_READY, "True")

    def stop(self, components: Sequence[vocabulary.Component]) -> None:
        """Forget everything but the deployment mode, and say that the service is stopped."""
        mode = self.fields.get("deploymentMode")
        self.fields = {} if mode is None else {"deploymentMode": mode}
        kinds = [f"{component.capitalize()}Ready" for component in components]
        for condition in self.conditions.as_list():
            self.conditions.remove(condition["type"])
        for kind in [*kinds, INGRESS_READY]:
            self.conditions.mark(kind, "False", STOPPED)
        self.conditions.mark(STOPPED, "True")

    def keep_only(self, components: Sequence[vocabulary.Component]) -> None:
        """Forget the components that the object has no more, whose Services are removed."""
        for gone in set(vocabulary.COMPONENTS) - set(components):
            title = gone.capitalize()
            for kind in ("Ready", "RouteReady", "ConfigurationReady"):
                self.conditions.remove(f"{title}{kind}")
            if gone in self.fields.get("components", {}):
                left = {k: v for k, v in self.fields["components"].items() if k != gone}
                self.fields["components"] = left

    def result(self) -> Object:
        """The status to store."""
        return {**self.fields, "conditions": self.conditions.as_list()}


def _public(component_url: str, component: vocabulary.Component) -> str:
    """The service's URL from its entrance's, by KServe's replacement of the first occurrence."""
    host = component_url.split("://", 1)[1]
    if "-default" in host:
        return component_url.replace(f"-{component}-default", "", 1)
    return component_url.replace(f"-{component}", "", 1)
