"""The course's gates on Food-11, through real Triton and the real transformer, for both models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from calumma import running
from calumma.models import food11
from calumma.scoring.gates import Verdict
from support import pods

from .conftest import declare_at

SUITES = pods.ROOT / "evaluation"

# As the models' authors measured them: images squashed to 224 x 224, ONNX Runtime on a CPU.
RECORDED = {
    "aggressive": {"sample": 25, "plain": 9, "dessert": 4, "cake": 2},
    "dynamic": {"sample": 25, "plain": 8, "dessert": 2, "cake": 1},
}
NAMES = {
    "sample": "accuracy",
    "plain": "minimum functionality: plain templates",
    "dessert": "accuracy of indian dessert",
    "cake": "accuracy of cake looks like",
}


@contextmanager
def served(model: str, scratch: Path) -> Iterator[str]:
    """The address of a transformer in front of a Triton that serves this model."""
    config = pods.ROOT / "inferenceservices/food11/config.pbtxt"
    food11.write(pods.FOOD11 / f"food11_quantized_{model}.onnx", scratch, config=config)
    with pods.start_triton(scratch / "food11/v1", scratch) as predictor:
        address = predictor.url.removeprefix("http://")
        with pods.start_transformer("food11", address, scratch) as transformer:
            yield transformer.url


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(RECORDED))
def test_both_models_fail_as_recorded(
    model: str,
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not pods.FOOD11.is_dir():
        pytest.skip(f"no Food-11 files at {pods.FOOD11}")
    monkeypatch.setenv("FOOD11", str(pods.FOOD11))
    monkeypatch.chdir(tmp_path)
    given = {
        "suite": str(SUITES / "suites/food11.yaml"),
        "namespace": f"food11-{model}",
        "rate": 100.0,
        "explain": 0,
    }
    with served(model, tmp_path) as url:
        declare_at(cluster, "food11", f"food11-{model}", url)
        run = running.execute(SUITES / "offline.ipynb", tmp_path / "offline.ipynb", given)
    assert run.verdict is Verdict.FAIL and run.report is not None, run.sentence
    metrics = {each["name"]: each for table in run.report["metrics"] for each in table["metrics"]}
    found = {key: metrics[name]["count"] for key, name in NAMES.items()}
    assert found == RECORDED[model]
    assert [metrics[name]["n"] for name in NAMES.values()] == [27, 9, 10, 5]
    verdicts = {gate["metric"]: gate["verdict"] for gate in run.report["gates"]}
    assert verdicts["accuracy"] == "pass"
    assert (
        verdicts["accuracy of indian dessert"] == verdicts["accuracy of cake looks like"] == "fail"
    )
    assert verdicts["minimum functionality: templates"] == "fail"
    # The sample has no image of these: nobody knows, and nothing passes.
    assert verdicts["recall of Bread"] == verdicts["recall of Dessert"] == "inconclusive"
    assert metrics["minimum functionality: templates"]["n"] == 81
    assert metrics["failed requests"]["count"] == 0
