"""A rollout in Knative mode: ``canaryTrafficPercent``, and what KServe makes of it. Pure.

KServe keeps four names for each component: the latest created, latest ready, latest rolled out and
previous rolled out revision. The share belongs to the latest *ready* revision and the rest to the
latest rolled out one, so the same percentage means something else in each state: it can give a
revision that was rolled back its share again (kserve/kserve#2130), or return traffic to the one
before. Every patch here is refused with a sentence where it would do that.
Sources: kserve ``ksvc_reconciler.go`` (targets), ``PropagateStatus`` in
``inference_service_status.go`` (what counts as rolled out).

``status.observedGeneration`` is no help: KServe copies that of the last component's Knative
Service, which counts otherwise. A change of the share is in effect when the status shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import vocabulary
from calumma.rollout import traffic
from calumma.rollout.traffic import Object, Patch

_LATEST = "latest-"
"""What Knative puts before a Service's name to make the host of the tag."""


class _Part(NamedTuple):
    """A component: its four revisions (None where KServe names none yet) and its shares.

    ``percent`` is the declared share of the newest revision; ``traffic`` is the status'.
    """

    name: vocabulary.Component
    created: str | None
    ready: str | None
    rolled_out: str | None
    previous: str | None
    percent: int
    traffic: Sequence[Mapping[str, Any]]

    @property
    def is_new(self) -> bool:
        """Whether there is a revision that is not rolled out, while another one is."""
        return self.rolled_out is not None and self.created not in (None, self.rolled_out)

    @property
    def is_ready(self) -> bool:
        """Whether the newest revision is the one that would get the share."""
        return self.created is not None and self.created == self.ready

    @property
    def in_effect(self) -> bool:
        """Whether the status' traffic is what the spec declares."""
        shares = [each.get("percent") or 0 for each in self.traffic if each.get("latestRevision")]
        wanted = self.percent if self.rolled_out is not None else 100
        return bool(shares) and sum(shares) == wanted


def _part(isvc: Object, component: vocabulary.Component) -> _Part:
    found = objects.dig(isvc, "status", "components", component, default={})
    return _Part(
        component,
        found.get("latestCreatedRevision") or None,
        found.get("latestReadyRevision") or None,
        found.get("latestRolledoutRevision") or None,
        found.get("previousRolledoutRevision") or None,
        int(objects.dig(isvc, "spec", component, "canaryTrafficPercent", default=100)),
        found.get("traffic") or (),
    )


def _parts(isvc: Object) -> list[_Part]:
    return [
        _part(isvc, each)
        for each in vocabulary.COMPONENTS
        if objects.dig(isvc, "spec", each) is not None
    ]


def _paired(parts: Sequence[_Part]) -> list[_Part]:
    """The predictor, and the transformer when both have a canary: their shares move together.

    A transformer with a new revision and no declared share is no canary: it takes all traffic as
    soon as it is ready, whatever becomes of the predictor.
    """
    return [each for each in parts if each.name == "predictor" or (each.is_new and _split(each))]


def _split(part: _Part) -> bool:
    return part.percent < 100


def read(isvc: Object) -> traffic.Traffic:
    """What the status says of the predictor's revisions."""
    parts = _parts(isvc)
    own, pair = parts[0], _paired(parts)
    effective: Counter[str] = Counter()
    for target in own.traffic:
        if target.get("revisionName"):
            effective[target["revisionName"]] += target.get("percent") or 0
    failed = [traffic.condition(isvc, _configuration(each))["status"] == "False" for each in pair]
    return traffic.Traffic(
        observed=all(each.in_effect for each in parts),
        stable=own.rolled_out,
        canary=own.created if own.is_new else None,
        newest=own.created,
        canary_ready=own.is_new and all(each.is_ready for each in pair) and not any(failed),
        trouble=next(_troubles(isvc, pair), "") if own.is_new else "",
        weight=own.percent,
        effective=dict(effective),
        components=tuple(each.name for each in pair),
    )


def _configuration(part: _Part) -> str:
    return f"{part.name.capitalize()}ConfigurationReady"


