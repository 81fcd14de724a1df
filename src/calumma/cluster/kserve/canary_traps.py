"""The traps of a canary's traffic: who gets requests that nobody meant to send there.

Each is known from the difference between the Knative Service that is stored and the one that a
pass wants, so it is told when the change happens and not while its effect lasts.
Sources: the table of KServe's traffic behaviour, kserve/kserve issues 1669 and 2130.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from calumma.cluster import conditions, objects
from calumma.cluster.knative import revision
from calumma.cluster.kserve import trap


def found(changes: Sequence[trap.Change]) -> Iterator[trap.Trap]:
    """What the changes of one pass lead into."""
    for change in changes:
        yield from _out_of_range(change)
        yield from _nothing_to_split(change)
        yield from _previous_returns(change)
        yield from _old_canary_serves(change)
    yield from _unpaired(changes)


def failures(change: trap.Change, after: Mapping[str, Any]) -> Iterator[trap.Trap]:
    """A new revision that failed while an older one serves; ``after`` is the new status."""
    kind = f"{change.component.capitalize()}ConfigurationReady"
    before = conditions.find(objects.dig(change.isvc, "status", "conditions", default=[]), kind)
    now = conditions.find(after["conditions"], kind) or {}
    part = objects.dig(after, "components", change.component, default={})
    failed, serving = part.get("latestCreatedRevision"), part.get("latestReadyRevision")
    was_failed = (before or {}).get("reason") == "RevisionFailed"
    if now.get("reason") != "RevisionFailed" or was_failed or serving in (None, failed):
        return
    ready = conditions.is_true(after["conditions"])
    shows = "stays True, as on KServe" if ready else "is False although the service answers"
    logs = f"kubectl logs -n {objects.namespace(change.isvc)} --all-containers"
    cure = (
        f"Ready {shows}. See why: {logs} -l {revision.REVISION_LABEL}={failed}. Then apply a "
        "template that works; nothing else ends this state."
    )
    if change.percent is None:
        yield trap.Trap(
            "NewRevisionFailed",
            f"{change.component}: {failed} failed and gets no traffic; {serving} keeps serving. "
            f"{cure}",
        )
        return
    yield trap.Trap(
        "CanaryFailed",
        f"{change.component}: the canary {failed} failed. Its {change.percent}% go to {serving}, "
        f"the latest revision that is ready, for as long as it fails. {cure}",
    )


def _out_of_range(change: trap.Change) -> Iterator[trap.Trap]:
    """A percentage that is accepted because it is not used yet."""
    percent = change.percent
    if change.present is not None or percent is None or 0 <= percent <= 100:
        return
    yield trap.Trap(
        "CanaryPercentOutOfRange",
        f"{change.component}: canaryTrafficPercent {percent} is accepted now, because the first "
        "revision gets all traffic, and refused by Knative as soon as that revision is rolled out: "
        f"then {change.component.capitalize()}Ready turns False and no change takes effect. Use 0 "
        f"to 100, or remove it: {trap.set_percent(change, None)}",
    )


def _nothing_to_split(change: trap.Change) -> Iterator[trap.Trap]:
    """Rows D and J of the table: a percentage while there is only one revision."""
    percent = change.percent
    if percent is None or not 0 <= percent < 100:
        return
    ready = change.status.get("latestReadyRevision")
    if change.present is not None and (
        ready is None
        or not change.is_asked_for
        or change.has_new_template
        or _has_previous(change)
        or _latest_share(change.present) < 100
    ):
        return
    yield trap.Trap(
        "CanaryWithoutPrevious",
        f"{change.component}: canaryTrafficPercent {percent} splits nothing, because no other "
        f"revision was rolled out before: {ready or 'the first one'} gets all traffic. The "
        "percentage waits for the next template; give it together with the change that it is meant "
        f"for. Remove it until then: {trap.set_percent(change, None)}",
    )


def _has_previous(change: trap.Change) -> bool:
    part = change.status
    rolled_out = part.get("latestRolledoutRevision")
    return bool(part.get("previousRolledoutRevision")) or (
        rolled_out != part.get("latestReadyRevision")
    )


def _previous_returns(change: trap.Change) -> Iterator[trap.Trap]:
    """Row I: a percentage without a new template, after a promotion."""
    part, percent = change.status, change.percent
    previous, rolled_out = (
        part.get("previousRolledoutRevision"),
        part.get("latestRolledoutRevision"),
    )
    if change.present is None or percent is None or not 0 < percent < 100:
        return
    settled = rolled_out == part.get("latestReadyRevision") == part.get("latestCreatedRevision")
    if change.has_new_template or not change.is_asked_for or not settled:
        return
    if not previous or previous == rolled_out or _latest_share(change.present) < 100:
        return
    yield trap.Trap(
        "PreviousRevisionServes",
        f"{change.component}: canaryTrafficPercent {percent} without a new template makes "
        f"{rolled_out}, which was promoted, a canary again: {100 - percent}% of the traffic return "
        f"to {previous}. A canary needs its new template in the same change. To undo this: "
        f"{trap.set_percent(change, 100)}",
    )


def _old_canary_serves(change: trap.Change) -> Iterator[trap.Trap]:
    """Rows G and B2: a new template while an older canary is the latest ready revision."""
    part = change.status
    canary, stable = part.get("latestReadyRevision"), part.get("latestRolledoutRevision")
    if change.present is None or not change.has_new_template or not canary or not stable:
        return
    before, after = _latest_share(change.present), _latest_share(change.wanted)
    if canary == stable or after <= before:
        return
    stop = trap.set_percent(change, 0)
    if after == 100:
        yield trap.Trap(
            "CanaryPromotedByUpdate",
            f"{change.component}: a new template without canaryTrafficPercent promotes the canary "
            f"{canary} from {before}% to all traffic until the new revision is ready; {stable} "
            "gets none. Applying an old manifest is no rollback in KServe. It ends when the new "
            f"revision is ready. Next time roll back first: {stop}; then apply the template with "
            "canaryTrafficPercent: 0, and remove that once it is Ready.",
        )
        return
    what = "which was rolled back" if before == 0 else f"the canary of before ({before}%)"
    yield trap.Trap(
        "RolledBackRevisionServes" if before == 0 else "OldCanaryServes",
        f"{change.component}: {canary}, {what}, gets {after}% of the traffic until the new "
        "revision is ready, because the canary's share belongs to the latest ready revision "
        f"(kserve/kserve#2130). Stop that now: {stop}; once the new revision is Ready: "
        f"{trap.set_percent(change, after)}",
    )


def _unpaired(changes: Sequence[trap.Change]) -> Iterator[trap.Trap]:
    """Two components with a canary at the same time."""
    if len(changes) < 2 or not all(_splits(change.wanted) for change in changes):
        return
    if all(change.present is not None and _splits(change.present) for change in changes):
        return
    first, second = changes[0], changes[1]
    one, two = (_latest_share(change.wanted) for change in (first, second))
    both, only_one = one * two / 100, one * (100 - two) / 100
    only_two, neither = (100 - one) * two / 100, (100 - one) * (100 - two) / 100
    yield trap.Trap(
        "UnpairedCanaries",
        f"{first.component} ({one}%) and {second.component} ({two}%) have canaries at the same "
        "time, and every request draws for each of them anew (kserve/kserve#1669): "
        f"{both:g}% meet both new revisions, {only_one:g}% only the new {first.component}, "
        f"{only_two:g}% only the new {second.component}, {neither:g}% none. Roll out one after the "
        "other, or only pairs that work in every combination. To hold one back: "
        f"{trap.set_percent(second, 0)}",
    )


def _splits(service: Mapping[str, Any]) -> bool:
    """Whether a Knative Service's traffic names two targets that both get some."""
    return 0 < _latest_share(service) < 100


def _latest_share(service: Mapping[str, Any]) -> int:
    targets = service["spec"]["traffic"]
    return int(next(each["percent"] for each in targets if each["latestRevision"]))
