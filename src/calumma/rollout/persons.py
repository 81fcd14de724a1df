"""Persons: what they change behind a rollout's back, and what they wish of it. Pure.

What somebody changed with kubectl is never undone by itself. A share of somebody's own pauses the
rollout until a person says how it goes on; a share of 100, another template, or a service that is
gone leave nothing to decide.
"""

from __future__ import annotations

from calumma.rollout import steps
from calumma.rollout.look import Look, declared, target
from calumma.rollout.service import View
from calumma.rollout.state import Phase, State


def recognise(look: Look, view: View | None) -> None:
    """Tell our own changes, which a crash may have left unrecorded, from those of others."""
    if view is None:
        _supersede(look, "the InferenceService was deleted")
        return
    state, share = look.state, declared(look.state, view)
    moved = view.generation != state.generation
    if view.generation < state.generation:
        _supersede(look, "another InferenceService of that name was made")
    elif moved and _ours(state, view, share):
        look.put(weight=share, template=view.template, generation=view.generation, intent=None)
    elif view.template != state.template:
        _replaced(look, view)
    elif _other_revision(state, view):
        why = f"{view.canary} came with the same template, and this rollout does not watch it"
        _supersede(look, why)
    elif share == state.weight and not _taken_back(state, view):
        # Whatever else was changed came before what we intended, which was refused then.
        look.put(generation=view.generation, intent=None if moved else state.intent)
    elif share == 100:
        _supersede(look, f"somebody gave all of the traffic to {state.canary}, at {_share(state)}")
    elif moved:
        _weighed(look, view, share)
    look.moved = moved


def _ours(state: State, view: View, share: int) -> bool:
    """Whether the object is as we meant to make it: then it is no matter who did.

    In Standard mode our changes are changes of the template, too, and an undo is several, at first
    with the former share.
    """
    intent = state.intent
    if intent is None:
        return False
    if view.standard and view.generation == intent.generation + 1:
        return share == intent.weight or intent.what == "undo"
    return share == intent.weight and view.template == state.template


def _taken_back(state: State, view: View) -> bool:
    """Whether there were more changes than our last one, after which the share is what it was."""
    intent = state.intent
    return (
        intent is not None
        and intent.weight != state.weight
        and view.generation > intent.generation + 1
    )


def _other_revision(state: State, view: View) -> bool:
    """Whether there is a newer revision, as a changed runtime or a neighbour makes one."""
    known = state.canary is not None and state.phase is not Phase.ROLLING_BACK
    return known and view.observed and view.canary not in (None, state.canary)


def _replaced(look: Look, view: View) -> None:
    """Somebody changed what makes a revision, or in Standard mode took the canary away."""
    share = declared(look.state, view)
    if view.standard and view.stable == look.state.canary:
        _supersede(look, "somebody promoted the canary")
    elif view.standard and view.canary is None:
        _supersede(look, "somebody removed the canary")
    else:
        _supersede(
            look,
            f"somebody changed what makes a revision while the canary had {_share(look.state)}; "
            f"{share}% go to a revision that this rollout does not watch",
        )


def _weighed(look: Look, view: View, share: int) -> None:
    """Somebody set another share, which stays until a person decides."""
    state = look.state
    look.put(generation=view.generation, intent=None)
    if state.undoing:
        _supersede(look, f"somebody set the canary's share to {share}% while it was undone")
        return
    was = "being rolled back" if state.phase is Phase.ROLLING_BACK else f"at {_share(state)}"
    look.pause(
        "ChangedByPerson",
        f"somebody set the canary's share to {share}% while it was {was}; resume sets the "
        "rollout's share again, abort rolls back",
    )


def _supersede(look: Look, why: str) -> None:
    look.end(Phase.SUPERSEDED, why, warning=True)


def taken_over(state: State, view: View) -> bool:
    """Whether the share is somebody's own: then nothing is counted, and nothing changed."""
    return declared(state, view) != state.weight


def wish(look: Look, view: View) -> None:
    """Do what a person wishes of a rollout that is under way, or say why not."""
    if look.answered:
        return
    match look.seen.wish:
        case "pause":
            _pause(look)
        case "resume":
            _resume(look, view)
        case "promote":
            _promote(look, view)
        case "abort":
            _abort(look, view)
        case "undo" if look.state.undoing:
            look.answer("It is being undone already.")
        case "undo":
            look.answer(f"It is {look.state.phase} and not promoted; abort rolls it back.")


