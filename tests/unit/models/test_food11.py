"""Food-11 from pixels: the labels of the model that it was made from, on every image there is."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from calumma import errors
from calumma.models import food11
from calumma.serving import images
from support import pods

CONFIG = pods.ROOT / "inferenceservices" / "food11" / "config.pbtxt"
WANTED = images.Format("RGB", width=224, height=224)


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def plain(path: Path) -> NDArray[np.uint8]:
    """The image as the model's own pipeline has it: decoded in full, then resized."""
    with Image.open(path) as image:
        colours = image.convert("RGBA").convert("RGB")
        return np.asarray(colours.resize((224, 224), Image.Resampling.BILINEAR))


def normalised(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = (image / 255 - np.array(food11.MEAN)) / np.array(food11.STD)
    return np.asarray(values.transpose(2, 0, 1)[np.newaxis], dtype=np.float32)


@pytest.fixture
def photos() -> list[Path]:
    if not pods.FOOD11.is_dir():
        pytest.skip(f"no Food-11 files at {pods.FOOD11}")
    with (pods.FOOD11 / "labels.tsv").open() as table:
        paths = [pods.FOOD11 / row["path"] for row in csv.DictReader(table, delimiter="\t")]
    assert len(paths) > 50
    return paths


# The dynamic form measures each image's range before it rounds, so that a last bit can move its
# logits by tenths.
@pytest.mark.parametrize(("file", "tolerance"), [("aggressive", 0.0), ("dynamic", 1.0)])
def test_pixels_give_what_the_normalised_image_gave(
    file: str, tolerance: float, photos: list[Path], tmp_path: Path
) -> None:
    source = pods.FOOD11 / f"food11_quantized_{file}.onnx"
    before = session(source)
    after = session(food11.write(source, tmp_path, config=CONFIG).versions[1])
    for path in photos:
        image = plain(path)
        (expected,) = before.run(None, {"input": normalised(image)})
        (logits,) = after.run(None, {"input": image[np.newaxis]})
        np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance, err_msg=path.name)
        assert logits.argmax() == expected.argmax(), path.name


def test_the_transformers_decoding_keeps_every_label(photos: list[Path], tmp_path: Path) -> None:
    source = pods.FOOD11 / "food11_quantized_aggressive.onnx"
    model = session(food11.write(source, tmp_path, config=CONFIG).versions[1])
    for path in photos:
        (expected,) = model.run(None, {"input": plain(path)[np.newaxis]})
        served = images.pixels(path.read_bytes(), WANTED, max_pixels=40_000_000)
        (logits,) = model.run(None, {"input": served[np.newaxis]})
        assert logits.argmax() == expected.argmax(), path.name


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(b"not a model")
    with pytest.raises(errors.ModelError, match=r"model\.onnx is not a readable ONNX file"):
        food11.write(source, tmp_path, config=CONFIG)