def _troubles(isvc: Object, parts: Sequence[_Part]) -> Iterator[str]:
    """Why a newest revision is not ready, the most exact words first."""
    for part in parts:
        for kind in (_configuration(part), f"{part.name.capitalize()}Ready"):
            found = traffic.condition(isvc, kind)
            if found["status"] == "False":
                yield str(found.get("message") or found.get("reason") or kind)
    model = traffic.failure(objects.dig(isvc, "status", "modelStatus"))
    if model:
        yield model


def begin(isvc: Object, to: str, *, pairs: bool) -> Patch:
    """The new model and a share of 0 in one patch; with ``pairs`` also a host for the canary.

    Raises :class:`~calumma.errors.RolloutError` where the patch would do something else.
    """
    own = _serving(isvc)
    present = objects.dig(isvc, "spec", "predictor", "model", "storageUri")
    if present is None:
        raise errors.RolloutError(
            f"{traffic.title(isvc)} has no spec.predictor.model.storageUri that could be replaced; "
            "apply the changed manifest with canaryTrafficPercent: 0 and start without --to"
        )
    if present == to:
        if own.is_new:
            return adopt(isvc, pairs=pairs)
        raise errors.RolloutError(
            f"{traffic.title(isvc)} serves {to} already, as {own.rolled_out}; a rollout needs "
            "another model"
        )
    if own.is_new and own.is_ready and own.percent:
        raise errors.RolloutError(
            f"{traffic.title(isvc)} has a canary already: {own.created} has {own.percent}% beside "
            f"{own.rolled_out}; promote it or set its canaryTrafficPercent to 0 first"
        )
    for other in _parts(isvc)[1:]:
        if other.is_new:
            raise errors.RolloutError(
                f"the {other.name} of {traffic.title(isvc)} has a new revision of its own, "
                f"{other.created} with {other.percent}%, which a new model would take along; "
                "promote it, or apply its former template again, and start when that is ready"
            )
    model = {"storageUri": to}
    return traffic.patch(
        isvc, {"predictor": {"canaryTrafficPercent": 0, "model": model, **_tag(isvc, pairs)}}
    )


def adopt(isvc: Object, *, pairs: bool) -> Patch:
    """What is left to do where a person has applied the change with a share below 100."""
    own = _serving(isvc)
    if not own.is_new:
        others = [each.name for each in _parts(isvc) if each.is_new]
        only = f"; only its {others[0]} has a new revision" if others else ""
        raise errors.RolloutError(
            f"{traffic.title(isvc)} has nothing to roll out: {own.rolled_out} is the newest "
            f"revision of its predictor and has all traffic{only}. Name the new model with --to, "
            "or apply a changed manifest with canaryTrafficPercent: 0"
        )
    if not _split(own):
        raise errors.RolloutError(
            f"{own.created}, the new revision of {traffic.title(isvc)}, gets all traffic as soon "
            "as it is ready, because nothing holds it back; set canaryTrafficPercent: 0 now, and "
            "next time in the change itself"
        )
    tag = _tag(isvc, pairs)
    if not tag:
        return {}
    if own.percent:
        raise errors.RolloutError(
            f"{own.created}, the canary of {traffic.title(isvc)}, has {own.percent}% and no host "
            "of its own, which pairs need; its annotation makes a new revision, so set "
            "canaryTrafficPercent to 0 first"
        )
    return traffic.patch(isvc, {"predictor": {"canaryTrafficPercent": 0, **tag}})


def weigh(isvc: Object, components: Sequence[str], weight: int) -> Patch:
    """Another share for the canaries of these components."""
    return _shares(isvc, components, weight, f"{weight}%")


def promote(isvc: Object, components: Sequence[str]) -> Patch:
    """All traffic for the canaries; the former revisions stay to be returned to."""
    return _shares(isvc, components, 100, "all traffic")


def roll_back(isvc: Object, components: Sequence[str]) -> Patch:
    """No traffic for the canaries, which stay at hand without any."""
    return _shares(isvc, components, 0, "no traffic")


