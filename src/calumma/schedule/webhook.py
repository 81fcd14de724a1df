"""A JSON document by POST to a URL that is a secret: it appears in no text that comes back.

A redirect is an answer like any other and is not followed: it would make a GET of the POST, whose
document would be lost, and a login page would seem to have agreed.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any

from calumma import errors

TIMEOUT = 10.0
"""Seconds that a receiver has to answer."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def post(url: str, document: str) -> int:
    """Send it; the answer's HTTP status. Blocks for some seconds.

    Raises :class:`~calumma.errors.AlertFailed` where nobody answers.
    """
    if not is_url(url):
        raise errors.AlertFailed("the webhook's URL does not begin with http:// or https://")
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(url, document.encode(), headers, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError, http.client.HTTPException) as error:
        kind = getattr(error, "reason", None) or type(error).__name__
        raise errors.AlertFailed(f"the webhook was not reached: {kind}") from None


def is_url(secret: str) -> bool:
    """Whether a secret can be the address of a webhook."""
    return secret.startswith(("http://", "https://"))
