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
