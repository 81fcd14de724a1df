"""Maps and curves are what their formulas say, on models that can be computed by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from calumma.explanation import faithfulness, figures, masks


def file(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "shown", "cells"),
    [
        ((8, 8), (8, 8), 8),
        ((3, 5), (3, 5), 3),
        ((40, 60, 3), (40, 60, 3), 12),
        ((512, 1024, 3), (128, 256, 3), 12),
    ],
)
def test_an_image_has_as_many_cells_as_it_has_pixels_for(
    shape: tuple[int, ...], shown: tuple[int, ...], cells: int
) -> None:
    found, larger = masks.subjects(file(noise(*shape)))
    assert found.image.shape == found.blur.shape == shown and found.cells == cells
    assert max(larger.image.shape) == min(max(shape), 512)


def test_what_is_hidden_is_blurred_and_the_rest_stays() -> None:
    found, _ = masks.subjects(file(noise(24, 24, 3)))
    hidden = np.zeros((12, 12), dtype=np.bool_)
    hidden[2, 3] = True
    with Image.open(io.BytesIO(masks.hide(found, hidden))) as image:
        pixels = np.asarray(image)
    np.testing.assert_array_equal(pixels[4:6, 6:8], found.blur[4:6, 6:8])
    pixels = pixels.copy()
    pixels[4:6, 6:8] = found.image[4:6, 6:8]
    np.testing.assert_array_equal(pixels, found.image)
    assert found.blur.astype(float).std() < found.image.astype(float).std() / 5


@pytest.mark.parametrize("cells", [1, 2, 5, 12])
def test_every_cell_is_hidden_by_some_patch_and_a_constant_model_is_flat(cells: int) -> None:
    patches = masks.patches(cells)
    assert np.any(patches, axis=0).all()
    whole = np.array([0.3, 0.7])
    heat = masks.heat(whole, np.tile(whole, (len(patches), 1)), cells)
    assert heat.shape == (2, cells, cells) and not heat.any()


def test_evidence_tells_sure_from_surer_and_has_an_end() -> None:
    rows = [[0.5, 0.25, 0.25], [0.9, 0.09, 0.01], [1.0, 1e-4, 0.0], [1.0, 0.0, 0.0]]
    found = masks.evidence(np.array(rows))
    np.testing.assert_allclose(found[:, 0], [0, np.log10(9), 4, 6], atol=1e-12)
    np.testing.assert_allclose(found[:, 2], [-np.log10(3), -np.log10(99), -6, -6], atol=1e-12)


def test_the_map_is_largest_where_the_model_looks() -> None:
    target = (3, 8)
    without = np.array([[0.1, 0.9] if each[target] else [0.9, 0.1] for each in masks.patches(12)])
    said, other = masks.heat(np.array([0.9, 0.1]), without, 12)
    assert np.unravel_index(said.argmax(), said.shape) == target
    assert said[target] == pytest.approx(0.8) and other[target] == pytest.approx(-0.8)
    assert said[9, 1] == 0


def test_deletion_hides_the_important_cells_first_and_insertion_shows_them() -> None:
    heat = np.arange(16.0).reshape(4, 4)
    order = faithfulness.order(heat)
    assert order[0] == 15 and order[-1] == 0
    stages = faithfulness.stages(order, 4)
    deletion, insertion = stages[: len(stages) // 2], stages[len(stages) // 2 :]
    assert len(deletion) == faithfulness.STEPS - 1
    assert deletion[0].ravel().nonzero()[0].tolist() == [15]
    for one, other in zip(deletion, insertion, strict=True):
        assert (one ^ other).all()
    hidden = [each.sum() for each in deletion]
    assert hidden == sorted(hidden)


def test_a_map_that_is_right_falls_at_once_and_its_opposite_at_last() -> None:
    cells = 6
    important = np.zeros((cells, cells))
    important[1, 2] = 1

    def model(hidden: masks.Cells) -> float:
        return 0.1 if hidden[1, 2] else 0.9

    areas = {}
    for name, heat in {"right": important, "opposite": -important}.items():
        stages = faithfulness.stages(faithfulness.order(heat), cells)
        inner = np.array([model(each) for each in stages])
        areas[name] = faithfulness.curves(0.9, 0.1, inner).areas
    assert areas["right"] == pytest.approx((0.1 + 0.8 / 24, 0.9 - 0.8 / 24))
    assert areas["opposite"] == pytest.approx((0.9 - 0.8 / 24, 0.1 + 0.8 / 24))


@pytest.mark.parametrize("shape", [(8, 8), (96, 64, 3)])
def test_a_figure_is_the_same_twice(shape: tuple[int, ...]) -> None:
    found, _ = masks.subjects(file(noise(*shape)))
    heat = np.linspace(-0.2, 0.5, found.cells**2).reshape(found.cells, found.cells)
    curve = np.linspace(0.9, 0.1, faithfulness.STEPS + 1)
    curves = faithfulness.Curves(curve, curve[::-1])
    for maps in ({"8 (said)": heat, "3 (true)": None}, {"8": 0 * heat, "3": -heat}):
        drawn = figures.explanation(found, maps, curves, [curves])
        assert drawn == figures.explanation(found, maps, curves, [curves])
        assert drawn[:4] == b"\x89PNG"
