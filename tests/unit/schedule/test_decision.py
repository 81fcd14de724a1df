"""What is due, missed, overlapping, to be retried, to be told: one pass, with the clock given."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from calumma.schedule import decision
from calumma.schedule.decision import Forget, Start, Stop, Tell
from calumma.schedule.state import Outcome, Run, State
from support.schedules import at, name, schedule


class History:
    """A schedule carried out by hand: what a pass decides is done, and runs end on demand."""

    def __init__(self, begin: str = "00:30", **given: Any) -> None:
        self.schedule = schedule(**given)
        self.state = decision.first(self.schedule, at(begin))
        self.ages: dict[str, float] = {}

    def look(self, when: str | float, request: float | None = None) -> list[str]:
        """One pass; what it decided, as words. Another one right after it decides nothing."""
        now = at(when) if isinstance(when, str) else when
        times = self.schedule.times
        found = decision.decide(self.schedule, times, self.state, now, self.ages, request)
        again = decision.decide(self.schedule, times, found.state, now, self.ages, request)
        repeated = [each for each in again.actions if not isinstance(each, Tell)]
        assert (again.state, repeated) == (found.state, [])
        self.state = found.state
        return [word(each) for each in found.actions]

    def end(self, run: str, code: int | None, when: str | float) -> None:
        now = at(when) if isinstance(when, str) else when
        self.state = decision.ended(self.schedule, self.state, run, code, now)

    def run(self, name: str) -> Run:
        return next(each for each in self.state.runs if each.id == name)

    @property
    def missed(self) -> int:
        return self.state.counts.get("missed", 0)


def word(action: decision.Action) -> str:
    match action:
        case Start(run):
            return f"start {run.id[9:13]}" + (f" again {run.attempt}" if run.attempt > 1 else "")
        case Stop(run):
            return f"stop {run.id[9:13]} {run.stopping}"
        case Forget(run):
            return f"forget {run.id[9:13]}"
        case Tell(what):
            return f"tell {what}"


def test_a_run_begins_when_it_is_due_and_only_once() -> None:
    history = History()
    assert history.look("00:59") == []
    assert history.look(at("01:00") - 0.001) == []
    assert history.look("01:00") == ["start 0100"]
    assert history.look("01:01") == []
    history.end(name("01"), 0, "01:02")
    assert history.look("01:02") == []
    assert history.look("02:00") == ["start 0200"]
    assert history.state.counts == {"pass": 1}
    assert history.state.last_success == at("01:02")


@pytest.mark.parametrize(
    ("deadline", "wakes", "begins", "missed"),
    [
        (None, "01:05", ["start 0100"], 0),
        (None, "05:59", ["start 0500"], 4),  # only the last one is made up for
        (600, "01:09", ["start 0100"], 0),
        (600, "01:10", ["start 0100"], 0),
        (600, "01:11", [], 1),
        (600, "05:05", ["start 0500"], 4),
        (600, "05:15", [], 5),
        (7200, "05:15", ["start 0500"], 4),
    ],
)
def test_what_was_missed(deadline: int | None, wakes: str, begins: list[str], missed: int) -> None:
    history = History(startingDeadlineSeconds=deadline)
    assert history.look(wakes) == begins
    assert history.missed == missed
    assert history.look("06:00") == ([] if begins else ["start 0600"])  # Forbid


def test_a_year_of_missed_minutes_is_counted_up_to_a_bound() -> None:
    history = History(schedule="* * * * *")
    assert history.look(at("2027-11-22T00:00:30+00:00")) == ["start 0000"]
    assert history.missed == decision.MOST_MISSED


@pytest.mark.parametrize(
    ("policy", "second", "third"),
    [
        ("Allow", ["start 0200"], ["start 0300"]),
        ("Forbid", [], []),
        ("Replace", ["stop 0100 replaced", "start 0200"], ["stop 0200 replaced", "start 0300"]),
    ],
)
def test_overlapping_runs(policy: str, second: list[str], third: list[str]) -> None:
    history = History(concurrencyPolicy=policy)
    assert history.look("01:00") == ["start 0100"]
    assert history.look("02:00") == second
    assert history.look("03:00") == third


def test_forbid_lets_the_last_due_run_begin_when_the_one_before_has_ended() -> None:
    history = History(concurrencyPolicy="Forbid")
    history.look("01:00")
    assert history.look("02:00") == history.look("03:10") == []
    history.end(name("01"), 0, "03:20")
    assert history.look("03:20") == ["start 0300"]
    assert history.missed == 1
    late = History(concurrencyPolicy="Forbid", startingDeadlineSeconds=600)
    late.look("01:00")
    assert late.look("02:00") == []
    late.end(name("01"), 0, "02:11")
    assert late.look("02:11") == []
    assert late.missed == 1


def test_a_replaced_run_says_nothing_of_the_service() -> None:
    history = History(concurrencyPolicy="Replace")
    history.look("01:00")
    history.look("02:00")
    history.end(name("01"), None, "02:01")
    assert history.run(name("01")).outcome is Outcome.REPLACED
    assert (history.state.failures, history.state.last_outcome) == (0, None)


@pytest.mark.parametrize("deadline", [None, 600])
def test_suspended_nothing_is_due_and_afterwards_the_last_one_is_made_up_for(
    deadline: int | None,
) -> None:
    history = History(suspend=True, startingDeadlineSeconds=deadline)
    assert history.look("01:00") == history.look("03:30") == []
    history.schedule = schedule(startingDeadlineSeconds=deadline)
    assert history.look("03:30") == ([] if deadline else ["start 0300"])


def test_another_expression_begins_anew() -> None:
    history = History()
    history.look("01:00")
    history.end(name("01"), 0, "01:01")
    history.schedule = schedule(schedule="*/15 * * * *")
    assert history.look("01:50") == []
    assert history.look("02:00") == ["start 0200"]
    history.end(name("02"), 0, "02:01")
    history.schedule = schedule(schedule="*/15 * * * *", timeZone="Asia/Kathmandu")
    assert history.look("02:20") == []
    assert history.missed == 0


@pytest.mark.parametrize(
    ("back", "then"),
    [
        # by a little: what has run at 03:00 does not run at 03:00 again
        ("02:59", {"03:00": [], "04:00": ["start 0400"]}),
        ("02:10", {"03:00": [], "04:00": ["start 0400"]}),
        # by more than an hour: the clock was wrong, and its times come now
        ("01:10", {"02:00": ["start 0200"]}),
        ("2020-01-01T00:30:00Z", {"2020-01-01T01:00:00Z": ["start 0100"]}),
    ],
)
def test_a_clock_that_goes_back(back: str, then: dict[str, list[str]]) -> None:
    history = History("02:30")
    assert history.look("03:00") == ["start 0300"]
    history.end(name("03"), 0, "03:01")
    assert history.look(back) == []
    for when, expected in then.items():
        assert history.look(when) == expected, when
    assert history.missed == 0


def test_a_night_on_which_the_clocks_change() -> None:
    """The skipped time does not come; the one that comes twice is due twice."""
    given = {"schedule": "30 2 * * *", "timeZone": "Europe/Zurich", "concurrencyPolicy": "Allow"}
    spring = History(**given)
    spring.state = decision.first(spring.schedule, at("2026-03-28T12:00:00Z"))
    hours = [at("2026-03-28T12:30:00Z") + 3600 * each for each in range(48)]
    begun = [start for hour in hours for start in spring.look(hour)]
    assert begun == ["start 0030"]  # 02:30 CEST of the day after
    autumn = History(**given)
    autumn.state = decision.first(autumn.schedule, at("2026-10-24T12:00:00Z"))
    hours = [at("2026-10-24T12:30:00Z") + 3600 * each for each in range(24)]
    begun = [start for hour in hours for start in autumn.look(hour)]
    assert begun == ["start 0030", "start 0130"]


def test_a_run_that_takes_too_long_is_ended() -> None:
    history = History(activeDeadlineSeconds=600, backoffLimit=3)
    history.look("01:00")
    history.ages[name("01")] = 599.0
    assert history.look("01:10") == []  # what counts is the clock that nobody sets
    history.ages[name("01")] = 600.0
    assert history.look("01:02") == ["stop 0100 timeout"]
    history.end(name("01"), None, "01:11")
    assert history.run(name("01")).outcome is Outcome.TIMEOUT
    assert history.look("01:30") == []  # it is not tried again


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, "pass"),
        (1, "fail"),
        (2, "inconclusive"),
        (3, "error"),
        (137, "error"),
        (None, "interrupted"),
    ],
)
def test_only_errors_are_tried_again(code: int | None, outcome: str) -> None:
    history = History(backoffLimit=1)
    history.look("01:00")
    history.end(name("01"), code, "01:01")
    if outcome in ("error", "interrupted"):
        assert history.look(at("01:01") + 9.9) == []
        assert history.look(at("01:01") + 10) == ["start 0100 again 2"]
        history.end(name("01"), code, "01:05")
    assert history.look("01:59") == []
    assert history.run(name("01")).outcome == outcome
    assert history.state.counts == {outcome: 1}
    assert history.state.failures == (0 if code == 0 else 1)


def test_retries_wait_ever_longer_and_end_with_the_run() -> None:
    history = History(backoffLimit=9, activeDeadlineSeconds=900)
    history.look("01:00")
    waits, now = [], at("01:00")
    for attempt in range(2, 9):
        history.end(name("01"), 3, now)
        due = history.run(name("01")).retry_at
        assert due is not None
        waits.append(due - now)
        now = due
        assert history.look(now) == [f"start 0100 again {attempt}"]
    assert waits == [10, 20, 40, 80, 160, 320, 360]
    history.end(name("01"), 3, now)
    history.ages[name("01")] = 900.0
    assert history.look(now + 1) == []
    assert history.run(name("01")).outcome is Outcome.TIMEOUT


def test_an_attempt_in_the_far_future_of_a_wrong_clock_begins_now() -> None:
    history = History("03:30", backoffLimit=1)
    history.look("04:00")
    history.end(name("04"), 3, "04:01")
    assert history.look("03:01") == ["start 0400 again 2"]


def test_a_scheduler_that_starts_again_finds_its_run_interrupted() -> None:
    history = History()
    history.look("01:00")
    history.state = decision.interrupted(history.schedule, history.state, at("01:30"))
    run = history.run(name("01"))
    assert (run.outcome, run.ended) == (Outcome.INTERRUPTED, at("01:30"))
    assert "while it was under way" in run.sentence
    assert history.state.failures == 1
    assert history.look("01:30") == []  # it is not begun a second time
    stopped = History(concurrencyPolicy="Replace")
    stopped.look("01:00")
    stopped.look("02:00")
    state = decision.interrupted(stopped.schedule, stopped.state, at("02:01"))
    assert [run.outcome for run in state.runs] == [Outcome.REPLACED, Outcome.INTERRUPTED]


def test_a_run_that_a_person_asks_for() -> None:
    history = History(suspend=True)
    asked = at("00:40")
    assert history.look("00:41", asked) == ["start 0040"]
    assert history.state.runs[0].id.endswith("-manual")
    history.end(history.state.runs[0].id, 0, "00:45")
    assert history.look("00:46", asked) == []  # it was answered
    busy = History(concurrencyPolicy="Forbid")
    busy.look("01:00")
    assert busy.look("01:10", at("01:10")) == []
    busy.end(name("01"), 0, "01:20")
    assert busy.look("01:20", at("01:10")) == ["start 0110"]
    both = History(concurrencyPolicy="Replace")
    assert both.look("01:00", at("00:59")) == ["start 0059", "stop 0059 replaced", "start 0100"]


def test_runs_asked_for_within_one_second_have_names_of_their_own() -> None:
    history = History(concurrencyPolicy="Allow")
    for later in (0.0, 0.2, 0.4):
        history.look("00:41", at("00:40") + later)
    names = [run.id for run in history.state.runs]
    assert [each.partition("-")[2] for each in names] == ["manual", "manual-2", "manual-3"]


def test_people_are_told_once_of_a_failure_and_once_of_recovery() -> None:
    history = History(alerts={"afterFailures": 2, "webhook": {"environment": "URL"}})

    def run(hour: str, code: int) -> list[str]:
        history.look(f"{hour}:00")
        history.end(name(hour), code, f"{hour}:05")
        words = [each for each in history.look(f"{hour}:06") if "tell" in each]
        for each in words:
            what: Literal["failing", "passing"] = "failing" if "fail" in each else "passing"
            history.state = decision.told(history.state, what)
        return words

    assert run("01", 1) == []
    assert run("02", 2) == ["tell failing"]
    assert run("03", 3) == []
    assert run("04", 0) == ["tell passing"]
    assert run("05", 0) == []
    assert run("06", 1) == []
    assert run("07", 0) == []  # it never failed long enough


def test_telling_is_tried_again_ever_less_often_and_given_up_when_it_has_recovered() -> None:
    history = History(alerts={"webhook": {"environment": "URL"}})
    history.look("01:00")
    history.end(name("01"), 1, "01:01")
    now, waits = at("01:01"), []
    for _ in range(7):
        assert history.look(now) == ["tell failing"]
        history.state = decision.not_told(history.state, now)
        assert history.look(now) == []
        waits.append(history.state.tell_at - now)
        now = history.state.tell_at
    assert waits == [10, 20, 40, 80, 160, 320, 360]
    history.look("02:00")
    history.end(name("02"), 0, "02:01")
    assert history.look("02:30") == []


def test_without_alerts_nobody_is_told_and_with_them_later_people_are() -> None:
    history = History()
    history.look("01:00")
    history.end(name("01"), 1, "01:01")
    assert history.look("01:02") == []
    history.schedule = schedule(alerts={"command": {"file": "/run/secrets/alert"}})
    assert history.look("01:03") == ["tell failing"]


def test_records_beyond_the_limits_are_forgotten() -> None:
    history = History(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=1)
    forgotten = []
    for hour, code in (("01", 0), ("02", 1), ("03", 0), ("04", 3), ("05", 0), ("06", 0)):
        forgotten += [each for each in history.look(f"{hour}:00") if "forget" in each]
        history.end(name(hour), code, f"{hour}:05")
    forgotten += history.look("06:30")
    assert forgotten == ["forget 0200", "forget 0100", "forget 0300"]
    assert [run.id[9:13] for run in history.state.runs] == ["0400", "0500", "0600"]
    assert history.state.counts == {"pass": 4, "fail": 1, "error": 1}


def test_a_state_is_the_same_after_it_was_written() -> None:
    history = History(backoffLimit=1)
    history.look("01:00")
    history.end(name("01"), 3, "01:01")
    assert State.model_validate_json(history.state.model_dump_json()) == history.state
