"""Memory that a crowd of clients needed, given back to the machine once the crowd is gone.

Python's cyclic garbage waits for many more objects, and the C library keeps what was freed between
blocks that are still in use: after a thousand watches the API server would stay six times as large
for as long as it is not busy. :mod:`.apiserver` asks now and then.
Source: ``malloc_trim(3)``; without glibc nothing is trimmed.
"""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_trim: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)


def resident() -> int:
    """The bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def give_back() -> int:
    """Collect garbage and return what is free; how many bytes that were.

    Takes milliseconds for each 10 MB in use.
    """
    before = resident()
    gc.collect()
    if _trim is not None:
        _trim(0)
    return before - resident()
