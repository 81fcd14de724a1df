"""From shares and assumptions to minutes, missed findings and money: the arithmetic, nothing else.

All of it is linear in the shares, and in each assumption alone (the weights of a mix apart). Arrays
of draws go through it as single numbers do: every argument may have leading axes, which broadcast.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from calumma.business.assumptions import Values
from calumma.business.valuemodel import ValueModel

HOURS_A_DAY = 24


class Consequences(NamedTuple):
    """What follows for one case on average, alone and assisted, and for a day.

    ``minutes``, ``missed`` and ``false_alarms`` are for a case; the two costs are for a day of
    ``cases`` cases, the assisted one with the cost of serving.
    """

    cases: Values
    minutes_alone: Values
    minutes_assisted: Values
    missed_alone: Values
    missed_assisted: Values
    false_alarms_alone: Values
    false_alarms_assisted: Values
    cost_alone: Values
    cost_assisted: Values

    @property
    def effect(self) -> Values:
        """What is gained in a day, in the currency; negative: what is lost."""
        return self.cost_alone - self.cost_assisted

    @property
    def minutes_saved(self) -> Values:
        """A person's minutes that are saved in a day."""
        return self.cases * (self.minutes_alone - self.minutes_assisted)


def follow(shares: Values, model: ValueModel, given: Mapping[str, Any]) -> Consequences:
    """What follows from shares [..., classes, classes + 1, 2] and a value of each assumption."""
    shares = mixed(shares, model, given)
    findings = model.findings
    n = len(findings)
    reviewed, accepted = shares[..., :n, 0], shares[..., :n, 1]
    failed, mix = shares[..., n, :].sum(axis=-1), shares.sum(axis=(-1, -2))
    stands = accepted + (1 - _over(given["catches"], 2)) * reviewed
    wrong = np.where(np.eye(n, dtype=bool), 0, stands)
    spoiled = _over(given["spoils"], 1) * np.diagonal(reviewed, axis1=-2, axis2=-1)
    misses, false = _over(given["person_misses"], 1), _over(given["person_false_alarms"], 1)
    # By finding: [..., findings]. A person's false alarm is for each of the findings alike.
    missed = (wrong.sum(axis=-1) + spoiled + misses * failed)[..., findings]
    imagined = (spoiled + false * failed)[..., ~findings].sum(axis=-1)
    false_alarms = wrong.sum(axis=-2)[..., findings] + _over(imagined, 1) / findings.sum()
    missed_alone = (misses * mix)[..., findings]
    imagined = (false * mix)[..., ~findings].sum(axis=-1)
    false_alarms_alone = _over(imagined, 1) / findings.sum() + np.zeros(findings.sum())
    return _priced(
        model,
        given,
        missed=(missed_alone, missed),
        false_alarms=(false_alarms_alone, false_alarms),
        assisted=(failed.sum(axis=-1), reviewed.sum(axis=(-1, -2))),
    )


def mixed(shares: Values, model: ValueModel, given: Mapping[str, Any]) -> Values:
    """The shares with the declared mix of classes, or as they are where none is declared."""
    if model.mix is None:
        return shares
    weights = np.stack([np.asarray(given[f"mix {name}"]) for name in model.classes], axis=-1)
    wanted = weights / weights.sum(axis=-1, keepdims=True)
    present = shares.sum(axis=(-1, -2))
    factors = np.divide(
        wanted, present, out=np.zeros(np.broadcast(wanted, present).shape), where=present > 0
    )
    changed: Values = shares * factors[..., None, None]
    return changed


def without_errors(shares: Values) -> Values:
    """The shares of a model that is as sure as this one and always right."""
    n = shares.shape[-3]
    right = shares.copy()
    right[..., :n, :] = 0
    diagonal = np.arange(n)
    right[..., diagonal, diagonal, :] = shares[..., :n, :].sum(axis=-2)
    return right


def wrong_share(shares: Values, model: ValueModel, given: Mapping[str, Any]) -> Values:
    """The share of answers that are wrong, of all that came; 0 where none came."""
    shares = mixed(shares, model, given)
    n = shares.shape[-3]
    answered = shares[..., :n, :].sum(axis=(-1, -2, -3))
    right = np.trace(shares[..., :n, :].sum(axis=-1), axis1=-2, axis2=-1)
    wrong: Values = np.maximum(answered - right, 0) / np.where(answered > 0, answered, 1)
    return wrong


def _priced(
    model: ValueModel,
    given: Mapping[str, Any],
    *,
    missed: tuple[Values, Values],
    false_alarms: tuple[Values, Values],
    assisted: tuple[Values, Values],
) -> Consequences:
    """Minutes and money; each pair is (alone, assisted), ``assisted`` (by hand, confirmed)."""
    findings = [name for name in model.classes if name in model.missed]
    cost_missed = np.stack([np.asarray(given[f"missed {name}"]) for name in findings], axis=-1)
    cost_false = np.stack([np.asarray(given[f"false_alarm {name}"]) for name in findings], axis=-1)
    by_hand, confirmed = assisted
    alone = np.asarray(given["minutes_alone"]) + np.zeros(by_hand.shape)
    minutes = (alone, alone * by_hand + given["minutes_confirming"] * confirmed)
    cases = np.asarray(given["cases_a_day"]) + np.zeros(alone.shape)
    costs = [
        cases
        * (
            given["price_of_a_minute"] * minutes[way]
            + (missed[way] * cost_missed).sum(axis=-1)
            + (false_alarms[way] * cost_false).sum(axis=-1)
        )
        for way in (0, 1)
    ]
    return Consequences(
        cases,
        minutes_alone=minutes[0],
        minutes_assisted=minutes[1],
        missed_alone=missed[0].sum(axis=-1),
        missed_assisted=missed[1].sum(axis=-1),
        false_alarms_alone=false_alarms[0].sum(axis=-1),
        false_alarms_assisted=false_alarms[1].sum(axis=-1),
        cost_alone=costs[0],
        cost_assisted=costs[1] + HOURS_A_DAY * np.asarray(given["serving_an_hour"]),
    )


def _over(value: Any, axes: int) -> Any:
    """A value for each draw, made to broadcast over as many further axes."""
    return np.asarray(value)[(..., *[None] * axes)]
