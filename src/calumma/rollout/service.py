"""An InferenceService as a rollout sees it, and the patches that carry the rollout out. Pure.

The same functions work in Knative mode (:mod:`.knative`) and in Standard mode (:mod:`.standard`),
on the one-machine cluster and on KServe, by nothing but the InferenceService. Each patch is a JSON
merge patch (null removes) with the ``resourceVersion`` that was read, so a change of somebody else
in between makes it fail instead of being overwritten. A patch may be empty: then nothing is to be
done now, because it is done or because the cluster is still busy with the step before. In Standard
mode promotion, rollback and undo take several patches: call the function again at each look until
the view shows what was wanted.

Nothing of ours is written into the object. The one annotation is the user's own,
:data:`.names.POLICY`; any annotation is part of every component's template and makes revisions.
Next: :mod:`.decision`.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calumma.cluster import objects
from calumma.cluster.knative import route
from calumma.cluster.kserve import configuration, vocabulary
from calumma.rollout import knative, names, standard, traffic
from calumma.rollout.traffic import Object, Patch


@dataclass(frozen=True)
class View(traffic.Traffic):
    """What a rollout needs to know of an InferenceService.

    ``observed`` says that the status shows the shares of the spec, ``ready`` is the condition.
    ``stable`` and ``canary`` are revisions, in Standard mode Deployments: the one with the rest of
    the traffic, and the newest one where it is another. ``newest`` is the newest one in any case.
    ``canary_ready`` is true when its share would reach it, ``trouble`` says why not in the
    cluster's words (empty when fine or unknown). ``weight`` is the declared share of the newest
    revision in percent, 100 when unset, and ``effective`` the status' shares by revision. The
    weights of ``components`` move together. ``template`` is a digest of all that makes a revision,
    which a change of the shares leaves as it is; in Standard mode a promotion, a rollback and an
    undo change it. ``policy`` is the annotation :data:`.names.POLICY`.
    """

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    ready: bool
    standard: bool
    template: str
    policy: str | None


def view(isvc: Object, former: str | None = None) -> View:
    """What an InferenceService as the API serves it says.

    ``former`` is the newest revision from before the change that is rolled out: while the status
    still names that one, no canary is known yet. KServe's status does not say which generation
    it is about.
    """
    found = (standard if is_standard(isvc) else knative).read(isvc)
    is_stale = former is not None and found.canary == former
    metadata = isvc["metadata"]
    return View(
        **vars(found)
        | ({"canary": None, "canary_ready": False, "trouble": ""} if is_stale else {}),
        name=objects.name(isvc),
        namespace=objects.namespace(isvc),
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        generation=int(metadata.get("generation", 1)),
        ready=traffic.condition(isvc, "Ready")["status"] == "True",
        standard=is_standard(isvc),
        template=_digest(isvc),
        policy=objects.annotations_of(isvc).get(names.POLICY),
    )


def is_standard(isvc: Object) -> bool:
    """Whether it is in Standard mode: by its status, or before there is one by its annotation."""
    asked = objects.annotations_of(isvc).get(vocabulary.DEPLOYMENT_MODE, "")
    mode = objects.dig(isvc, "status", "deploymentMode", default=asked)
    return configuration.normal_mode(mode) == "Standard"


def begin(isvc: Object, to: str, name: str, *, pairs: bool = False) -> Patch:
    """The new ``storageUri`` and no share, in one patch.

    A share that came later would first go to a revision that was rolled back before
    (kserve/kserve#2130). ``name`` is the canary's in Standard mode (:func:`canary_name`). With
    ``pairs`` the canary gets a host of its own. Raises :class:`~calumma.errors.RolloutError` where
    there is no way to begin without harm.
    """
    if is_standard(isvc):
        return standard.begin(isvc, to, name)
    return knative.begin(isvc, to, pairs=pairs)


def adopt(isvc: Object, *, pairs: bool = False) -> Patch:
    """What is left to do where a person has applied the change; mostly nothing.

    Raises :class:`~calumma.errors.RolloutError` where there is nothing to roll out, and where the
    change is not held back.
    """
    return standard.adopt(isvc) if is_standard(isvc) else knative.adopt(isvc, pairs=pairs)


def canary_name(isvc: Object, to: str) -> str:
    """A name for the canary of Standard mode."""
    return standard.name_of(isvc, to)


def weigh(isvc: Object, components: Sequence[str], weight: int) -> Patch:
    """Another share for the canary, in percent.

    Raises :class:`~calumma.errors.RolloutError` where another revision would get it.
    """
    if is_standard(isvc):
        return standard.weigh(isvc, weight)
    return knative.weigh(isvc, components, weight)


def promote(isvc: Object, components: Sequence[str]) -> Patch:
    """All traffic for the canary; never by applying a manifest again.

    Raises :class:`~calumma.errors.RolloutError` where another revision would get it.
    """
    return standard.promote(isvc) if is_standard(isvc) else knative.promote(isvc, components)


def roll_back(isvc: Object, components: Sequence[str]) -> Patch:
    """No traffic for the canary.

    Raises :class:`~calumma.errors.RolloutError` where it is promoted already.
    """
    return standard.roll_back(isvc) if is_standard(isvc) else knative.roll_back(isvc, components)


def previous(isvc: Object) -> dict[str, object]:
    """What :func:`undo` will need: ask before the promotion, and keep it."""
    return standard.previous(isvc) if is_standard(isvc) else knative.previous(isvc)


def undo(isvc: Object, before: Mapping[str, Any]) -> Patch:
    """After a promotion: all traffic for the former revision again.

    ``before`` is what :func:`previous` gave. Raises :class:`~calumma.errors.RolloutError` when
    something came after the promotion, or KServe would return to another revision.
    """
    return standard.undo(isvc, before) if is_standard(isvc) else knative.undo(isvc, before)


def bypass(before: View | None, now: View) -> str | None:
    """What to warn of when a service with a policy is changed past it, or None.

    ``before`` is the view of the last look, None when there was none.
    """
    if now.policy is None or (before is not None and before.template == now.template):
        return None
    if before is not None and before.policy != now.policy:
        return None  # the annotation itself has made the revision
    where = "spec.predictor" if now.standard else "its template"
    if now.standard:
        past = before is not None and now.canary is None and before.canary is None
        cure = "add an entry of spec.canary with trafficPercent: 0 instead"
    else:
        past = now.weight == 100 and (before is not None or now.canary is not None)
        cure = "give the change together with canaryTrafficPercent: 0"
    if not past:
        return None
    return (
        f"{where} was changed without a canary, so the new revision gets all traffic as soon as it "
        f"is ready and the policy {now.policy} decides nothing; {cure}"
    )


def _digest(isvc: Object) -> str:
    """A digest of what makes a revision: the spec without shares, labels and annotations."""
    spec = copy.deepcopy(dict(isvc["spec"]))
    for component in vocabulary.COMPONENTS:
        if spec.get(component) is not None:
            spec[component].pop("canaryTrafficPercent", None)
    for entry in spec.get("canary") or ():
        entry.pop("trafficPercent", None)
        entry["predictor"].pop("minReplicas", None)
    labels, annotations = objects.labels_of(isvc), objects.annotations_of(isvc)
    text = json.dumps(
        [
            spec,
            {k: v for k, v in labels.items() if k != route.VISIBILITY_LABEL},
            {k: v for k, v in annotations.items() if k not in vocabulary.NOT_PROPAGATED},
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]
