"""Each transformer agrees with the Triton configuration of its model."""

from __future__ import annotations

import re
import runpy

import numpy as np
import pytest

from calumma.serving import transformer
from support import pods


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


@pytest.mark.parametrize("name", ["digits", "food11"])
def test_the_tensors_of_both_are_the_same(name: str) -> None:
    program = runpy.run_path(str(pods.ROOT / "transformers" / name / "main.py"))
    application: transformer.Application = program["APPLICATION"]
    config = (pods.ROOT / "inferenceservices" / name / "config.pbtxt").read_text()
    (model, input, output) = re.findall(r'\bname: "(\w+)"', config)
    (pixels, classes) = re.findall(r"dims: \[([\d, ]+)\]", config)
    (batch,) = re.findall(r"max_batch_size: (\d+)", config)
    assert (model, input, output) == (name, application.input, application.output)
    channels = {"L": [], "RGB": [3]}[application.image.mode]
    assert numbers(pixels) == [application.image.height, application.image.width, *channels]
    assert numbers(classes) == [len(application.classes)]
    assert int(batch) == application.max_instances
    assert np.unique(application.classes).size == len(application.classes)
