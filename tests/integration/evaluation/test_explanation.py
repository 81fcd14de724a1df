"""Explanations of served models that look at a known place, at nothing, or sometimes answer."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from aiohttp import web
from numpy.typing import NDArray
from PIL import Image

from calumma import inference
from calumma.explanation import Explanations, explain, faithfulness, masks, panel, study
from calumma.models import digits
from calumma.scoring import cases

from .conftest import CANARY, STABLE, Service

Model = Callable[[NDArray[np.uint8]], float]


@dataclass
class Stand:
    """A service with the classes ``there`` and ``not``: a model gives the first's probability.

    ``revisions`` answer in turn; one that is None fails. The canary says the opposite.
    """

    model: Model
    revisions: list[str | None] = field(default_factory=lambda: [STABLE])
    requests: int = 0

    async def predict(self, request: web.Request) -> web.Response:
        revision = self.revisions[self.requests % len(self.revisions)]
        self.requests += 1
        if revision is None:
            return web.json_response({"error": "no healthy upstream"}, status=503)
        rows = []
        for instance in json.loads(await request.read())["instances"]:
            with Image.open(io.BytesIO(base64.b64decode(instance["image"]["b64"]))) as image:
                share = self.model(np.asarray(image))
            values = [share, 1 - share] if revision == STABLE else [1 - share, share]
            rows.append(row(values, ("there", "not")))
        headers = {"x-calumma-predictor-revision": revision}
        return web.json_response({"predictions": rows}, headers=headers)


def row(values: list[float], names: tuple[str, ...]) -> dict[str, object]:
    index = int(np.argmax(values))
    return {
        "label": names[index],
        "class": index,
        "probability": values[index],
        "probabilities": values,
    }


@contextlib.asynccontextmanager
async def serving(stand: Stand) -> AsyncIterator[inference.Client]:
    application = web.Application(client_max_size=1 << 25)
    application.router.add_post("/v1/models/places:predict", stand.predict)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with inference.Client(f"http://127.0.0.1:{runner.addresses[0][1]}", "places") as one:
            yield one
    finally:
        await runner.cleanup()


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


def texture(*shape: int) -> NDArray[np.uint8]:
    """Black and white at random: contrast everywhere, so that nothing but the model points."""
    return np.random.default_rng(3).choice(np.array([0, 255], dtype=np.uint8), shape)


def contrast_in(top: int, left: int, side: int) -> Model:
    """A model that is sure when there is contrast in one square, wherever else there is some."""

    def model(pixels: NDArray[np.uint8]) -> float:
        grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
        return float(np.clip(grey[top : top + side, left : left + side].std() / 120, 0.02, 0.98))

    return model


def wider_than(least: int) -> Model:
    return lambda pixels: 0.9 if len(pixels) >= least else 0.1


def wrong(file: bytes, name: str = "image-1") -> list[cases.Answer]:
    """An answer ``there`` to an image that is not, and one the other way, which tells the order."""
    case = cases.Case(name, file, "not")
    other = cases.Case("other", file, "not")
    return [
        cases.Answer(case, "there", 0.9, 0.1, STABLE, None, (0.9, 0.1)),
        cases.Answer(other, "not", 0.8, 0.1, STABLE, None, (0.2, 0.8)),
    ]


def values(found: Explanations) -> dict[str, float | None]:
    return {each.name: each.value for each in found.table.metrics}


@pytest.mark.parametrize("place", [(0, 0), (16, 40), (48, 8), (32, 32), (48, 76)])
async def test_the_map_points_to_where_the_model_looks(place: tuple[int, int]) -> None:
    top, left = place
    answer = wrong(png(texture(64, 96, 3)))[0]
    async with serving(Stand(contrast_in(top, left, 16))) as client:
        found = await study.study(
            panel.Panel(client, None, 50), answer, {"there": 0, "not": 1}, seed=(0, 1)
        )
    heat = masks.spread(found.said, found.subject.image.shape[:2])
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert top <= row < top + 16 and left <= column < left + 16
    inside = heat[top : top + 16, left : left + 16]
    assert inside.mean() > 5 * np.abs(heat).mean()
    assert found.true is not None
    np.testing.assert_allclose(found.true, -found.said, atol=1e-12)
    assert min(found.gains) > 0.1 and found.confirmed


async def test_a_model_that_looks_at_nothing_has_a_flat_map_and_the_report_says_so() -> None:
    async with serving(Stand(lambda _: 0.75)) as client:
        found = await explain(client, wrong(png(texture(8, 8))), seed=0)
    (figure,) = found.figures
    assert "The map for there is flat" in figure.caption
    assert values(found) == {name: pytest.approx(0) for name in values(found)}


async def test_the_same_answers_give_the_same_bytes_in_a_bounded_number_of_requests() -> None:
    stand = Stand(contrast_in(2, 2, 4))
    said: list[str] = []
    async with serving(stand) as client:
        first = await explain(client, wrong(png(texture(8, 8))), seed=1, tell=said.append)
        second = await explain(client, wrong(png(texture(8, 8))), seed=1)
    assert first.figures == second.figures and first.table == second.table
    images = 1 + 7 * 7 + 2 * (1 + study.CONTROLS) * (faithfulness.STEPS - 1)
    assert said == [f"1 of 1: image-1 (not, said there): {images} images with something hidden"]
    assert first.requests == stand.requests / 2 <= images / panel.BATCH + 3
    assert "flat" not in first.figures[0].caption and not first.notes


async def test_only_the_revision_in_question_is_explained() -> None:
    image = png(texture(8, 8))
    alone, split = Stand(contrast_in(2, 2, 4)), Stand(contrast_in(2, 2, 4))
    split.revisions = [CANARY, STABLE, None, CANARY]
    async with serving(alone) as client:
        expected = await explain(client, wrong(image), seed=1)
    async with serving(split) as client:
        found = await explain(client, wrong(image), seed=1, revision=STABLE)
    assert found.figures == expected.figures and found.table == expected.table
    assert split.requests > 3 * alone.requests


@pytest.mark.parametrize(
    ("revisions", "words"),
    [
        ([None], r"20 requests to http.* did not suffice .* \(status 503: 20\)"),
        ([CANARY, CANARY, None], rf"\(answered by {CANARY}: 14, status 503: 6\); allow more"),
    ],
)
async def test_a_service_that_does_not_answer_is_a_note(
    revisions: list[str | None], words: str
) -> None:
    async with serving(Stand(lambda _: 0.5, revisions)) as client:
        found = await explain(
            client, wrong(png(texture(8, 8))), seed=0, revision=STABLE, most_requests=20
        )
    assert found.figures == () and found.requests == 20
    (note,) = found.notes
    assert "could not be explained" in note
    assert re.search(words, note), note
    assert all(metric.n == 0 and metric.value is None for metric in found.table.metrics)


async def test_no_error_and_no_image_are_notes() -> None:
    async with serving(Stand(lambda _: 0.5)) as client:
        right = await explain(client, wrong(png(texture(8, 8)))[1:], seed=0)
        broken = await explain(client, wrong(b"no image"), seed=0)
    assert right.notes == ("there is no wrong answer to explain",) and right.requests == 0
    assert "cannot identify image file" in broken.notes[0] and not broken.figures


async def test_an_image_is_scaled_down_as_far_as_its_answer_stays() -> None:
    answer = wrong(png(texture(300, 300)))[0]
    for least, shown in ((0, 256), (280, 300), (600, 300)):
        async with serving(Stand(wider_than(least))) as client:
            found = await study.study(panel.Panel(client, None, 500), answer, {"there": 0}, seed=0)
        assert len(found.subject.image) == shown and found.confirmed == (least < 600)
        assert found.true is None


async def test_an_answer_that_is_another_for_the_image_as_sent_is_told() -> None:
    async with serving(Stand(lambda _: 0.2)) as client:
        found = await explain(client, wrong(png(texture(8, 8))), seed=0)
    assert "the image was answered otherwise" in found.figures[0].caption


async def test_errors_of_a_real_classifier_have_true_maps(service: Service) -> None:
    service.classifiers = {STABLE: service.bad}
    images, labels = digits.held_out()
    files = [digits.png(image) for image in images[:60]]
    async with inference.Client(service.url, "digits") as client:
        reply = await client.classify(files)
        assert reply.content is not None
        answers = [
            cases.Answer(
                cases.Case(f"digits-{number}", file, str(label)),
                said.label,
                said.probability,
                0.01,
                STABLE,
                None,
                said.probabilities,
            )
            for number, (file, label, said) in enumerate(
                zip(files, labels, reply.content, strict=False)
            )
        ]
        found = await explain(client, answers, seed=0, limit=4)
    assert len(found.figures) == 4 and not found.notes
    for name, metric in zip(values(found), found.table.metrics, strict=True):
        assert metric.n == 4 and metric.interval is not None, name
        assert metric.interval.low > 0.02, metric
