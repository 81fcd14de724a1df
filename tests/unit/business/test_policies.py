"""Policies: by hand, and against following each reading one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma.business import policies
from calumma.business.policies import Policy
from calumma.business.readers import NONE, Study

CLASSES = ("n", "m", "f", "g")
FINDINGS = np.array([False, False, True, True])


def study(said: list[list[int]], truth: list[int] | list[list[int]], suggested: list[int]) -> Study:
    readings = np.array(said)
    known = np.broadcast_to(np.array(truth), readings.shape)
    names = tuple(f"reader {row}" for row in range(len(said)))
    cases = tuple(f"case {column}" for column in range(readings.shape[1]))
    seconds = np.full(readings.shape, np.nan)
    return Study(CLASSES, FINDINGS, names, cases, readings, known, np.array(suggested), seconds)


def test_what_is_missed_by_hand() -> None:
    """A reader who misses f, sees g, takes g for f, and invents f; a model that knows f only."""
    n, m, f, g = range(4)
    one = study([[n, g, f, f, m]], [f, g, g, n, n], [f, n, n, n, f])
    alone, every, unseen = (policies.final(one, policy)[0].tolist() for policy in Policy)
    assert alone == [n, g, f, f, m]
    assert every == [f, n, n, n, f]
    assert unseen == [f, g, f, f, f]
    values = {metric.name: (metric.count, metric.n) for metric in policies.comparison(one)}
    assert values["missed findings, person alone"] == (2, 3)
    assert values["missed findings, every suggestion followed"] == (2, 3)
    assert values["missed findings, followed where the person saw nothing"] == (1, 3)
    assert values["false alarms, person alone"] == (1, 2)
    assert values["false alarms, every suggestion followed"] == (1, 2)
    assert values["false alarms, followed where the person saw nothing"] == (2, 2)
    by_class = {metric.name: (metric.count, metric.n) for metric in policies.by_class(one)}
    assert by_class["missed f, person alone"] == (1, 1)
    assert by_class["missed g, every suggestion followed"] == (2, 2)
    alone_only = {metric.name: metric for metric in policies.by_reader(one)}
    assert alone_only["sensitivity of reader 0"].count == 1
    assert alone_only["specificity of reader 0"].value == 0.5


labels = st.integers(NONE, 3)
studies = st.tuples(st.integers(1, 4), st.integers(1, 8)).flatmap(
    lambda size: st.builds(
        study,
        st.lists(
            st.lists(labels, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]
        ),
        st.lists(labels, min_size=size[1], max_size=size[1]),
        st.lists(labels, min_size=size[1], max_size=size[1]),
    )
)


@given(studies)
def test_the_same_comes_of_following_each_reading(given_study: Study) -> None:
    finding = {number for number, is_one in enumerate(FINDINGS) if is_one}
    for policy in Policy:
        missed = alarmed = findings = others = 0
        for reader, case in np.ndindex(*given_study.said.shape):
            said, true = int(given_study.said[reader, case]), int(given_study.truth[reader, case])
            hint = int(given_study.suggested[case])
            if said == NONE or true == NONE:
                continue
            follows = policy is Policy.EVERY or (
                policy is Policy.UNSEEN and said not in finding and hint in finding
            )
            final = hint if follows and hint != NONE else said
            findings += true in finding
            others += true not in finding
            missed += true in finding and final != true
            alarmed += true not in finding and final in finding
        found = {metric.name: metric for metric in policies.comparison(given_study)}
        for words, count, n in (
            ("missed findings", missed, findings),
            ("false alarms", alarmed, others),
        ):
            metric = found[f"{words}, {policy}"]
            assert metric.n == n
            assert metric.value == (pytest.approx(count / n) if n else None)
            if n:
                assert metric.interval is not None
                low, high = metric.interval
                assert 0 <= low <= count / n + 1e-9 and count / n - 1e-9 <= high <= 1


@given(studies)
def test_following_where_nothing_was_seen_never_loses_a_finding(given_study: Study) -> None:
    alone = policies.missed(given_study, Policy.ALONE)
    unseen = policies.missed(given_study, Policy.UNSEEN)
    known = np.isfinite(alone)
    assert (unseen[known] <= alone[known]).all()
    alarms = policies.false_alarms(given_study, Policy.ALONE)
    more = policies.false_alarms(given_study, Policy.UNSEEN)
    known = np.isfinite(alarms)
    assert (more[known] >= alarms[known]).all()


def test_the_caveat_is_said() -> None:
    assert "automation bias" in policies.CAVEAT
