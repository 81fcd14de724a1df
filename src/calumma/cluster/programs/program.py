"""What a renderer hands to the node: a process to start, and nothing about how.

Every module of this room turns settings into a :class:`Program` or a configuration file, without
starting or writing anything; :mod:`calumma.cluster.node` does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# A request's image, tensor and reply are buffers of 0.1 to 1 MB. By default glibc gives memory of
# that size back to the kernel after each request and faults it in again for the next.
MALLOC: Mapping[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}


@dataclass(frozen=True)
class Program:
    """A process: its command line, the variables it needs set, and its working directory."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
