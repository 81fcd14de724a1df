"""Users who stay where they are."""

from __future__ import annotations

import itertools

import pytest

from calumma import errors
from calumma.inference import location
from calumma.rollout import assignment

USERS = [f"user-{number}" for number in range(20_000)]


def canaries(weight: float, salt: str = "digits-1") -> set[str]:
    return {user for user in USERS if assignment.revision(user, weight, salt) == "canary"}


@pytest.mark.parametrize("weight", [0.5, 1, 10, 50, 99])
def test_shares_are_the_declared_ones(weight: float) -> None:
    share = weight / 100
    deviation = (share * (1 - share) / len(USERS)) ** 0.5
    assert len(canaries(weight)) / len(USERS) == pytest.approx(share, abs=4 * deviation)


def test_nobody_and_everybody() -> None:
    assert canaries(0) == set()
    assert canaries(100) == set(USERS)


def test_a_share_that_grows_moves_nobody_back() -> None:
    for less, more in itertools.pairwise((0, 1, 5, 10, 25, 50, 75, 100)):
        assert canaries(less) < canaries(more)


def test_two_rollouts_choose_independently() -> None:
    both = canaries(50, "one") & canaries(50, "other")
    assert len(both) / len(USERS) == pytest.approx(0.25, abs=0.015)


def test_the_hash_is_the_documented_one() -> None:
    # printf 's/u' | sha256sum begins with 2da52dad8af0a60e.
    place = 100 * int("2da52dad8af0a60e", 16) / 2**64
    assert assignment.revision("u", place + 1e-9, "s") == "canary"
    assert assignment.revision("u", place - 1e-9, "s") == "stable"


def endpoint(*urls: str | None) -> location.Endpoint:
    targets = tuple(
        location.Target(f"digits-predictor-0000{2 - index}", percent, index == 0, url)
        for index, (percent, url) in enumerate(zip((10, 90), urls, strict=True))
    )
    return location.Endpoint("digits", "default", "http://digits", "digits", targets, None)


def test_a_user_has_the_host_of_their_revision() -> None:
    found = endpoint("http://latest-digits", "http://prev-digits")
    urls = {assignment.target(found, user, "s").url for user in USERS[:100]}
    assert urls == {"http://latest-digits", "http://prev-digits"}
    for user in USERS[:100]:
        side = assignment.revision(user, 10, "s")
        expected = "http://latest-digits" if side == "canary" else "http://prev-digits"
        assert assignment.target(found, user, "s").url == expected


def test_revisions_without_hosts_are_refused() -> None:
    with pytest.raises(errors.EvaluationError, match="enable-tag-routing"):
        assignment.target(endpoint(None, None), "u", "s")
