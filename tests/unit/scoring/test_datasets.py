"""The held-out images by name: images and labels that anybody can check."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from calumma import datasets, errors
from calumma.models import digits
from calumma.scoring import cases


def test_the_held_out_digits_are_files_with_their_labels() -> None:
    found = datasets.held_out("digits")
    images, labels = digits.held_out()
    assert len(found) == len({case.id for case in found}) == len(images)
    assert [case.label for case in found] == [str(label) for label in labels]
    with Image.open(io.BytesIO(found[7].image)) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), images[7])
    assert cases.digest(found) == cases.digest(datasets.held_out("digits"))


def test_a_dataset_that_is_not_known_is_named() -> None:
    with pytest.raises(errors.EvaluationError, match=r"dataset 'faces' is not known.*'digits'"):
        datasets.held_out("faces")
