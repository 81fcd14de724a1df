"""A kernel without room for Envoy's watches, in a user namespace with a limit of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from calumma.cluster import watches


def limited(instances: int) -> subprocess.CompletedProcess[str]:
    """Require what a cluster needs where the kernel grants so many instances."""
    script = "from calumma.cluster import watches; watches.require()"
    command = f"echo {instances} > /proc/sys/user/max_inotify_instances && exec $0 -c '{script}'"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", command, sys.executable],
        capture_output=True,
        text=True,
        timeout=30,
    )
    if "unshare" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"no user namespace can be made here: {done.stderr.strip()}")
    return done


def test_where_too_few_are_left_a_sentence_says_what_to_do() -> None:
    done = limited(watches.NEEDED - 1)
    assert done.returncode == 1
    assert "4 of them are left; a cluster needs 5" in done.stderr
    assert "sysctl fs.inotify.max_user_instances" in done.stderr


def test_as_many_as_are_needed_are_enough_and_are_given_back() -> None:
    assert limited(watches.NEEDED).returncode == 0
    watches.require()
