"""Composed images: where the parts are, and that every combination is made."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calumma.behaviour import templates
from calumma.scoring import cases


def plain(colour: str, size: tuple[int, int] = (200, 100)) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", size, colour).save(file, "PNG")
    return file.getvalue()


def half_transparent() -> bytes:
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), (20, 0, 40, 40))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def pixels(file: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file)) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def place(found: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, upper, right and lower edge of what has a colour."""
    rows, columns = np.nonzero((found == colour).all(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_the_subject_is_in_the_middle_and_takes_half() -> None:
    found = pixels(templates.compose(plain("blue"), plain("red", (30, 70))))
    assert found.shape == (100, 200, 3)
    assert place(found, (255, 0, 0)) == (50, 45, 150, 95)


def test_the_extra_is_at_the_right_behind_the_subject() -> None:
    found = pixels(templates.compose(plain("blue"), plain("red"), plain("lime")))
    assert place(found, (255, 0, 0)) == (50, 45, 150, 95)
    assert place(found, (0, 255, 0)) == (150, 60, 200, 95)


def test_what_is_transparent_shows_what_is_behind() -> None:
    found = pixels(templates.compose(plain("blue"), half_transparent()))
    assert found[70, 60].tolist() == [0, 0, 255] and found[70, 140].tolist() == [255, 0, 0]
    alone = pixels(templates.alone(half_transparent()))
    assert alone[20, 5].tolist() == [255, 255, 255] and alone[20, 35].tolist() == [255, 0, 0]


def parts(kind: str, n: int) -> list[cases.Case]:
    colours = ["red", "blue", "lime", "grey"]
    return [cases.Case(f"{kind}{i}", plain(colours[i]), f"label {i}") for i in range(n)]


def test_every_combination_is_made_in_order() -> None:
    found = list(templates.permutations("t", parts("s", 3), parts("b", 2), parts("e", 2)))
    assert len(found) == len({case.id for case in found}) == 12
    assert found[0].id == "t: s0, b0, e0" and found[-1].id == "t: s2, b1, e1"
    assert found[-1].metadata == {"subject": "s2", "background": "b1", "extra": "e1"}
    assert [case.label for case in found[:4]] == ["label 0"] * 4
    again = templates.permutations("t", parts("s", 3), parts("b", 2), parts("e", 2))
    assert found == list(again)


def test_without_extras_or_backgrounds_there_are_fewer() -> None:
    assert len(list(templates.permutations("t", parts("s", 3), parts("b", 2), []))) == 6
    alone = list(templates.permutations("t", parts("s", 3), [], []))
    assert [case.id for case in alone] == ["t: s0", "t: s1", "t: s2"]
