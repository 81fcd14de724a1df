"""The section offline: understood whole, and judged by its own rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import errors
from calumma.evaluation import document, offline, section, suite
from calumma.scoring import cases, gates, metrics

SUITES = Path(__file__).parents[3] / "evaluation/suites"
POPULATION = [
    cases.Case("a", b"", "1", {"folder": "x"}),
    cases.Case("b", b"", None, {"folder": "y"}),
    cases.Case("c", b"", "2", {"folder": "z/1"}),
]


def read(**content: Any) -> offline.Offline:
    return document.check(content, offline.Offline, "suite")


@pytest.mark.parametrize("name", ["digits", "food11"])
def test_our_suites_are_understood(name: str) -> None:
    found = suite.read(SUITES / f"{name}.yaml")
    assert found.offline is not None and found.offline.gates and found.offline.classes
    assert suite.require(found.offline, "offline", name) is found.offline


def test_the_gates_of_the_course_are_there() -> None:
    found = yaml.safe_load((SUITES / "food11.yaml").read_text())["offline"]
    demanded = {gate["metric"]: gate["at_least"] for gate in found["gates"]}
    assert demanded["accuracy"] == 0.85 and demanded["recall of *"] == 0.75
    assert demanded["minimum functionality: templates"] == 0.8
    assert {mode["at_least"] for mode in found["failure_modes"]} == {0.6}


def test_a_section_that_is_missing_is_named() -> None:
    with pytest.raises(errors.DocumentInvalid, match=r"s\.yaml has no section offline"):
        suite.require(None, "offline", "s.yaml")


def test_a_slice_below_its_minimum_decides_nothing() -> None:
    found = read(
        slices=[{"name": "old", "where": {"camera": "old"}, "minimum": 30}],
        gates=[{"metric": "accuracy of old", "at_least": 0.5}],
    )
    small, enough = (metrics.proportion("accuracy of old", n, n) for n in (29, 30))
    assert found.judge([small]).verdict is gates.Verdict.INCONCLUSIVE
    assert "and 30 are needed" in found.judge([small]).sentence
    assert found.judge([enough]).verdict is gates.Verdict.PASS


def test_a_failure_mode_is_a_gate_even_with_an_odd_name() -> None:
    mode = {"name": "odd [x]*", "where": {"folder": "x"}, "at_least": 0.6, "minimum": 5}
    for by, verdict in (("estimate", gates.Verdict.PASS), ("interval", gates.Verdict.INCONCLUSIVE)):
        found = read(failure_modes=[{**mode, "by": by}])
        measured = [
            metrics.proportion("accuracy of odd [x]*", 6, 10),
            metrics.proportion("accuracy of odd x", 0, 10),
        ]
        assert found.judge(measured).verdict is verdict
    assert found.judge([metrics.proportion("accuracy of odd [x]*", 4, 4)]).verdict is (
        gates.Verdict.INCONCLUSIVE
    )


def test_changes_are_judged_only_with_a_baseline() -> None:
    found = read(
        gates=[{"metric": "accuracy", "at_least": 0.5}],
        changes=[{"metric": "change of accuracy", "at_least": -0.05}],
    )
    measured = [metrics.proportion("accuracy", 90, 100)]
    assert found.judge(measured).verdict is gates.Verdict.PASS
    assert found.judge(measured, changed=True).verdict is gates.Verdict.INCONCLUSIVE


def test_a_demand_by_the_estimate_says_so() -> None:
    demand = section.Demand(metric="accuracy", at_least=0.85, minimum=27, by="estimate")
    measured = [metrics.proportion("accuracy", 25, 27)]
    decision = section.judge([demand], measured)
    assert decision.verdict is gates.Verdict.PASS
    (ruling,) = decision.rulings
    assert str(ruling.gate) == "accuracy at least 0.850, by the estimate alone"
    assert ruling.reason.endswith("n = 27), at least 0.850 by the estimate alone")
    few = section.judge([demand], [metrics.proportion("accuracy", 26, 26)])
    assert few.verdict is gates.Verdict.INCONCLUSIVE
    missed = section.judge([demand], [metrics.proportion("accuracy", 22, 27)])
    assert missed.verdict is gates.Verdict.FAIL
    assert "not at least 0.850 by the estimate alone" in missed.sentence
    surely = section.Demand(metric="accuracy", at_least=0.85)
    assert section.judge([surely], measured).verdict is gates.Verdict.INCONCLUSIVE


def test_images_are_perturbed_that_stand_for_the_population() -> None:
    turned = {"name": "t", "perturbation": "rotate", "severities": [5]}
    found = read(
        sample={"by": "folder", "weights": {"x": 1, "y": 1, "z/*": 0}},
        behaviour={"invariance": [turned, {**turned, "name": "u", "where": {"folder": "z/*"}}]},
    )
    default, chosen = found.behaviour.perturbing
    assert [case.id for case in default.among(POPULATION, found.plan)] == ["a"]
    assert [case.id for case in chosen.among(POPULATION, found.plan)] == ["c"]
    assert default.test.severities == (5.0,)


def test_a_template_without_a_part_is_refused() -> None:
    asked = {"name": "t", "subjects": {"folder": "x"}, "backgrounds": {"folder": "gone"}}
    (test,) = read(behaviour={"minimum_functionality": [asked]}).behaviour.minimum_functionality
    with pytest.raises(errors.DatasetInvalid, match="test 't' finds no image for its backgrounds"):
        test.images(POPULATION)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"slices": [{"name": "a", "where": {}}]}, "slices.0.where"),
        (
            {"slices": [{"name": "a", "where": {"x": {"at_lest": 1}}}]},
            "at_lest is not known here",
        ),
        ({"slices": [{"name": "a", "where": {"x": "y"}}] * 2}, "two slices have the name a"),
        ({"failure_modes": [{"name": "a", "where": {"x": "y"}}]}, "at_least is missing"),
        ({"sample": {"by": "x", "weights": {"a": 0}}}, "needs a stratum with a weight above 0"),
        ({"sample": {"by": "x", "weights": {"a": -1}}}, "greater than or equal to 0"),
        (
            {"behaviour": {"invariance": [{"name": "a", "perturbation": "t", "severities": [1]}]}},
            "the perturbation 't' is not known; there are rotate",
        ),
        (
            {
                "behaviour": {
                    "directional": [{"name": "a", "perturbation": "blur", "severities": [0.1]}]
                }
            },
            "directional tests look at probabilities, and need classes",
        ),
        (
            {"behaviour": {"minimum_functionality": [{"name": "a"}]}},
            "it needs either where or subjects",
        ),
        (
            {
                "behaviour": {
                    "minimum_functionality": [
                        {"name": "a", "subjects": {"x": "y"}, "extras": {"x": "z"}}
                    ]
                }
            },
            "extras need backgrounds",
        ),
    ],
)
def test_a_mistake_is_named(content: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.DocumentInvalid) as caught:
        read(**content)
    assert said in str(caught.value)
