"""The folders of pods: made before a program starts, cleared after a pod is gone.

A pod's logs stay as long as its object, which may outlive its programs.
"""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path

from calumma.cluster import layout
from calumma.cluster.node import containers
from calumma.cluster.node.record import Wanted
from calumma.cluster.programs import triton

SHARED_MEMORY = Path("/dev/shm")


def prepare(wanted: Wanted) -> None:
    """Make the folder that a program starts in; a pod without a model has an empty one."""
    Path(wanted.directory).mkdir(parents=True, exist_ok=True)


def clear(home: layout.Home, namespace: str, pod: str) -> None:
    """Remove a pod's model and the shared memory that a killed Triton left; its logs stay."""
    shutil.rmtree(home.models / namespace / pod, ignore_errors=True)
    _free(containers.machine_wide_name(home, namespace, pod))


def forget(home: layout.Home, kept: Container[tuple[str, str]]) -> None:
    """Remove the logs of all pods but those kept, which are given by namespace and name."""
    for folder in (home.logs / "pods").glob("*/*"):
        if (folder.parent.name, folder.name) not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def clear_all(home: layout.Home) -> None:
    """Remove what all pods of a home that is down have left in shared memory."""
    _free(f"{home.tag}/")


def _free(pod: str) -> None:
    prefix = triton.shared_memory_prefix(pod).rstrip(".")
    for region in SHARED_MEMORY.glob(f"{prefix}.*"):
        region.unlink(missing_ok=True)
