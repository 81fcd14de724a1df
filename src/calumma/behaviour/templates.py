"""Images composed of parts: a subject on a background, with something beside it.

The subject is squeezed to half of the background's width and height and stands in the middle, the
extra to 0.35 of them and lies at the right, both 5% of the height above the lower edge; the subject
is in front. Transparent pixels of the parts show what is behind them. Every combination of the
parts is made, in their order, so that a rerun makes the same images.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence

from PIL import Image

from calumma.scoring import cases

SUBJECT, EXTRA, MARGIN = 0.5, 0.35, 0.05

SOURCE = "subject"
"""The metadata that names the subject of a composed image: images of one subject go together."""


def compose(background: bytes, subject: bytes, extra: bytes | None = None) -> bytes:
    """One composed image, a PNG of the background's size."""
    scene = _open(background)
    if extra is not None:
        _put(scene, _open(extra), EXTRA, to_the_right=True)
    _put(scene, _open(subject), SUBJECT, to_the_right=False)
    return _file(scene)


def alone(subject: bytes) -> bytes:
    """The subject in its own size on white, a PNG."""
    part = _open(subject)
    scene = Image.new("RGBA", part.size, "white")
    scene.alpha_composite(part)
    return _file(scene)


def permutations(
    name: str,
    subjects: Sequence[cases.Case],
    backgrounds: Sequence[cases.Case],
    extras: Sequence[cases.Case],
) -> Iterator[cases.Case]:
    """Every subject on every background with every extra, or with none where there are none.

    Without backgrounds each subject is alone on white. The label is the subject's; metadata name
    the parts.
    """
    if not backgrounds:
        for subject in subjects:
            name_of = {SOURCE: subject.id}
            yield cases.Case(f"{name}: {subject.id}", alone(subject.image), subject.label, name_of)
    beside: Sequence[cases.Case | None] = extras or [None]
    for subject, background, extra in itertools.product(subjects, backgrounds, beside):
        parts = {SOURCE: subject.id, "background": background.id}
        if extra is not None:
            parts["extra"] = extra.id
        image = compose(background.image, subject.image, extra.image if extra else None)
        yield cases.Case(f"{name}: {', '.join(parts.values())}", image, subject.label, parts)


def _file(scene: Image.Image) -> bytes:
    file = io.BytesIO()
    scene.convert("RGB").save(file, "PNG", compress_level=1)
    return file.getvalue()


def _open(file: bytes) -> Image.Image:
    with Image.open(io.BytesIO(file)) as image:
        return image.convert("RGBA")


def _put(scene: Image.Image, part: Image.Image, share: float, *, to_the_right: bool) -> None:
    width, height = (max(1, int(length * share)) for length in scene.size)
    free = scene.width - width
    place = (
        free if to_the_right else free // 2,
        scene.height - height - int(scene.height * MARGIN),
    )
    small = part.resize((width, height), Image.Resampling.BICUBIC)
    scene.paste(small, place, small)
