from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma.cluster import conditions

DEPENDENTS = ("A", "B")


def managed(*existing: conditions.Condition, now: str = "t1") -> conditions.Conditions:
    return conditions.Conditions(existing, DEPENDENTS, now)


def statuses(of: conditions.Conditions) -> dict[str, str]:
    return {each["type"]: each["status"] for each in of.as_list()}


def test_initialized_conditions_are_unknown_and_sorted() -> None:
    new = managed()
    new.mark("Zebra", "True")
    new.initialize()
    assert [each["type"] for each in new.as_list()] == ["A", "B", "Ready", "Zebra"]
    assert statuses(new)["Ready"] == "Unknown"


def test_ready_follows_when_all_dependents_are_true() -> None:
    new = managed()
    new.initialize()
    new.mark("A", "True")
    assert statuses(new)["Ready"] == "Unknown"
    new.mark("B", "True")
    assert statuses(new)["Ready"] == "True"


def test_a_failed_dependent_outweighs_an_unknown_one() -> None:
    new = managed()
    new.initialize()
    new.mark("A", "False", "Broken", "it broke")
    new.mark("B", "Unknown", "Working")
    ready = new.get("Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "Broken")


def test_a_condition_outside_the_set_changes_nothing_and_is_informative() -> None:
    new = managed()
    new.initialize()
    new.mark("A", "True")
    new.mark("B", "True")
    new.mark("Other", "False", "Whatever")
    assert statuses(new)["Ready"] == "True"
    other = new.get("Other")
    assert other is not None
    assert other["severity"] == "Info"
    assert "severity" not in (new.get("A") or {})


def test_times_move_only_when_a_condition_ends_up_changed() -> None:
    first = managed(now="t1")
    first.initialize()
    first.mark("A", "True")
    second = managed(*first.as_list(), now="t2")
    second.mark("A", "Unknown")
    second.mark("A", "True")
    second.mark("B", "True")
    times = {each["type"]: each["lastTransitionTime"] for each in second.as_list()}
    assert times == {"A": "t1", "B": "t2", "Ready": "t2"}


@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "B"]), st.sampled_from(["True", "False", "Unknown"])),
        max_size=8,
    )
)
def test_ready_is_always_what_the_dependents_say(
    marks: list[tuple[str, conditions.Status]],
) -> None:
    new = managed()
    new.initialize()
    for kind, status in marks:
        new.mark(kind, status)
    values = [statuses(new)[kind] for kind in DEPENDENTS]
    expected = "False" if "False" in values else "Unknown" if "Unknown" in values else "True"
    assert statuses(new)["Ready"] == expected


@pytest.mark.parametrize(("status", "true"), [("True", True), ("False", False), ("Unknown", False)])
def test_reading_stored_conditions(status: str, true: bool) -> None:
    stored = [{"type": "Ready", "status": status}]
    assert conditions.is_true(stored) is true
    assert conditions.is_false(stored) is (status == "False")
    assert conditions.find(stored, "Other") is None
