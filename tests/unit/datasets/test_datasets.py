"""Data sets by name: images and labels that anybody can check."""

from __future__ import annotations

import dataclasses
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
    for ask in (datasets.held_out, datasets.reference, datasets.load):
        with pytest.raises(errors.DatasetInvalid, match=r"dataset 'faces' is not known.*'digits'"):
            ask("faces")


def test_reference_images_are_those_of_the_training_and_no_others() -> None:
    found = datasets.reference("digits", size=100)
    held_out = {case.image for case in datasets.held_out("digits")}
    assert len(found) == 100
    images, labels = digits.training()
    assert [case.label for case in found] == [str(label) for label in labels[:100]]
    assert found[3].image == digits.png(images[3])
    assert not {case.id for case in found} & {case.id for case in datasets.load("digits")}
    assert sum(case.image in held_out for case in found) == 0


def test_labels_that_the_model_cannot_give_are_refused() -> None:
    population = datasets.load("digits")
    datasets.require_labels(population, [str(digit) for digit in range(10)])
    with pytest.raises(errors.DatasetInvalid, match=r"^1\d\d images are labelled '8', '9', which"):
        datasets.require_labels(population, [str(digit) for digit in range(8)])


def test_the_digest_covers_ids_labels_metadata_and_bytes_but_not_the_order() -> None:
    case = cases.Case("a", b"image", "1", {"camera": "old"})
    other = cases.Case("b", b"image", None)
    digest = cases.digest([case, other])
    assert digest == cases.digest([other, case])
    for change in (
        {"id": "c"},
        {"image": b"other"},
        {"label": "2"},
        {"label": None},
        {"metadata": {"camera": "new"}},
    ):
        assert cases.digest([dataclasses.replace(case, **change), other]) != digest
