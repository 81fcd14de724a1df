"""A served box model, evaluated through Triton on pictures whose boxes are known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from calumma import errors, inference
from calumma.detection import asking, boxes, decoding, figures, labels, matching, metrics, pictures
from support import onnx_models, pods, squares

YOLO = asking.Model(
    "images", boxes.Size(squares.INPUT, squares.INPUT), decoding.Yolo("output0"), squares.CLASSES
)

# A service that takes image files and finds the same on each: in shares of the image one box that
# the label below has, one that nothing has, and padding.
PLAIN = """
import numpy as np
import triton_python_backend_utils as triton

FOUND = {
    "boxes": np.array(
        [[0.25, 0.25, 0.5, 0.75], [0, 0, 0.125, 0.125], [0, 0, 0, 0]], dtype=np.float32
    ),
    "scores": np.array([0.9, 0.4, 0], dtype=np.float32),
    "labels": np.array([1, 0, -1], dtype=np.int64),
}

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            (file,) = triton.get_input_tensor_by_name(request, "file").as_numpy()
            assert file.startswith(b"\\x89PNG")
        found = [triton.Tensor(name, each) for name, each in FOUND.items()]
        return [triton.InferenceResponse(found) for _ in requests]
"""

PLAIN_CONFIG = """
backend: "python"
input [{ name: "file" data_type: TYPE_STRING dims: [ 1 ] }]
output [
  { name: "boxes" data_type: TYPE_FP32 dims: [ 3, 4 ] },
  { name: "scores" data_type: TYPE_FP32 dims: [ 3 ] },
  { name: "labels" data_type: TYPE_INT64 dims: [ 3 ] }
]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pods.Server]:
    repository = tmp_path_factory.mktemp("repository")
    onnx_models.add(repository, "exact", squares.detector())
    # A box of 16 that is 3 off overlaps by 13/19 = 0.684, one of 8 by 5/11 = 0.455.
    onnx_models.add(repository, "shifted", squares.detector(shift=3))
    onnx_models.add(repository, "blind", squares.detector(blind_to=1))
    onnx_models.add(repository, "plain", None, PLAIN_CONFIG)
    (repository / "plain" / "1" / "model.py").write_text(PLAIN)
    with pods.start_triton(repository, tmp_path_factory.mktemp("triton")) as started:
        yield started


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[pictures.Picture]:
    folder = tmp_path_factory.mktemp("scenes")
    squares.write_yolo(folder, squares.scenes(40))
    return labels.read(folder / "images", folder / "labels", squares.CLASSES)


async def asked(
    server: pods.Server, name: str, shown: list[pictures.Picture], model: asking.Model = YOLO
) -> list[pictures.Answer]:
    said: list[str] = []
    async with inference.Client(server.url, name) as client:
        answers = await asking.ask(client, shown, model, tell=said.append)
    assert [answer.picture for answer in answers] == shown
    failed = sum(answer.failure is not None for answer in answers)
    assert said[-1] == f"{len(shown)} of {len(shown)} pictures, {failed} failed"
    assert len(said) == min(10, len(shown))
    return answers


def values(answers: list[pictures.Answer]) -> dict[str, float | None]:
    found = matching.match(answers, squares.CLASSES)
    measured = [
        *metrics.average_precisions(found, seed=0),
        *metrics.precision_and_recall(found, 0.25, seed=0),
    ]
    return {each.name: each.value for each in measured}


async def test_a_model_that_finds_everything_has_every_score_at_one(
    server: pods.Server, shown: list[pictures.Picture]
) -> None:
    answers = await asked(server, "exact", shown)
    found = values(answers)
    assert found.pop("AP of large boxes") is None  # there is none
    assert found == {name: pytest.approx(1) for name in found}
    matrix = np.array(metrics.confusion(answers, squares.CLASSES, 0.25).counts)
    drawn = np.bincount(np.concatenate([each.truth.classes for each in shown]), minlength=2)
    np.testing.assert_array_equal(matrix, np.diag([*drawn, 0]))