def wish_of_ended(look: Look) -> None:
    """Answer a wish for a rollout that has ended; a promotion can be undone."""
    state, view = look.state, look.seen.view
    if look.seen.wish != "undo" or state.phase is not Phase.PROMOTED:
        look.answer(f"It has ended as {state.phase}: {state.why}.")
    elif view is None:
        look.answer("The InferenceService is gone; there is nothing to undo.")
    elif view.template != state.template or declared(state, view) != 100:
        look.answer(
            f"The InferenceService was changed since {state.canary} was promoted, so that "
            f"{state.stable} is not the revision before any more; roll out what you want to serve."
        )
    else:
        look.put(generation=view.generation)
        look.roll_back(f"a person takes the promotion of {state.canary} back", undoing=True)
        look.answer(f"{state.stable} gets the traffic back.")


def _pause(look: Look) -> None:
    phase = look.state.phase
    if phase is Phase.PAUSED:
        look.answer(f"It is paused already: {look.state.why}.")
    elif phase in (Phase.PROMOTING, Phase.ROLLING_BACK):
        look.answer(f"It is {phase}, which is not stopped halfway.")
    else:
        why = "a person paused it; a canary that is shown to be worse is rolled back all the same"
        look.pause("PausedByPerson", why)
        look.answer(f"Paused at {_share(look.state)}; what is shown to be worse is rolled back.")


def _resume(look: Look, view: View) -> None:
    state = look.state
    if state.phase is Phase.PROGRESSING:
        _agree(look)
        return
    if state.phase is not Phase.PAUSED:
        look.answer(f"It is {state.phase} and not paused.")
        return
    begun = state.first_step is not None
    # The time of a pause is no time of the rollout; after a hold it gets all of its time again.
    spent = look.now - (look.now if state.paused is None else state.paused)
    again = begun and bool(steps.over(state, look.now - spent))
    stepped = _later(state.stepped, look.now - (state.stepped or 0.0) if again else spent)
    look.put(
        phase=Phase.PROGRESSING if begun else Phase.PENDING,
        why="",
        paused=None,
        weight=declared(state, view),
        unready=None if begun else look.now,
        attempt=state.attempt + steps.stuck(look),
        first_step=look.now if again else _later(state.first_step, spent),
        stepped=None if taken_over(state, view) else stepped,
    )
    look.note("Resumed", "a person lets it go on")
    look.answer(f"It goes on; its share is {target(look.state)}%.")


def _agree(look: Look) -> None:
    """A person agrees to what was asked."""
    for key, gate in steps.open_gates(look.state):
        if key in look.state.asked:
            look.put(agreed=(*look.state.agreed, key))
            look.note("GateAgreed", f"a person agreed: {gate.person}")
            look.answer("Your agreement is noted.")
            return
    look.answer("It is under way, and no person is asked for anything.")


def _promote(look: Look, view: View) -> None:
    phase = look.state.phase
    if phase in (Phase.PROMOTING, Phase.ROLLING_BACK):
        look.answer(f"It is {phase}; it is too late for another wish.")
    elif not view.canary_ready or look.state.canary is None:
        trouble = view.trouble or "nothing is known of why"
        look.answer(f"The canary is not ready and cannot be promoted: {trouble}.")
    else:
        look.put(weight=declared(look.state, view))
        known = steps.numbers(look.state.readings)
        look.promote(f"a person promotes it at {_share(look.state)}: {known}")
        look.answer(f"{look.state.canary} gets all of the traffic.")


def _abort(look: Look, view: View) -> None:
    state = look.state
    if state.phase is Phase.ROLLING_BACK:
        look.answer("It is being rolled back already.")
    elif state.phase is Phase.PROMOTING and declared(state, view) == 100:
        look.answer("Its promotion is written already; undo it once it is Promoted.")
    else:
        look.put(weight=declared(state, view))
        known = steps.numbers(state.readings)
        look.roll_back(f"a person aborts it at {_share(state)}: {known}")
        look.answer(f"{state.stable} gets all of the traffic.")


def _later(time: float | None, seconds: float) -> float | None:
    return None if time is None else time + seconds


def _share(state: State) -> str:
    return f"{state.weight}% in step {state.step + 1}"
