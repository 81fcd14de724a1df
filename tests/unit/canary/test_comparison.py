"""Both revisions' answers compared, from what was sent, from pairs and from feedback."""

from __future__ import annotations

import pytest

from calumma.canary import comparison, counts, history
from calumma.canary.counts import Sides
from calumma.feedback import folder
from calumma.feedback.records import Label, Prediction
from calumma.inference import Target
from calumma.load.pairs import Pair
from calumma.scoring import cases

TARGETS = Sides(Target("r1", 90, False), Target("r2", 10, True))
REVISIONS = Sides("r1", "r2")


def answer(
    number: int, label: str | None, revision: str = "r1", true: str | None = "a", ms: float = 10
) -> cases.Answer:
    failure = "status 503" if label is None else None
    confidence = None if label is None else 0.8
    case = cases.Case(f"c{number}", b"", true)
    return cases.Answer(case, label, confidence, ms / 1000, revision, failure)


def pair(number: int, stable: str | None, canary: str | None, true: str | None = "a") -> Pair:
    return Pair(answer(number, stable, "r1", true), answer(number, canary, "r2", true))


def metric(table: object, name: str) -> object:
    return next(each for each in table.metrics if each.name == name)  # type: ignore[attr-defined]


def test_pairs_decide_what_two_samples_cannot() -> None:
    """Twelve images only stable gets right, of 200; the rest are equal, some of them wrong."""
    paired = [pair(n, "a", "a") for n in range(148)] + [pair(n, "b", "b") for n in range(148, 188)]
    paired += [pair(n, "a", "b") for n in range(188, 200)]
    sides = comparison.of([each for both in paired for each in both], *REVISIONS)
    together = comparison.quality(sides, paired=paired, name="change").change
    apart = comparison.quality(sides, paired=None, name="change").change
    assert together.value == pytest.approx(-0.06)
    assert apart.value == pytest.approx(-0.06)
    assert together.interval is not None and apart.interval is not None
    assert together.interval.high < -0.02 < 0 < apart.interval.high
    found = comparison.agreement(paired)
    assert [each.count for each in found.metrics[:3]] == [188, 0, 12]
    assert found.metrics[3].value == pytest.approx(2 / 2**12)


def test_unlabelled_pairs_agree_or_not_but_are_not_wrong() -> None:
    paired = [pair(1, "a", "b", None), pair(2, "a", "a"), pair(3, None, "a")]
    assert comparison.discordance(paired) == (1, 1, 0, 0)
    found = comparison.agreement(paired)
    assert (found.metrics[0].count, found.metrics[0].n) == (1, 2)
    assert [each.stable.case.id for each in comparison.disagreements(paired, 9)] == ["c1"]


def test_what_both_happened_to_answer_makes_pairs_once() -> None:
    answers = [answer(1, "a"), answer(1, "a"), answer(2, "a"), answer(1, "b", "r2")]
    found = comparison.coinciding(comparison.of(answers, *REVISIONS))
    assert [(each.stable.label, each.canary.label) for each in found] == [("a", "b")]


def test_a_share_that_is_not_the_declared_one_is_outside_its_interval() -> None:
    good, chance = comparison.share("share", Sides(900, 100), 10)
    assert good.interval is not None and good.interval.low < 0.1 < good.interval.high
    assert chance.value is not None and chance.value > 0.9
    bad, chance = comparison.share("share", Sides(850, 150), 10)
    assert bad.interval is not None and bad.interval.low > 0.1
    assert chance.value is not None and chance.value < 0.001
    none, chance = comparison.share("share", Sides(0, 0), 10)
    assert (none.value, none.n, chance.value) == (None, 0, 1.0)