def previous(isvc: Object) -> dict[str, object]:
    """What an undo of the coming promotion returns to: the revisions by component."""
    return {
        each.name: {"revision": each.created, "former": each.rolled_out}
        for each in _paired(_parts(isvc))
        if each.is_new
    }


def undo(isvc: Object, before: Mapping[str, Any]) -> Patch:
    """After a promotion: a share of 0 makes KServe return to the previous rolled out revision."""
    wanted: dict[str, Any] = {}
    for name in before or {"predictor": {}}:
        part = _part(isvc, "transformer" if name == "transformer" else "predictor")
        expected = before.get(name, {})
        former = expected.get("former", part.previous)
        if part.rolled_out == former and part.percent == 0:
            continue
        newer = next(
            (
                each
                for each in (part.created, part.ready, part.rolled_out)
                if each != expected.get("revision", part.rolled_out)
            ),
            None,
        )
        if newer is not None:
            raise errors.RolloutError(
                f"the promotion of {expected.get('revision', part.rolled_out)} cannot be undone: "
                f"{newer} came after it. Roll out the former model again with --to"
            )
        if former is None or part.previous != former or former == part.rolled_out:
            raise errors.RolloutError(
                f"the promotion of {part.rolled_out} cannot be undone: KServe would return to "
                f"{part.previous or 'no revision'}, not to {former or 'a former one'}. Roll out "
                "the former model again with --to"
            )
        wanted[name] = {"canaryTrafficPercent": 0}
    return traffic.patch(isvc, wanted) if wanted else {}


def _serving(isvc: Object) -> _Part:
    """The predictor, once a revision of it is rolled out, without which no share has an effect."""
    own = _part(isvc, "predictor")
    if own.rolled_out is None:
        raise errors.RolloutError(
            f"{traffic.title(isvc)} has no revision yet that served all traffic "
            f"({traffic.condition(isvc, 'Ready').get('message') or 'it is not ready'}), so "
            "canaryTrafficPercent would have no effect; start when it is ready"
        )
    return own


def _tag(isvc: Object, pairs: bool) -> dict[str, Any]:
    """The annotation that gives the canary a host, where it is needed and missing.

    It stands at the predictor, which gets a new revision anyway: at the InferenceService it would
    make one of the transformer, too. The stable revision has a host ``prev-`` without it.
    """
    own = objects.dig(isvc, "spec", "predictor", "annotations", default={})
    if not pairs or {**objects.annotations_of(isvc), **own}.get(vocabulary.TAG_ROUTING) == "true":
        return {}
    host = _LATEST + vocabulary.service_name(isvc, "predictor")
    if len(host) > objects.LONGEST_NAME:
        raise errors.RolloutError(
            f"{traffic.title(isvc)} cannot be asked in pairs: the canary's host would be {host}, "
            f"{len(host)} characters where DNS allows {objects.LONGEST_NAME} (kserve/kserve#2428); "
            "use a shorter name, or metrics of live traffic"
        )
    return {"annotations": {vocabulary.TAG_ROUTING: "true"}}


def _shares(isvc: Object, components: Sequence[str], weight: int, what: str) -> Patch:
    """The same share for several components, where it means the newest revision of each."""
    wanted: dict[str, Any] = {}
    for part in _parts(isvc):
        if part.name not in components or part.percent == weight:
            continue
        if not part.is_new:
            returns = f"; it would return traffic to {part.previous}" if part.previous else ""
            raise errors.RolloutError(
                f"the {part.name} of {traffic.title(isvc)} has no canary that could get {what}: "
                f"{part.rolled_out or 'no revision'} is rolled out and the newest{returns}"
            )
        if weight and not part.is_ready:
            raise errors.RolloutError(
                f"{part.created}, the canary of {traffic.title(isvc)}, is not ready; {what} would "
                f"go to {part.ready}, the latest revision that is (kserve/kserve#2130)"
            )
        wanted[part.name] = {"canaryTrafficPercent": weight}
    return traffic.patch(isvc, wanted) if wanted else {}
