"""A rollout in Standard mode: an entry of ``spec.canary``, KServe's canary since 0.20. Pure.

KServe deletes a Deployment that the spec no longer names at once, before the gateway has turned to
another one. So whatever is taken away has no traffic by then: a promotion first gives the canary
everything and then the predictor its name, a rollback first takes the share and then the entry, and
an undo brings the former predictor back behind the present one. Each call gives the *next* patch,
and an empty one while the cluster is still busy with the last: call it until :func:`read` shows
what was wanted.
Sources: kserve ``components/predictor.go`` (``reconcileCanaryDeployments``, ``canaryReplicaCount``)
and ``applyCanaryWeights`` in ``reconcilers/ingress/httproute_reconciler.go``.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import variant, vocabulary
from calumma.rollout import traffic
from calumma.rollout.traffic import Object, Patch

_ALL = 100
_SCALING = ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")
"""What the stable predictor keeps when a canary takes its place."""


def read(isvc: Object) -> traffic.Traffic:
    """What spec and status say of the predictor's Deployments."""
    entries = _entries(isvc)
    told = {e["name"]: e for e in objects.dig(isvc, "status", "canaryStatuses", default=[])}
    stable = vocabulary.service_name(isvc, "predictor")
    shares = {
        _deployment(isvc, each): int(told[_name(each)].get("trafficPercent") or 0)
        for each in entries
        if told.get(_name(each), {}).get("ready")
    }
    declared = {_name(each): each["trafficPercent"] for each in entries}
    seen = {name: each.get("trafficPercent") or 0 for name, each in told.items()}
    canary = _deployment(isvc, entries[0]) if entries else None
    return traffic.Traffic(
        observed=seen == declared,
        stable=stable,
        canary=canary,
        newest=canary or stable,
        canary_ready=canary in shares,
        trouble=_trouble(isvc, entries, told),
        weight=int(entries[0]["trafficPercent"]) if entries else _ALL,
        effective={stable: _ALL - sum(shares.values()), **shares},
        components=("predictor",),
    )


def _trouble(isvc: Object, entries: Sequence[Object], told: Mapping[str, Object]) -> str:
    if len(entries) > 1:
        return f"{traffic.title(isvc)} has {len(entries)} canaries; a rollout has one"
    found = told.get(_name(entries[0]), {}) if entries else {}
    return traffic.failure(found.get("modelStatus"))


def begin(isvc: Object, to: str, name: str) -> Patch:
    """A canary called ``name`` with the new model and no share.

    Raises :class:`~calumma.errors.RolloutError` where that is not possible.
    """
    _refuse_transformer(isvc)
    stable = isvc["spec"]["predictor"]
    model = stable.get("model") or {}
    if model.get("storageUri") is None:
        raise errors.RolloutError(
            f"{traffic.title(isvc)} has no spec.predictor.model.storageUri that a canary could "
            "replace; apply the manifest with an entry of spec.canary with trafficPercent: 0 and "
            "start without --to"
        )
    if model["storageUri"] == to:
        raise errors.RolloutError(
            f"{traffic.title(isvc)} serves {to} already; a rollout needs another model"
        )
    for entry in _entries(isvc):
        uri = objects.dig(entry, "predictor", "model", "storageUri")
        if _name(entry) == name and uri == to:
            return adopt(isvc)
        if entry["trafficPercent"]:
            raise errors.RolloutError(
                f"{traffic.title(isvc)} has a canary already: {_name(entry)} has "
                f"{entry['trafficPercent']}%; promote it or remove its entry first"
            )
    predictor = {
        "name": name,
        "minReplicas": _pods(isvc, {}, 0),
        "model": {"modelFormat": model["modelFormat"], "storageUri": to},
    }
    return traffic.patch(isvc, {"canary": [{"trafficPercent": 0, "predictor": predictor}]})


def name_of(isvc: Object, to: str) -> str:
    """A name for the canary with this model: the last part of its URI where that can be one."""
    part = re.sub(r"[^a-z0-9-]+", "-", to.rstrip("/").rsplit("/", 1)[-1].lower()).strip("-")
    digest = "c" + hashlib.sha256(to.encode()).hexdigest()[:7]
    own = objects.dig(isvc, "spec", "predictor", "name", default="")
    fits = len(f"{objects.name(isvc)}-{part}-predictor") <= objects.LONGEST_NAME
    return part if part and part != own and fits else digest


def adopt(isvc: Object) -> Patch:
    """What is left to do where a person has added the entry; nothing is."""
    _refuse_transformer(isvc)
    entries = _entries(isvc)
    if not entries:
        raise errors.RolloutError(
            f"{traffic.title(isvc)} has nothing to roll out: spec.canary has no entry. Name the "
            "new model with --to, or apply the manifest with an entry with trafficPercent: 0; a "
            "change of spec.predictor itself replaces all pods at once"
        )
    _only(isvc)
    return {}


def weigh(isvc: Object, weight: int) -> Patch:
    """Another share for the canary, and as many pods as that takes."""
    entry = _only(isvc)
    if entry["trafficPercent"] == weight:
        return {}
    predictor = {**entry["predictor"], "minReplicas": _pods(isvc, entry["predictor"], weight)}
    return traffic.patch(
        isvc, {"canary": [{**entry, "trafficPercent": weight, "predictor": predictor}]}
    )


