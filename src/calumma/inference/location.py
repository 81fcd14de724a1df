"""From an InferenceService's name to what an evaluation needs to know of it.

It asks the Kubernetes API through KServe's official client and the kubeconfig that ``KUBECONFIG``
names, so that the same notebook works on this machine and on a real cluster. On this machine the
ConfigMap ``calumma`` in namespace ``kserve`` also says where Prometheus is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from calumma import errors
from calumma.inference import connection


class Target(NamedTuple):
    """A revision of the predictor and its declared share of the traffic, in percent.

    In Standard mode a revision is a Deployment. ``url`` is where this predictor revision alone
    answers, past any transformer and whatever its share; None where the cluster gives it no host.
    """

    revision: str
    percent: int
    latest: bool
    url: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """Where a ready InferenceService answers.

    ``url`` is its ``status.url``, ``model`` the name in the protocol's paths, ``targets`` the
    declared split of its predictor (empty where the cluster does not declare one; of another
    component where :func:`endpoint` was asked for it), and
    ``prometheus`` the address of the cluster's Prometheus, None when it names none. ``standard``
    says that it is in Standard mode, ``transformed`` that the targets are behind a transformer.
    ``predictor`` is where the predictor answers without its transformer, None where the status does
    not say.
    """

    service: str
    namespace: str
    url: str
    model: str
    targets: tuple[Target, ...]
    prometheus: str | None
    standard: bool = False
    transformed: bool = False
    predictor: str | None = None

    @property
    def latest(self) -> Target | None:
        """The newest revision that can answer."""
        return next((target for target in self.targets if target.latest), None)

    @property
    def stable(self) -> Target | None:
        """The revision that a canary is compared with; without a canary the latest."""
        return next((target for target in self.targets if not target.latest), self.latest)

    def target(self, which: str) -> Target | None:
        """The revision that is ``latest`` or ``stable``; None where the cluster declares none.

        Raises :class:`~calumma.errors.EvaluationError` for another word, and for a revision that
        no request would reach.
        """
        if which not in ("latest", "stable"):
            raise errors.EvaluationError(f"the revision {which!r} is neither latest nor stable")
        found = self.latest if which == "latest" else self.stable
        if found is not None and not found.percent:
            raise errors.EvaluationError(
                f"{found.revision}, the {which} revision of {self.service} in namespace "
                f"{self.namespace}, has no share of the traffic ({self._shares}), so no answer "
                "would be its own; give it one with canaryTrafficPercent, or judge "
                f"{'stable' if which == 'latest' else 'latest'}, the other revision"
            )
        return found

    def canary(self) -> tuple[Target, Target]:
        """The stable revision and the canary that shares its traffic.

        Raises :class:`~calumma.errors.NoCanary` when the traffic is not split between two.
        """
        stable, latest = self.sides()
        if not 0 < latest.percent < 100:
            raise self._without("canary with a share of the traffic")
        if self.standard and self.transformed:
            raise errors.EvaluationError(
                f"in Standard mode the transformer of {self._name} calls the stable predictor "
                f"only, so no request reaches {latest.revision}; replay requests to both, or "
                "use Knative mode"
            )
        return stable, latest

    def hosts(self) -> tuple[Target, Target]:
        """The stable revision and the canary, whatever its share, each with a host of its own.

        Raises :class:`~calumma.errors.EvaluationError` where there is no canary or no such host.
        """
        stable, latest = self.sides()
        if stable.url is None or latest.url is None:
            raise errors.EvaluationError(
                f"the revisions of {self._name} have no hosts of their own, to which a request "
                "could be sent as a pair; give both the annotation "
                'serving.kserve.io/enable-tag-routing: "true" (it makes a new revision), or use '
                "live traffic"
            )
        return stable, latest

    def sides(self) -> tuple[Target, Target]:
        """The stable revision and the canary, whatever their shares.

        Raises :class:`~calumma.errors.EvaluationError` where there is not exactly one canary.
        """
        stable, latest = self.stable, self.latest
        if len(self.targets) > 2:
            raise errors.EvaluationError(
                f"{self._name} has {len(self.targets) - 1} canaries ({self._shares}); "
                "one at a time is compared with the stable one"
            )
        if stable is None or latest is None or stable.revision == latest.revision:
            raise self._without("canary")
        return stable, latest

    def _without(self, what: str) -> errors.NoCanary:
        where = "trafficPercent of the canary" if self.standard else "canaryTrafficPercent"
        return errors.NoCanary(
            f"{self._name} has no {what} "
            f"({self._shares or 'it declares no split'}); set {where} between 1 and 99"
        )

    @property
    def _name(self) -> str:
        return f"{self.service} in namespace {self.namespace}"

    @property
    def _shares(self) -> str:
        return ", ".join(f"{target.revision}: {target.percent}%" for target in self.targets)


def locate(service: str, namespace: str = "default") -> Endpoint:
    """Find a ready InferenceService.

    Raises :class:`~calumma.errors.ServiceUnavailable` when no cluster answers, and when the
    service is missing or not ready.
    """
    import kubernetes

    name = f"the InferenceService {service} in namespace {namespace}"
    with connection.reaching(name):
        try:
            client = connection.connect()
            isvc = client.get(service, namespace=namespace)
            prometheus = connection.prometheus(client)
        except (RuntimeError, kubernetes.client.ApiException) as error:
            # KServeClient raises RuntimeError over the API's exception, which knows the status.
            is_api = isinstance(error, kubernetes.client.ApiException)
            cause = error if is_api else error.__context__
            status, reason = getattr(cause, "status", "nothing"), getattr(cause, "reason", error)
            found = "it does not exist" if status == 404 else f"the API answered {status} {reason}"
            raise errors.ServiceUnavailable(f"{name} cannot be evaluated: {found}") from error
    return endpoint(isvc, prometheus)


def endpoint(
    isvc: dict[str, Any], prometheus: str | None = None, component: str = "predictor"
) -> Endpoint:
    """What an InferenceService says of itself; the cluster is not asked.

    The targets are those of the ``component``. Raises
    :class:`~calumma.errors.ServiceUnavailable` for a service that is not ready.
    """
    service, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
    status = isvc.get("status", {})
    ready: dict[str, str] = next(
        (item for item in status.get("conditions", []) if item["type"] == "Ready"), {}
    )
    if ready.get("status") != "True" or not status.get("url"):
        reason = ready.get("message") or ready.get("reason") or "it has not reported yet"
        raise errors.ServiceUnavailable(
            f"the InferenceService {service} in namespace {namespace} is not ready: {reason}"
        )
    spec = isvc.get("spec", {})
    standard = status.get("deploymentMode") in ("Standard", "RawDeployment")
    if standard:
        targets = _deployments(service, namespace, isvc) if component == "predictor" else ()
    else:
        targets = _revisions(status, component)
    return Endpoint(
        service,
        namespace,
        status["url"],
        _model_name(spec) or service,
        targets,
        prometheus,
        standard,
        component == "predictor" and "transformer" in spec,
        status.get("components", {}).get("predictor", {}).get("url"),
    )


def _revisions(status: dict[str, Any], component: str) -> tuple[Target, ...]:
    """The revisions of Knative mode, by the traffic that the status declares."""
    traffic = status.get("components", {}).get(component, {}).get("traffic", [])
    return tuple(
        Target(
            revision=target["revisionName"],
            percent=target.get("percent", 0),
            latest=target.get("latestRevision", False),
            url=target.get("url"),
        )
        for target in traffic
        if target.get("revisionName")
    )


def _deployments(service: str, namespace: str, found: dict[str, Any]) -> tuple[Target, ...]:
    """The Deployments of Standard mode, if there is a canary: the stable one has what is left.

    A canary that is not ready gets nothing, whatever its entry says.
    """
    status = found["status"]
    canaries = [each for each in status.get("canaryStatuses", []) if each.get("ready")]
    if not canaries:
        return ()
    own = found["spec"]["predictor"].get("name")
    rest = 100 - sum(each.get("trafficPercent", 0) for each in canaries)
    named = [(own, rest, False)]
    named += [(each["name"], each.get("trafficPercent", 0), True) for each in canaries]
    targets = []
    for name, percent, latest in named:
        revision = f"{service}-{name}-predictor" if name else f"{service}-predictor"
        url = _service_url(status["url"], revision, namespace)
        targets.append(Target(revision, percent, latest, url))
    return tuple(targets)


def _service_url(url: str, name: str, namespace: str) -> str:
    """Where the Service of a Deployment answers: here by the gateway, on a cluster inside it."""
    parts = urlsplit(url)
    if not (parts.hostname or "").endswith(".localhost"):
        return f"http://{name}.{namespace}.svc.cluster.local"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{name}.{namespace}.localhost{port}"


def _model_name(spec: dict[str, Any]) -> str | None:
    """The ``--model_name`` of the container that a caller meets first, if the manifest sets one."""
    component = spec.get("transformer") or spec.get("predictor") or {}
    containers = component.get("containers") or [component.get("model") or {}]
    arguments = containers[0].get("args") or []
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--model_name":
            return value if equals else next(iter(arguments[position + 1 :]), None)
    return None