def test_counts_add_up_and_keep_what_is_unknown_apart() -> None:
    answers = [
        answer(1, "a"),
        answer(1, "a"),
        answer(2, "b"),
        answer(3, None),
        answer(4, "a", true=None),
    ]
    (found, empty) = comparison.counted(comparison.of(answers, *REVISIONS), TARGETS)
    assert found.document == {
        "role": "stable",
        "revision": "r1",
        "percent": 90,
        "source": "sent",
        "stratum": "all",
        "requests": 5,
        "successes": 4,
        "failures": 1,
        "right": 1,
        "wrong": 2,
        "classes": {"a": 3, "b": 1},
    }
    assert found.times["at_most_ms"]["5"] == 0
    assert found.times["at_most_ms"]["10"] == found.times["at_most_ms"]["+Inf"] == 4
    assert (empty.requests, empty.right, empty.wrong) == (0, 0, 0)
    assert counts.buckets([]) == dict.fromkeys((*counts.BOUNDS, float("inf")), 0)


def test_a_mix_of_nothing_has_no_distance() -> None:
    table = comparison.mix("mix", Sides({}, {"a": 3}), seed=0)
    assert [(each.value, each.n) for each in table.metrics] == [(None, 0)]


def contents(delay: float, share: float) -> folder.Contents:
    """Stable answers from 0 to 1000 s and the canary from 900; all are 80% right.

    Wrong ones are labelled at once, right ones after ``delay``.
    """
    predictions, labels = [], []
    for number in range(1000):
        for revision in ("r1", "r2") if number >= 900 else ("r1",):
            right = number % 5 > 0
            found = Prediction(
                id=f"{revision}-{number}",
                time=number,
                service="digits",
                namespace="default",
                revision=revision,
                label="a",
                confidence=0.9,
                sources=("random",),
            )
            predictions.append(found)
            after = delay if right else 1.0
            if number % 10 < 10 * share:
                labels.append(
                    Label(id=found.id, label="a" if right else "b", by="ann", time=number + after)
                )
    return folder.Contents(tuple(predictions), tuple(labels), 0)


def read(found: folder.Contents, at: float, maturity: float | None = None) -> history.History:
    return history.of(found, "digits", "default", REVISIONS, at=at, maturity=maturity)


def test_young_labels_make_a_canary_look_worse_and_a_maturity_does_not() -> None:
    given = contents(delay=60.0, share=1.0)
    young = history.quality(read(given, at=1000), "change")
    fair = history.quality(read(given, at=1100, maturity=60), "change")
    assert metric(young, "accuracy of canary by feedback").value < 0.7  # type: ignore[attr-defined]
    assert metric(fair, "accuracy of canary by feedback").value == 0.8  # type: ignore[attr-defined]
    assert metric(fair, "change").value == 0  # type: ignore[attr-defined]
    assert "had less time" in young.note or "less time for them" in young.note
    assert "had 60 s to be labelled" in fair.note


def test_both_sides_are_of_the_same_time_and_service() -> None:
    given = contents(delay=1.0, share=1.0)
    others = tuple(
        each.model_copy(update={"id": f"other-{each.id}", "service": "other"})
        for each in given.predictions
    )
    strays = (Label(id="nobody", label="a", by="ann", time=5),)
    both = folder.Contents((*given.predictions, *others), (*given.labels, *strays), 0)
    found = read(both, at=2000)
    assert found.since == 900
    assert [len(side) for side in found.sides] == [100, 100]
    assert (found.orphans, found.unknown, found.others) == (1, 0, 0)
    recorded = history.counted(found, TARGETS)
    assert [(each.role, each.stratum, each.right, each.wrong) for each in recorded] == [
        ("stable", "others", 80, 20),
        ("canary", "others", 80, 20),
    ]


def test_without_feedback_of_one_side_nothing_is_said() -> None:
    given = contents(delay=1.0, share=1.0)
    alone = folder.Contents(tuple(p for p in given.predictions if p.revision == "r1"), (), 0)
    table = history.quality(read(alone, at=2000), "change")
    assert all(each.value is None for each in table.metrics)
