"""Envoy's routes of one split: shares by weight, users who stay, and requests that are mirrored.

Users are told apart by a header or a cookie. Envoy takes the hash (xxHash64) of its value modulo
the sum of the weights, which is 100, and the cluster in whose interval that falls. The order of the
clusters stays while their weights change, and all splits of a service have the same order. So, as
long as there are two of them, a user has the same side in each component, a weight that grows only
moves users to it, and who sends no such value is split by chance.

A mirrored request goes to the canary beside the user's own, to its end or to nowhere: nobody waits
for it, and its answer is thrown away. It carries :data:`MIRRORED`. Where it reaches a transformer,
the transformer's calls carry that too, and lead to the canary's predictor and to nobody else.
Envoy counts it as a request of the canary, and apart from users' in the metrics that have
``internal`` in their name.

Source: Envoy's v3 API reference (RouteAction, WeightedCluster, RequestMirrorPolicy, HashPolicy,
Header-To-Metadata).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from calumma.cluster.programs import upstreams
from calumma.cluster.programs.upstreams import Resource

MIRRORED = "x-calumma-mirrored"
"""The header of a mirrored request. From outside it is taken away."""

USER = "x-calumma-user"
"""The header in which the gateway passes on the value that tells users apart, under a name that
transformers know. From outside it is taken away."""

READER = "envoy.filters.http.header_to_metadata"
_READER = "extensions.filters.http.header_to_metadata.v3.Config"
_READ = "calumma"
_PREVIOUS = "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
_ATTEMPTS = 4
"""A request whose pod dies is repeated this often: at another pod, or at the gate, where it waits.

Bounded, because the request may be what killed the pod."""


@dataclass(frozen=True)
class Mirror:
    """The backend that gets ``percent`` of the requests as well.

    With a ``percent`` of 0 it only gets those that are mirrored ones already.
    """

    backend: str
    percent: int


@dataclass(frozen=True)
class Users:
    """What tells users apart: a header or a cookie."""

    header: str = ""
    cookie: str = ""


@dataclass(frozen=True)
class Split:
    """Where a component's requests go: ``(backend name, weight)``, and what each answer says.

    ``timeout`` is in seconds. With ``grpc`` each backend has another one for its gRPC port
    (:data:`upstreams.GRPC`), where inference by gRPC goes.
    """

    component: str
    shares: tuple[tuple[str, int], ...]
    timeout: float
    grpc: bool = False
    mirror: Mirror | None = None
    users: Users | None = None

    @property
    def backends(self) -> set[str]:
        """All backends that requests can reach by it."""
        mirrored = {self.mirror.backend} if self.mirror else set()
        return {name for name, _ in self.shares} | mirrored


def revision_header(component: str) -> str:
    """The response header that names the revision of a component which answered."""
    return f"x-calumma-{component}-revision"


def routes(split: Split, *, inside: bool = False) -> list[Resource]:
    """The routes of a split: gRPC inference first where it has a port of its own, as in KServe.

    Those that are ``inside`` are for transformers, whose mirrored requests come first.
    """
    ways = [_way(split)]
    if inside and split.mirror is not None:
        alone = replace(split, shares=((split.mirror.backend, 100),), mirror=None, users=None)
        ways.insert(0, _with_header(_way(alone), {"name": MIRRORED, "present_match": True}))
    if not split.grpc:
        return ways
    named = {name: f"{name}{upstreams.GRPC}" for name in split.backends}
    shares = tuple((named[name], weight) for name, weight in split.shares)
    mirror = split.mirror and replace(split.mirror, backend=named[split.mirror.backend])
    kind = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    path = {"prefix": "/inference.GRPCInferenceService/"}
    second = routes(replace(split, shares=shares, mirror=mirror, grpc=False), inside=inside)
    return [
        _with_header({**each, "match": {**each["match"], **path}}, kind) for each in second
    ] + ways


def from_outside(split: Split) -> Resource:
    """What happens to the headers of requests from outside: only the gateway says what is its own.

    A part of a virtual host.
    """
    made: Resource = {"request_headers_to_remove": [MIRRORED, USER]}
    if split.users is not None:
        named = {"header": split.users.header, "cookie": split.users.cookie}
        found = {"metadata_namespace": _READ, "key": "user", "type": "STRING"}
        rule = {**{k: v for k, v in named.items() if v}, "on_header_present": found}
        made["typed_per_filter_config"] = {
            READER: {"@type": f"{upstreams.API}.{_READER}", "request_rules": [rule]}
        }
        value = f"%DYNAMIC_METADATA({_READ}:user)%"
        made["request_headers_to_add"] = [assigned(USER, value)]
    return made


def reader() -> Resource:
    """The filter that reads who a user is, as each virtual host says; by itself it does nothing."""
    return {"name": READER, "typed_config": {"@type": f"{upstreams.API}.{_READER}"}}


def assigned(name: str, value: str) -> Resource:
    """A header that a message gets, whether it had it or not."""
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _with_header(route: Resource, header: Resource) -> Resource:
    match = route["match"]
    return {**route, "match": {**match, "headers": [*match.get("headers", ()), header]}}


def _way(split: Split) -> Resource:
    header = revision_header(split.component)
    weighted = [
        {
            "name": name,
            "weight": weight,
            "response_headers_to_add": [assigned(header, _revision(name))],
        }
        for name, weight in split.shares
    ]
    action: Resource = {
        "weighted_clusters": {"clusters": weighted},
        "timeout": f"{split.timeout:g}s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset",
            "num_retries": _ATTEMPTS - 1,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
            "retry_priority": {
                "name": "envoy.retry_priorities.previous_priorities",
                "typed_config": {"@type": f"{upstreams.API}.{_PREVIOUS}", "update_frequency": 1},
            },
        },
    }
    if split.users is not None:
        action["weighted_clusters"]["use_hash_policy"] = True
        action["hash_policy"] = _hashed(split.users)
    if split.mirror is not None and split.mirror.percent:
        action["request_mirror_policies"] = [_mirror(split.mirror)]
    return {"match": {"prefix": "/"}, "route": action}


def _hashed(users: Users) -> list[Resource]:
    """A transformer's call says by our header who the user is, a user by their own way."""
    ours = {"header": {"header_name": USER}, "terminal": True}
    if users.cookie:
        return [ours, {"cookie": {"name": users.cookie}}]
    return [ours, {"header": {"header_name": users.header}}]


def _mirror(mirror: Mirror) -> Resource:
    return {
        "cluster": mirror.backend,
        "runtime_fraction": {
            "default_value": {"numerator": mirror.percent, "denominator": "HUNDRED"}
        },
        "disable_shadow_host_suffix_append": True,
        "request_headers_mutations": [{"append": assigned(MIRRORED, "true")}],
    }


def _revision(backend: str) -> str:
    return backend.rsplit("/", 1)[1].removesuffix(upstreams.GRPC)
