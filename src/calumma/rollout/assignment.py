"""Who gets which revision, where clients choose it themselves: the same user always the same one.

The gateway of the one-machine cluster assigns users (:mod:`~calumma.rollout.routing`). A real
cluster's cannot, and so a client, or the application in front of it, asks the host of the revision
that a user has. Pure.

A user's place is SHA-256 of ``<salt>/<user>`` in UTF-8, its first 8 bytes as a big-endian number,
divided by 2**64: uniform from 0 to 1. Users whose place is below the canary's share get the canary.
So a share that grows moves users to the canary and none back, and two rollouts with different salts
assign independently of each other. The gateway has a hash of its own: it assigns other users.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from calumma.inference import location

Side = Literal["stable", "canary"]


def revision(user: str, weight: float, salt: str) -> Side:
    """The side of a user while the canary has ``weight`` percent; ``salt`` names the rollout."""
    digest = hashlib.sha256(f"{salt}/{user}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return "canary" if place * 100 < weight else "stable"


def target(endpoint: location.Endpoint, user: str, salt: str) -> location.Target:
    """The revision that a user gets at the shares that are declared now, and its ``url``.

    Raises :class:`~calumma.errors.EvaluationError` where there is no canary, or where its
    revisions have no hosts of their own (``prev-`` and ``latest-`` tags, or Deployments).
    """
    stable, canary = endpoint.hosts()
    return canary if revision(user, canary.percent, salt) == "canary" else stable
