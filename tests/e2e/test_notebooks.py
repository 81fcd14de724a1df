"""The notebooks that people open, run from top to bottom as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

from support.cluster import Cluster, shares


def printed(notebook: Path) -> str:
    """All text that a notebook's cells have printed."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [each for cell in cells for each in cell.get("outputs", [])]
    return "".join("".join(each.get("text", [])) for each in outputs)


def test_deploying_and_a_canary(cluster: Cluster, tmp_path: Path) -> None:
    """Twice: the first run makes the service, the second finds it with a canary."""
    for percent, revisions in ((10, (1, 2)), (40, (3, 4))):
        output = tmp_path / f"{percent}.ipynb"
        done = cluster.papermill(
            "notebooks/deploy.ipynb", str(output), "-p", "percent", f"{percent}"
        )
        assert done.code == 0, done.error
        stable, latest = (f"{number:05}" for number in revisions)
        assert shares(cluster.get()) == {latest: percent, stable: 100 - percent}
        text = printed(output)
        assert "It says 7, 100.0% sure; it is a 7." in text
        assert f"digits-predictor-{latest}: {percent}% is declared" in text
        assert "0% of the requests failed" in text
        observed = re.search(rf"digits-predictor-{latest}: ([\d.]+)% of 300 requests", text)
        assert observed is not None
        # Beyond five standard deviations of a binomial share: once in a million runs.
        assert (
            abs(float(observed[1]) - percent) < 500 * (percent * (100 - percent) / 1e4 / 300) ** 0.5
        )
    assert cluster.kubectl("delete", "isvc", "digits").code == 0


def test_a_rollout_that_is_rolled_back(digits_service: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "rollout.ipynb"
    given = ("-p", "to", "pvc://models/digits/v3", "-p", "seconds", "60.0")
    done = digits_service.papermill("notebooks/rollout.ipynb", str(output), *given)
    assert done.code == 0, done.error
    text = printed(output)
    assert "is being carried out" in text
    assert "pause: Paused at 0% in step 1" in text
    assert "resume: It goes on; its share is 0%." in text
    assert "RolledBack. at 0%: correct is worse (+" in text
    assert re.search(r"[1-9]\d* pairs that differ were kept", text)
    assert shares(digits_service.get()) == {"00002": 0, "00001": 100}