def promote(isvc: Object) -> Patch:
    """All traffic for the canary; once it has that, its name for the predictor."""
    entry, now = _only(isvc), read(isvc)
    if not now.canary_ready:
        raise errors.RolloutError(
            f"{now.canary}, the canary of {traffic.title(isvc)}, is not ready to take all traffic"
            + (f": {now.trouble}" if now.trouble else "")
        )
    if entry["trafficPercent"] < _ALL:
        return weigh(isvc, _ALL)
    if not now.observed:
        return {}
    stable = isvc["spec"]["predictor"]
    return traffic.patch(isvc, {"predictor": _difference(stable, _promoted(isvc)), "canary": None})


def roll_back(isvc: Object) -> Patch:
    """No traffic for the canary; once it has none, its entry goes."""
    if not _entries(isvc):
        return {}
    if _only(isvc)["trafficPercent"]:
        return weigh(isvc, 0)
    return traffic.patch(isvc, {"canary": None}) if read(isvc).observed else {}


def previous(isvc: Object) -> dict[str, object]:
    """What an undo of the coming promotion needs: the stable predictor and the entry."""
    return {"predictor": isvc["spec"]["predictor"], "entry": _only(isvc)}


def undo(isvc: Object, before: Mapping[str, Any]) -> Patch:
    """The former predictor, behind the promoted one until it is ready; then that goes."""
    if not before:
        raise errors.RolloutError(
            f"nothing is known of the predictor that {traffic.title(isvc)} had before, so its "
            "promotion cannot be undone; roll out the former model again with --to"
        )
    former, entry = before["predictor"], before["entry"]
    entries, present = _entries(isvc), isvc["spec"]["predictor"]
    spec = {**isvc["spec"], "predictor": former, "canary": [entry]}
    if not entries and _holds(present, _promoted({**isvc, "spec": spec})):
        pods = _pods({"spec": spec}, entry["predictor"], _ALL)
        behind = {
            **entry,
            "trafficPercent": _ALL,
            "predictor": {**entry["predictor"], "minReplicas": pods},
        }
        return traffic.patch(isvc, {"predictor": _difference(present, former), "canary": [behind]})
    if not _holds(present, former) or any(_name(each) != _name(entry) for each in entries):
        raise errors.RolloutError(
            f"the promotion of {_name(entry)} cannot be undone: {traffic.title(isvc)} was changed "
            "after it. Roll out the former model again with --to"
        )
    is_back = traffic.condition(isvc, "PredictorReady")["status"] == "True"
    return roll_back(isvc) if is_back and read(isvc).observed else {}


def _entries(isvc: Object) -> list[dict[str, Any]]:
    return list(objects.dig(isvc, "spec", "canary", default=[]))


def _only(isvc: Object) -> dict[str, Any]:
    """The one canary."""
    entries = _entries(isvc)
    if len(entries) != 1:
        names = ", ".join(map(_name, entries))
        raise errors.RolloutError(
            f"{traffic.title(isvc)} has {f'the canaries {names}' if entries else 'no canary'}; a "
            "rollout has exactly one entry of spec.canary"
        )
    return entries[0]


def _name(entry: Object) -> str:
    return str(objects.dig(entry, "predictor", "name", default=""))


def _deployment(isvc: Object, entry: Object) -> str:
    spec = {"predictor": {"name": _name(entry)}}
    return vocabulary.service_name({**isvc, "spec": spec}, "predictor")


def _pods(isvc: Object, canary: Object, weight: int) -> int:
    """The pods of a canary: its share of the stable predictor's, never fewer than it has.

    KServe would give none to a canary without a share, which then counts as ready all the same.
    """
    least = int(objects.dig(isvc, "spec", "predictor", "minReplicas", default=1))
    if not least:
        raise errors.RolloutError(
            "a canary may not have more pods than the stable predictor's minReplicas, which is 0, "
            "so it would have none to answer; set minReplicas to at least 1"
        )
    share = math.ceil(least * weight / _ALL)
    return min(least, max(1, share, int(canary.get("minReplicas") or 0)))


def _promoted(isvc: Object) -> dict[str, Any]:
    """The canary as the predictor: with the stable one's scaling."""
    stable = isvc["spec"]["predictor"]
    (made,) = variant.canaries(isvc)
    own = {k: v for k, v in made.isvc["spec"]["predictor"].items() if k not in _SCALING}
    return {**own, **{key: stable[key] for key in _SCALING if key in stable}}


def _difference(old: Object, new: Object) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) that makes ``new`` of ``old``."""
    found: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = _difference(before, value)
            found.update({key: inner} if inner else {})
        elif before != value:
            found[key] = value
    return found


def _holds(present: Any, wanted: Any) -> bool:
    """Whether an object is as it was written; admission may have added defaults."""
    if isinstance(wanted, Mapping) and isinstance(present, Mapping):
        return all(_holds(present.get(key), value) for key, value in wanted.items())
    return bool(present == wanted)


def _refuse_transformer(isvc: Object) -> None:
    if objects.dig(isvc, "spec", "transformer") is not None:
        raise errors.RolloutError(
            f"{traffic.title(isvc)} has a transformer, and in Standard mode that calls the stable "
            "predictor only: no user's request would reach the canary. Use Knative mode, where "
            "canaryTrafficPercent divides what the transformer asks for"
        )