async def test_a_model_that_draws_beside_has_the_score_that_geometry_gives_it(
    server: pods.Server, shown: list[pictures.Picture]
) -> None:
    large = [each for each in shown if len(each.truth.boxes) and (each.truth.areas > 1000).all()]
    assert len(large) > 3
    found = values(await asked(server, "shifted", large))
    assert found["mAP"] == pytest.approx(0.4)  # right at .50 .55 .60 .65 of ten overlaps
    assert found["mAP@.5"] == pytest.approx(1) and found["precision"] == 1
    small = [each for each in shown if (each.truth.areas < 1000).all()]
    found = values(await asked(server, "shifted", small))
    assert found["mAP"] == 0 and found["recall"] == 0 and found["precision"] == 0


async def test_a_class_that_is_never_found_is_zero_and_its_pictures_are_the_worst(
    server: pods.Server, shown: list[pictures.Picture]
) -> None:
    answers = await asked(server, "blind", shown)
    found = values(answers)
    assert found["AP of red"] == pytest.approx(1) and found["AP of green"] == 0
    assert found["mAP"] == pytest.approx(0.5) and found["recall of green"] == 0
    assert found["precision of green"] is None  # it was never said
    matched = matching.match(answers, squares.CLASSES)
    worst = metrics.worst(matched, 0.25, limit=6)
    missed = [int((each.found < 0).sum()) for each in worst]
    assert missed == sorted(missed, reverse=True) and missed[0] >= 3
    files = [(each.answer.picture.path.read_bytes(), each) for each in worst]
    drawn = figures.gallery(files, squares.CLASSES, 0.25)
    assert drawn == figures.gallery(files, squares.CLASSES, 0.25) and drawn[:4] == b"\x89PNG"
    assert figures.curves(matched) == figures.curves(matched)


async def test_what_is_declared_wrongly_ends_the_evaluation(
    server: pods.Server, shown: list[pictures.Picture]
) -> None:
    one = shown[:3]
    shares = asking.Model(
        YOLO.input,
        YOLO.size,
        decoding.Yolo("output0", units=boxes.Units.NORMALISED),
        squares.CLASSES,
    )
    with pytest.raises(errors.EvaluationError, match="the model gives are declared to be shares"):
        await asked(server, "exact", one, shares)
    three = asking.Model(YOLO.input, YOLO.size, YOLO.output, (*squares.CLASSES, "blue"))
    with pytest.raises(errors.EvaluationError, match=r"is \[1, 6, 5650\]; for 3 classes"):
        await asked(server, "exact", one, three)


async def test_what_fails_is_counted_and_found_nothing(
    server: pods.Server, shown: list[pictures.Picture]
) -> None:
    wrong = asking.Model("pixels", YOLO.size, YOLO.output, squares.CLASSES)
    answers = await asked(server, "exact", shown, wrong)
    assert {answer.failure for answer in answers} == {"status 400"}
    assert metrics.failures(answers).value == 1
    found = values(answers)
    assert found["mAP"] == 0 and found["recall"] == 0 and found["precision"] is None


async def test_a_picture_that_cannot_be_decoded_is_named(
    server: pods.Server, shown: list[pictures.Picture], tmp_path: Path
) -> None:
    whole = shown[0].path.read_bytes()
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole[: len(whole) // 2])
    broken = pictures.Picture("cut", cut, shown[0].truth)
    with pytest.raises(errors.EvaluationError, match=r"cut\.png cannot be decoded"):
        await asked(server, "exact", [broken])


async def test_a_service_that_takes_files_and_gives_plain_boxes(
    server: pods.Server, tmp_path: Path
) -> None:
    squares.write_yolo(tmp_path, [[]])
    (tmp_path / "labels" / "scene000.txt").write_text("1 0.375 0.5 0.25 0.5\n")
    shown = labels.read(tmp_path / "images", tmp_path / "labels", squares.CLASSES)
    output = decoding.Plain("boxes", "scores", "labels", units=boxes.Units.NORMALISED)
    answers = await asked(
        server, "plain", shown, asking.Model("file", None, output, squares.CLASSES)
    )
    assert [answer.failure for answer in answers] == [None]
    found = values(answers)
    assert found["AP of green"] == pytest.approx(1) and found["precision"] == 0.5
    pixels = decoding.Plain("boxes", "scores", "labels")
    with pytest.raises(errors.EvaluationError, match=r"no number in them is above 0\.75"):
        await asked(server, "plain", shown, asking.Model("file", None, pixels, squares.CLASSES))
