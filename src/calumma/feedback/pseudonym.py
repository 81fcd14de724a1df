"""Pseudonyms: one user stays one, and the records alone identify nobody.

Names are never stored. The key that makes a user's pseudonym lies outside of the folder of records,
so that who gets the folder cannot even try names until one fits, as with a plain hash. A pseudonym
is still personal data where somebody has the key.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from calumma import errors

_SHORTEST_KEY = 16


def of(user: str, key: bytes) -> str:
    """The user's pseudonym under a key of at least 16 bytes: 16 hexadecimal digits of HMAC-SHA256.

    Source: RFC 2104. Raises :class:`~calumma.errors.FeedbackError` for a shorter key.
    """
    if len(key) < _SHORTEST_KEY:
        raise errors.FeedbackError(
            f"the key for pseudonyms has {len(key)} bytes; use at least {_SHORTEST_KEY} random ones"
        )
    return hmac.new(key, user.encode(), hashlib.sha256).hexdigest()[:16]


def key(place: Path) -> bytes:
    """The key in a file that only its owner can read; a new one where there is no file yet.

    Raises :class:`~calumma.errors.FeedbackError` where the file holds no key.
    """
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    try:
        return bytes.fromhex(place.read_text(encoding="ascii"))
    except ValueError as error:
        raise errors.FeedbackError(
            f"{place} holds no key for pseudonyms (hexadecimal digits); name another file"
        ) from error
