"""The autoscaler's arithmetic, with a clock of the test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from calumma import errors
from calumma.cluster.knative import autoscaling
from calumma.cluster.knative.autoscaling import Autoscaler, Load, Spec

GROUP = autoscaling.GROUP
ROOM = 20


def revision(concurrency: int | None = None, **annotations: str) -> dict[str, Any]:
    named = {f"{GROUP}/{key.replace('_', '-')}": text for key, text in annotations.items()}
    spec = {} if concurrency is None else {"containerConcurrency": concurrency}
    return {"metadata": {"name": "r-00001", "annotations": named}, "spec": spec}


def spec(concurrency: int | None = None, **annotations: str) -> Spec:
    return autoscaling.spec(revision(concurrency, **annotations), None, ROOM)


@pytest.mark.parametrize(
    ("made", "target"),
    [
        (spec(), 70.0),
        (spec(target="10"), 7.0),
        (spec(20), 14.0),
        (spec(5, target="10"), 3.5),
        (spec(target="10", target_utilization_percentage="100"), 10.0),
        (spec(metric="rps"), 140.0),
        (spec(metric="rps", target="10"), 7.0),
        (spec(3, metric="rps", target="10"), 7.0),
    ],
)
def test_the_load_that_one_pod_is_meant_to_have(made: Spec, target: float) -> None:
    assert made.target == pytest.approx(target)


def test_windows_are_knatives_unless_the_revision_says_otherwise() -> None:
    assert (spec().window, spec().panic_window, spec().panic_threshold) == (60.0, 6.0, 2.0)
    own = spec(window="1m30s", panic_window_percentage="20", panic_threshold_percentage="150")
    assert (own.window, own.panic_window, own.panic_threshold) == (90.0, 18.0, 1.5)


def test_the_config_map_is_between_the_defaults_and_the_annotations() -> None:
    settings = {"data": {"stable-window": "30s", "enable-scale-to-zero": "false", "_example": "x"}}
    made = autoscaling.spec(revision(), settings, ROOM)
    assert (made.window, made.least) == (30.0, 1)
    assert autoscaling.spec(revision(window="10s"), settings, ROOM).window == 10.0


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (revision(window="soon"), r"annotation .*/window of the revision r-00001 is 'soon'"),
        (revision(target="-1"), r"/target of the revision r-00001 is '-1'; accepted is a number"),
        (revision(max_scale="nan"), "accepted is a number that is not negative"),
    ],
)
def test_what_cannot_be_read_is_named(made: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        autoscaling.spec(made, None, ROOM)
    with pytest.raises(errors.ConfigurationError, match="the key stable-window of the ConfigMap"):
        autoscaling.spec(revision(), {"data": {"stable-window": "1 minute"}}, ROOM)


def test_processor_and_memory_do_not_scale_to_zero() -> None:
    by_hpa = revision(min_scale="0")
    by_hpa["metadata"]["annotations"][f"{GROUP}/class"] = "hpa.autoscaling.knative.dev"
    assert autoscaling.spec(by_hpa, None, ROOM).least == 1


def decisions(
    wanted: Spec, load: Callable[[int], float], seconds: int, pods: int = 1
) -> dict[int, int]:
    """Desired pods by second, every two seconds, when pods are ready at once."""
    autoscaler = Autoscaler(pods, 0.0)
    found = {}
    for now in range(1, seconds + 1):
        autoscaler.record(Load(float(now), load(now), load(now)))
        if now % 2 == 0:
            decided = autoscaler.decide(wanted, pods, 0.0, float(now))
            assert decided is not None
            found[now] = pods = decided
    return found


def test_nothing_is_decided_without_a_load() -> None:
    assert Autoscaler(1, 0.0).decide(spec(), 1, 0.0, 100.0) is None


def test_a_steady_load_gets_the_pods_it_needs() -> None:
    found = decisions(spec(target="10"), lambda _: 20.0, 30)
    assert set(found.values()) == {3}  # 20 requests at a time over 7 for each pod


def test_a_burst_is_met_by_the_panic_window_and_kept_for_a_stable_one() -> None:
    found = decisions(spec(target="10"), lambda now: 70.0 if 60 < now <= 66 else 7.0, 160)
    assert found[60] == 1
    assert found[66] == 10
    assert found[120] == 10, "nothing goes down during a panic"
    assert found[160] == 1


def test_bounds_hold_in_every_case() -> None:
    found = decisions(spec(target="1", min_scale="2", max_scale="4"), lambda _: 50.0, 20, pods=2)
    assert found[20] == 4
    found = decisions(spec(min_scale="2", max_scale="4"), lambda _: 0.0, 200, pods=2)
    assert found[200] == 2


def test_without_load_a_revision_ends_after_the_stable_window_and_not_before() -> None:
    found = decisions(spec(), lambda now: 1.0 if now == 10 else 0.0, 80)
    assert {second for second, pods in found.items() if pods == 0} == set(range(70, 81, 2))
    assert decisions(spec(window="10s"), lambda _: 0.0, 20)[10] == 0


def test_a_new_agent_waits_a_whole_window_before_it_ends_the_last_pod() -> None:
    autoscaler = Autoscaler(1, 1000.0)
    autoscaler.record(Load(1001.0, 0.0, 0.0))
    assert autoscaler.decide(spec(), 1, 0.0, 1002.0) == 1


def test_the_last_pod_can_be_kept_for_longer() -> None:
    found = decisions(
        spec(window="10s", scale_to_zero_pod_retention_period="20s"), lambda _: 0.0, 40
    )
    assert min(second for second, pods in found.items() if pods == 0) == 22


def test_activation_gives_several_pods_or_none() -> None:
    found = decisions(spec(activation_scale="3"), lambda now: 1.0 if now < 10 else 0.0, 90, pods=1)
    assert found[2] == 3
    assert found[90] == 0


def test_going_down_can_be_delayed() -> None:
    wanted = spec(target="10", window="10s", scale_down_delay="30s", min_scale="1")
    found = decisions(wanted, lambda now: 60.0 if now <= 10 else 0.0, 130)
    assert found[10] == 9
    assert found[38] == 9
    assert found[130] == 1


def test_pods_go_down_by_half_at_most() -> None:
    autoscaler = Autoscaler(1, 0.0)
    autoscaler.record(Load(70.0, 0.0, 0.0))
    assert autoscaler.decide(spec(), 8, 0.0, 70.0) == 4


def test_several_pods_are_kept_until_there_is_a_history() -> None:
    found = decisions(spec(), lambda _: 0.0, 130, pods=5)
    assert found[60] == 5
    assert found[130] == 0


@pytest.mark.parametrize(
    ("made", "count"),
    [
        (revision(), 1),
        (revision(min_scale="0"), 1),
        (revision(min_scale="3"), 3),
        (revision(min_scale="1", initial_scale="2"), 2),
    ],
)
def test_how_many_pods_a_revision_begins_with(made: dict[str, Any], count: int) -> None:
    assert autoscaling.initial(made) == count


def test_without_a_most_there_are_as_many_as_the_machine_has_room_for() -> None:
    assert autoscaling.spec(revision(), None, 2).bounded(50) == 2
    assert autoscaling.spec(revision(min_scale="3"), None, 2).bounded(50) == 3
    assert autoscaling.spec(revision(max_scale="9"), None, 2).bounded(50) == 9
