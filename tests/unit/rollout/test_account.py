"""A rollout as a report has it: what is drawn and ruled is what the rollout decided by."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from calumma.rollout import account, course, figures, telling
from calumma.rollout.state import Note, Phase, State
from calumma.scoring.gates import Bound, Verdict
from support import moments

FINE = moments.counted(looks=120)
WORSE = moments.counted(worse=0.2, looks=40)


def test_the_course_ends_with_what_was_decided_by() -> None:
    found = course.of(FINE)
    assert list(found) == [metric.name for metric in FINE.policy.metrics]
    for reading in FINE.readings:
        assert found[reading.name][-1].reading == reading


def test_the_course_has_the_looks_in_their_order_and_closes_in() -> None:
    found = course.of(FINE)
    assert {len(found["agreement"]), len(found["p95"])} == {1}
    for name in ("errors", "slow", "correct", "cost"):
        readings = [look.reading for look in found[name]]
        assert len(readings) == course.MOST_POINTS
        counts = [reading.n for reading in readings]
        assert counts == sorted(set(counts))
        widths = [reading.high - reading.low for reading in readings]
        assert widths[-1] < widths[len(widths) // 2] < widths[0]
    assert {look.step for look in found["errors"]} == {0, 1}


def test_of_a_rollout_that_has_counted_nothing_there_is_no_course() -> None:
    assert course.of(moments.state()) == {"errors": ()}


@pytest.mark.parametrize("state", [FINE, WORSE, moments.state()], ids=["fine", "worse", "new"])
def test_the_picture_has_a_place_for_each_metric(state: State) -> None:
    png = figures.bounds(state.policy.metrics, course.of(state))
    height = Image.open(io.BytesIO(png)).height
    assert height == pytest.approx(144 * (0.4 + 1.9 * len(state.policy.metrics)), rel=0.05)


@pytest.mark.parametrize(
    ("state", "phase", "verdict"),
    [
        (FINE, Phase.PROMOTED, Verdict.PASS),
        (FINE, Phase.PROGRESSING, Verdict.INCONCLUSIVE),
        (FINE, Phase.ROLLED_BACK, Verdict.FAIL),
        (FINE, Phase.UNDONE, Verdict.FAIL),
        (FINE, Phase.SUPERSEDED, Verdict.INCONCLUSIVE),
        (WORSE, Phase.ROLLING_BACK, Verdict.FAIL),
        (WORSE, Phase.PROMOTED, Verdict.FAIL),
        (moments.counted(looks=1), Phase.PROMOTED, Verdict.INCONCLUSIVE),
        (moments.state(), Phase.PENDING, Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_is_the_evidences(state: State, phase: Phase, verdict: Verdict) -> None:
    found = account.decision(state.model_copy(update={"phase": phase}))
    assert found.verdict is verdict
    assert f"the rollout is {phase}" in found.rulings[-1].reason


def test_numbers_are_said_once() -> None:
    known = "; ".join(reading.numbers for reading in FINE.readings)
    why = f"all 2 steps are passed: {known}"
    ended = FINE.model_copy(update={"phase": Phase.PROMOTED, "why": why})
    last = account.decision(ended).rulings[-1].reason
    assert last == "the rollout is Promoted: all 2 steps are passed"
    told = telling.sentence(ended)
    assert "was promoted: all 2 steps are passed. errors: " in told
    assert known not in told and all(each.sentence in told for each in FINE.readings)


def test_what_is_demanded_is_the_margin_in_the_metrics_unit() -> None:
    gates = {ruling.gate.metric: ruling.gate for ruling in account.decision(FINE).rulings}
    assert (gates["agreement"].bound, gates["agreement"].threshold) == (Bound.AT_LEAST, 0.8)
    assert (gates["errors"].bound, gates["errors"].threshold) == (Bound.AT_MOST, 0.05)
    assert gates["cost"].threshold == pytest.approx(0.2)  # a share of the dearest mistake


def test_the_tables_have_each_metrics_alpha_and_both_values() -> None:
    table = account.table(FINE)
    assert [metric.name for metric in table.metrics] == [each.name for each in FINE.readings]
    assert table.metrics[0].level == pytest.approx(1 - 2 * 0.05 / 6)
    assert table.remarks["errors"] == "alpha 0.00833; not worse"
    assert len(account.sides(FINE).metrics) == 2 * len(FINE.readings)
    (small, large) = account.shares(FINE).metrics
    assert (small.count, small.n, large.count, large.n) == (1200, 12000, 6000, 12000)


def test_notes_are_text_with_links() -> None:
    note = Note(time=moments.BEGAN, step=1, reason="A", text="<b>", evidence='x"y.html')
    found = account.notes((note,))
    assert "&lt;b&gt;" in found and "<td>2</td>" in found
    assert 'href="x&quot;y.html"' in found


def test_people_are_told_of_ends_and_of_what_waits_for_them() -> None:
    asked = Note(time=moments.BEGAN, reason="WaitingForPerson", text="Did the clerks complain?")
    step = Note(time=moments.BEGAN, reason="StepStarted", text="10%")
    going = moments.state(phase=Phase.PROGRESSING, notes=(asked,))
    assert telling.is_worth_telling(going, (asked,))
    assert not telling.is_worth_telling(going, (step,))
    assert telling.sentence(going) == (
        "The rollout of digits-predictor-00002 of digits in namespace default waits for a person: "
        "Did the clerks complain?"
    )
    for phase in (Phase.PAUSED, Phase.PROMOTED, Phase.ROLLED_BACK, Phase.UNDONE):
        ended = going.model_copy(update={"phase": phase})
        assert telling.is_worth_telling(ended, (step,))
        assert not telling.is_worth_telling(ended, ())
