"""Rollouts as text for people."""

from __future__ import annotations

from calumma.rollout import listing
from calumma.rollout.state import Phase
from support.rollouts import Rollout, policy

PERSON = {"person": "Do the pictures look right?"}


def test_the_plan_says_what_will_happen() -> None:
    steps = [
        {"weight": 10, "seconds": 30, "requests": 200, "gates": [PERSON]},
        {"weight": 50, "seconds": 30, "timeout": 600},
    ]
    assert listing.plan(policy(steps=steps)).splitlines() == [
        "progressive rollout of digits in namespace default, a look every 10 s",
        "0. wait up to 100 s until the canary is ready, at 0%",
        "1. 10% until: 30 s, 200 requests, a person agrees: Do the pictures look right?",
        "2. 50% until: 30 s, every metric shown not to be worse; inconclusive after 600 s",
        "3. promote: 100%",
        "At any time: roll back when one of errors is shown to be worse; the chance that this is "
        "false is at most 5%, whatever the number of looks.",
        "After 1000 s without a verdict: wait for a person.",
    ]


def test_the_plan_of_ab_says_at_which_size_it_decides() -> None:
    planned = {"name": "errors", "kind": "errors", "margin": 0.05, "planned": 1000}
    text = listing.plan(policy(strategy="ab", metrics=[planned]))
    assert "at the planned size (errors 1000): promote if something is better" in text


def test_the_status_says_where_it_is_and_what_is_known() -> None:
    rollout = Rollout(policy(), rate=100).begin()
    rollout.looks(4)
    lines = listing.status(rollout.state, rollout.now).splitlines()
    head = dict(line.split("  ", 1) for line in lines if "  " in line)
    assert lines[0].split() == ["rollout", "digits-1", "(progressive)"]
    assert head["canary"].strip() == (
        "digits-predictor-00002, pvc://models/v2, against digits-predictor-00001"
    )
    assert head["share"].strip() == "10%, step 1 of 2"
    assert head["time"].strip() == "20 s of at least 30 s"
    assert head["next"].strip() == "50% after: 10 s more"
    row = next(line.split() for line in lines if line.startswith("errors"))
    assert row[-2:] == ["200/1800", "unclear"]
    assert "StepStarted" in lines[-1]


def test_the_status_says_what_is_in_trouble_and_what_is_waited_for() -> None:
    rollout = Rollout(policy(), rate=0).begin()
    rollout.looks(15)
    text = listing.status(rollout.state, rollout.now)
    assert "trouble: no request has reached digits-predictor-00002 for 130 s" in text
    assert "50% after: requests: 0 of 1, the end of what is in trouble" in text


def test_every_phase_has_a_status() -> None:
    seen = set()
    for errors in ((0.1, 0.1), (0.5, 0.1)):
        rollout = Rollout(policy(), errors=errors).begin(ready=False)
        for number in range(20):
            if number == 2:
                rollout.service.become_ready()
            wish = {5: "pause", 6: "resume", 14: "undo"}.get(number)
            rollout.look(wish)  # type: ignore[arg-type]
            text = listing.status(rollout.state, rollout.now)
            assert f"{rollout.phase}" in text
            assert "next" in text
            seen.add(rollout.phase)
    assert seen == set(Phase) - {Phase.SUPERSEDED}
