"""Food-11 through its transformer and Triton: every photo keeps the label of the float pipeline."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from calumma.models import food11
from support import pods

MODEL = pods.FOOD11 / "food11_quantized_aggressive.onnx"


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pods.Server]:
    if not MODEL.is_file():
        pytest.skip(f"no Food-11 files at {pods.FOOD11}")
    scratch = tmp_path_factory.mktemp("food11")
    config = pods.ROOT / "inferenceservices" / "food11" / "config.pbtxt"
    food11.write(MODEL, scratch, config=config)
    with pods.start_triton(scratch / "food11" / "v1", scratch) as predictor:
        address = predictor.url.removeprefix("http://")
        with pods.start_transformer("food11", address, scratch) as started:
            yield started


def float_class(session: onnxruntime.InferenceSession, path: Path) -> int:
    """The class as the model's own pipeline finds it."""
    with Image.open(path) as image:
        small = image.convert("RGBA").convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    values = (np.asarray(small) / 255 - np.array(food11.MEAN)) / np.array(food11.STD)
    batch = values.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    (logits,) = session.run(None, {"input": batch})
    return int(logits.argmax())


def test_every_photo_keeps_its_label(transformer: pods.Server) -> None:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    with (pods.FOOD11 / "labels.tsv").open() as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    right = []
    for row in rows:
        path = pods.FOOD11 / row["path"]
        url = f"{transformer.url}/v1/models/food11:predict"
        reply = pods.post(url, path.read_bytes(), content_type="image/jpeg")
        (prediction,) = json.loads(reply.body)["predictions"]
        assert prediction["class"] == float_class(session, path), row["path"]
        if row["class_index"] == str(prediction["class"]):
            assert prediction["label"] == row["class_name"]
        if row["path"].startswith("food11_sample/"):
            right.append(prediction["label"] == row["class_name"])
    assert len(rows) > 50
    assert np.mean(right) > 0.9  # 25 of 27, as the model's authors have it
