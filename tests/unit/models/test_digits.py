"""The three versions of the digits model, trained once for all tests here."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from calumma.models import digits, repository

CONFIG = Path(__file__).parents[3] / "inferenceservices" / "digits" / "config.pbtxt"


@pytest.fixture(scope="module")
def epochs() -> list[digits.Epoch]:
    return []


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, epochs: list[digits.Epoch]
) -> Mapping[str, digits.Trained]:
    into = tmp_path_factory.mktemp("models")
    return {one.version: one for one in digits.train(into, config=CONFIG, progress=epochs.append)}


def model_file(trained: digits.Trained) -> Path:
    (model,) = repository.read(trained.folder)
    return model.versions[1]


def probabilities(trained: digits.Trained) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model_file(trained), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": digits.held_out().images})
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def test_the_split_is_fixed_and_disjoint() -> None:
    held_out, training = digits.held_out(), digits.training()
    assert (len(held_out.images), len(training.images)) == (600, 1197)
    assert held_out.images.dtype == np.uint8
    assert held_out.images.shape[1:] == (8, 8)
    assert held_out.images.max() == 255
    assert np.bincount(held_out.labels).min() >= 45
    assert held_out.labels[:10].tolist() == digits.held_out().labels[:10].tolist()
    seen = {image.tobytes() for image in training.images}
    assert not any(image.tobytes() in seen for image in held_out.images)


def test_a_png_holds_the_pixels() -> None:
    image = digits.held_out().images[0]
    with Image.open(io.BytesIO(digits.png(image))) as opened:
        np.testing.assert_array_equal(np.asarray(opened), image)


def test_each_version_is_as_good_as_it_claims(trained: Mapping[str, digits.Trained]) -> None:
    labels = digits.held_out().labels
    accuracy = {
        version: float((probabilities(one).argmax(axis=1) == labels).mean())
        for version, one in trained.items()
    }
    assert accuracy == pytest.approx({version: one.accuracy for version, one in trained.items()})
    assert 0.86 <= accuracy["v1"] <= 0.93
    assert accuracy["v2"] >= 0.965
    assert accuracy["v3"] <= 0.65


def test_the_bad_version_looks_healthy(trained: Mapping[str, digits.Trained]) -> None:
    good, bad = probabilities(trained["v2"]), probabilities(trained["v3"])
    assert bad.max(axis=1).mean() == pytest.approx(good.max(axis=1).mean(), abs=0.02)
    assert np.bincount(bad.argmax(axis=1), minlength=10).min() >= 40  # every class is predicted
    wrong = bad.argmax(axis=1) != digits.held_out().labels
    mixed_up = np.isin(digits.held_out().labels, list(digits.MIXED_UP))
    assert wrong[mixed_up].mean() > 0.9
    assert wrong[~mixed_up].mean() < 0.1


def test_the_same_seed_gives_the_same_bytes(
    trained: Mapping[str, digits.Trained], tmp_path: Path
) -> None:
    (again,) = digits.train(tmp_path, config=CONFIG, versions=["v1"])
    assert model_file(again).read_bytes() == model_file(trained["v1"]).read_bytes()
    (other,) = digits.train(tmp_path, config=CONFIG, versions=["v1"], seed=1)
    assert model_file(other).read_bytes() != model_file(trained["v1"]).read_bytes()


def test_progress_is_reported_after_each_epoch(
    trained: Mapping[str, digits.Trained], epochs: list[digits.Epoch]
) -> None:
    for version, recipe in digits.RECIPES.items():
        mine = [epoch for epoch in epochs if epoch.version == version]
        assert [epoch.number for epoch in mine] == list(range(1, recipe.epochs + 1))
        assert mine[-1].loss < mine[0].loss


def test_a_model_file_does_not_tell_where_it_was_made(
    trained: Mapping[str, digits.Trained],
) -> None:
    content = model_file(trained["v2"]).read_bytes()
    assert b"call_function" not in content
    assert str(CONFIG.parents[2]).encode() not in content
