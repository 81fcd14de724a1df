"""Patterns: the times that each shape means, how they are put together, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calumma import errors
from calumma.evaluation import document
from calumma.load import patterns, recording, schedule


class Holder(document.Part):
    pattern: patterns.Pattern


def times(
    *phases: dict[str, Any], folder: Path = Path(), seed: int = 0, scale: float = 1.0
) -> tuple[schedule.Times, float]:
    found = document.check({"pattern": list(phases)}, Holder, "suite.yaml").pattern
    return patterns.times(found, folder, seed=[seed], scale=scale)


def test_even_arrivals_follow_the_rate_exactly() -> None:
    constant, seconds = times({"constant": {"rate": 4, "seconds": 1}, "arrivals": "even"})
    assert constant.tolist() == [0.0, 0.25, 0.5, 0.75] and seconds == 1
    ramp, _ = times({"ramp": {"from": 0, "to": 2, "seconds": 10}, "arrivals": "even"})
    assert ramp == pytest.approx(np.sqrt(10 * np.arange(10)))
    steps, _ = times({"steps": {"rates": [1, 0, 2], "seconds": 2}, "arrivals": "even"})
    assert steps.tolist() == [0.0, 1.0, 4.0, 4.5, 5.0, 5.5]


def test_random_arrivals_are_a_poisson_process_along_the_rate() -> None:
    wave = {"wave": {"mean": 500, "amplitude": 500, "period": 10, "seconds": 100}}
    found, seconds = times(wave)
    assert seconds == 100 and np.all(np.diff(found) >= 0)
    counts = np.histogram(found % 10, 10, range=(0, 10))[0]
    middles = np.arange(10) + 0.5
    expected = 5000 * (1 - np.cos(2 * np.pi * middles / 10) * np.sinc(0.1))
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected) + 1)
    busiest = found[(found % 10 > 4) & (found % 10 < 6)]
    in_tenths = np.histogram(busiest, 1000, range=(0, 100))[0][np.arange(1000) % 100 // 20 == 2]
    assert in_tenths.var() == pytest.approx(in_tenths.mean(), rel=0.5)


def test_the_same_seed_gives_the_same_times_and_each_phase_its_own() -> None:
    phase = {"constant": {"rate": 50, "seconds": 2}}
    first, _ = times(phase, phase)
    assert first.tolist() == times(phase, phase)[0].tolist()
    assert first.tolist() != times(phase, phase, seed=1)[0].tolist()
    one, other = first[first < 2], first[first >= 2] - 2
    assert one.tolist() != other.tolist()


def test_phases_follow_each_other_and_patterns_run_together() -> None:
    even = {"arrivals": "even"}
    found, seconds = times(
        {"constant": {"rate": 1, "seconds": 2}, **even},
        {
            "together": [
                [{"constant": {"rate": 1, "seconds": 3}, **even}],
                [
                    {"steps": {"rates": [0, 2], "seconds": 1}, **even},
                ],
            ]
        },
    )
    assert found.tolist() == [0, 1, 2, 3, 3, 3.5, 4] and seconds == 5
    more, _ = times({"constant": {"rate": 10, "seconds": 1}, **even}, scale=3)
    assert len(more) == 30


def test_a_recording_is_played_faster_and_with_more_or_fewer_requests(tmp_path: Path) -> None:
    stamps = 1000 + 100 * np.sort(np.random.default_rng(1).random(5000)) ** 2
    (tmp_path / "day.txt").write_text("\n".join(map(str, stamps)))
    replay = {"file": "day.txt", "speed": 10}
    found, seconds = times({"replay": replay}, folder=tmp_path)
    assert found == pytest.approx((stamps - stamps[0]) / 10)
    assert seconds == pytest.approx(np.ptp(stamps) / 10)
    fewer, _ = times({"replay": {**replay, "share": 0.5}}, folder=tmp_path)
    assert len(fewer) == pytest.approx(2500, abs=200) and set(fewer) <= set(found)
    more, _ = times({"replay": {**replay, "share": 2.5}}, folder=tmp_path)
    assert len(more) == pytest.approx(12500, abs=200) and set(found) <= set(more)
    shape = np.histogram(more, 10)[0] / len(more)
    assert shape == pytest.approx(np.histogram(found, 10)[0] / len(found), abs=0.02)
    cut, seconds = times({"replay": {**replay, "seconds": 2}}, folder=tmp_path)
    assert seconds == 2 and cut.max() <= 2 < found.max()


def test_a_recording_has_times_in_many_forms(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        "# a comment\n"
        '{"type": "org.kubeflow.serving.inference.request", "time": "2026-11-01T12:00:01Z"}\n'
        '{"type": "org.kubeflow.serving.inference.response", "time": "2026-11-01T12:00:02Z"}\n'
        "2026-11-01T12:00:00+00:00\n\n"
        '{"timestamp": 1793534403.5}\n'
    )
    assert (recording.read(path) - 1793534400).tolist() == [0, 1, 3.5]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1\nsoon\n", "line 2 of the recording .* has no time: 'soon'; expected are Unix seconds"),
        ('{"id": 4}', "has no time: '{\"id\": 4}'"),
        ("[1, 2]", "has no time"),
        ("nan", "has no time"),
        ("# nothing\n", "has no request"),
    ],
)
def test_a_recording_without_times_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "bad").write_text(content)
    with pytest.raises(errors.EvaluationError, match=words):
        recording.read(tmp_path / "bad")
    with pytest.raises(errors.EvaluationError, match=r"none cannot be read"):
        recording.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ({}, "a phase has one of constant, ramp, steps, wave, replay, together; found is none"),
        (
            {"constant": {"rate": 1, "seconds": 1}, "ramp": {"from": 0, "to": 1, "seconds": 1}},
            "found is constant and ramp",
        ),
        ({"constant": {"rate": 0, "seconds": 1}}, "pattern.0.constant.rate is 0"),
        ({"constant": {"rate": 1}}, "pattern.0.constant.seconds is missing"),
        ({"constant": {"rat": 1}}, "pattern.0.constant.rat is not known here; accepted are rate"),
        ({"steps": {"rates": [0, 0], "seconds": 1}}, "the rate is 0 all the time"),
        ({"ramp": {"from": 0, "to": 0, "seconds": 1}}, "the rate is 0 all the time"),
        (
            {"wave": {"mean": 1, "amplitude": 2, "period": 1, "seconds": 1}},
            "the amplitude 2 is above the mean 1",
        ),
        ({"constant": {"rate": 1, "seconds": 1}, "arrivals": "odd"}, "pattern.0.arrivals is 'odd'"),
    ],
)
def test_a_pattern_that_says_nothing_is_refused(phase: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.DocumentInvalid) as caught:
        times(phase)
    assert words in str(caught.value)
