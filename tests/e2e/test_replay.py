"""Sessions of kubectl and KServeClient, recorded at a real API server, played against a cluster.

The recordings and the programs that play them are not part of this repository: they are looked for
in the folder ``$CALUMMA_RECORDINGS``, else beside the checkout. Each count is printed, and a case
that fails must be one of those that ARCHITECTURE.md explains.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import cluster as support
from support.cluster import Cluster

RECORDINGS = Path(os.environ.get("CALUMMA_RECORDINGS") or support.ROOT.parent / "shared" / "golden")
NOT_HERE = frozenset(
    {
        "007-api-resources-head-5",
        "009-api-versions",
        "278-raw-apis",
        "284-raw-openapi-v3",
    }
)
"""Cases that list kinds and groups which this cluster does not have."""
WEBHOOK = frozenset({"x-annotate-list"})
"""Cases recorded without KServe, whose webhook adds the annotation ``modelFormat``."""
CLIENT_RACE = re.compile(r"\+[EW]\d{4} .*Failed to watch.*context deadline exceeded.*")
"""What kubectl's own watch sometimes says when the time of a wait runs out."""
CONTROLLER_RACE = re.compile(r"-(\S+ patched) \(no change\)\n\+\1")
"""A patch that changes nothing says so, unless a controller writes the status in that moment."""
SDK_WEBHOOK = frozenset({"sdk-create"})


def play(cluster: Cluster, program: str, folder: Path, *words: str) -> list[dict[str, Any]]:
    """Run a replay to its end; the results of its cases."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings at {RECORDINGS}; CALUMMA_RECORDINGS names their folder")
    results = folder / "results.json"
    options = ["--kubeconfig", str(cluster.home.kubeconfig), "--controller", "--json", str(results)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(RECORDINGS / program), *options, *words],
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    cases: list[dict[str, Any]] = json.loads(results.read_text())["cases"]
    return cases


def failures(cases: list[dict[str, Any]]) -> dict[str, str]:
    """What differs, by case, but for the words of the two races."""
    found = {}
    for case in cases:
        changed = [line for line in case.get("diff") or [] if re.match(r"[+-](?![+-]{2} )", line)]
        raced = all(map(CLIENT_RACE.fullmatch, changed))
        raced = raced or CONTROLLER_RACE.fullmatch("\n".join(changed)) is not None
        if case["result"] == "failed" and not raced:
            found[case["id"]] = "\n".join(case["diff"] or ["no diff"])
    return found


def counted(cases: list[dict[str, Any]], failed: dict[str, str]) -> dict[str, tuple[int, int]]:
    """How many cases of each tier pass, of how many."""
    played = [case for case in cases if case["result"] != "skipped"]
    tiers = sorted({case["tier"] for case in played})
    return {
        tier: (
            sum(case["tier"] == tier and case["id"] not in failed for case in played),
            sum(case["tier"] == tier for case in played),
        )
        for tier in tiers
    }


def unexpected(failed: dict[str, str], known: frozenset[str]) -> str:
    return "\n\n".join(f"{case}:\n{diff}" for case, diff in failed.items() if case not in known)


@pytest.mark.slow
def test_kubectl(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = play(cluster, "kubectl_parity.py", tmp_path)
    failed = failures(cases)
    counts = counted(cases, failed)
    with capsys.disabled():
        sys.stdout.write(f"\nkubectl replay: {counts}, failed {sorted(failed)}\n")
    assert not unexpected(failed, NOT_HERE | WEBHOOK)
    assert counts["core"] >= (206, 207)
    assert counts["extended"] >= (43, 47)


@pytest.mark.slow
def test_kserve_client(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = play(cluster, "sdk_parity.py", tmp_path)
    failed = failures(cases)
    counts = counted(cases, failed)
    with capsys.disabled():
        sys.stdout.write(f"\nKServeClient replay: {counts}, failed {sorted(failed)}\n")
    assert not unexpected(failed, SDK_WEBHOOK)
    assert counts["core"] >= (24, 25)
