"""Whether the kernel lets Envoy and Prometheus watch their files.

Each watching program takes inotify instances, of which a kernel grants all of a user's programs
together a number (``fs.inotify.max_user_instances``, usually 128). Envoy ends with a stack trace
when none is left, so that is found out before it starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from calumma import errors

NEEDED = 5
"""Instances that a cluster takes: four files of Envoy, one of Prometheus."""

_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def require(needed: int = NEEDED) -> None:
    """Raise :class:`~calumma.errors.ConfigurationError` where fewer instances are left."""
    kernel = ctypes.CDLL(None, use_errno=True)
    held: list[int] = []
    try:
        for _ in range(needed):
            instance = kernel.inotify_init1(os.O_CLOEXEC)
            if instance < 0:
                break
            held.append(instance)
        number = ctypes.get_errno()
    finally:
        for instance in held:
            os.close(instance)
    if len(held) < needed and number == errno.EMFILE:
        raise errors.ConfigurationError(
            f"The kernel grants a user {_LIMIT.read_text().strip()} inotify instances, and "
            f"{len(held)} of them are left; a cluster needs {needed}. End programs that watch "
            "files (editors, JupyterLab), or raise the number with "
            "`sudo sysctl fs.inotify.max_user_instances=1024`."
        )
