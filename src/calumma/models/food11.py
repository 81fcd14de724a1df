"""Food-11: an existing int8 MobileNetV2, made into a Triton repository that takes pixels.

The model file is the caller's; Calumma has no copy. Its input is a float32 image that was
normalised with ImageNet's statistics; :mod:`calumma.models.pixels` folds that into the graph.
The served model takes ``input``, uint8 [batch, 224, 224, 3], and gives ``output``, float32
[batch, 11], which are logits. :mod:`calumma.models.repository` writes it.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from calumma import errors
from calumma.models import pixels, repository

NAME = "food11"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def write(source: Path, into: Path, *, config: Path, version: str = "v1") -> repository.Model:
    """Write the repository ``into/food11/<version>`` from the ONNX file ``source``.

    ``config`` is the ``config.pbtxt`` that Triton gets. Raises
    :class:`~calumma.errors.ModelError` where ``source`` is not such a model.
    """
    try:
        model = onnx.load(source)
    except Exception as error:  # protobuf and onnx raise several kinds for a broken file
        raise errors.ModelError(f"{source} is not a readable ONNX file: {error}.") from error
    folded = pixels.fold(model, mean=MEAN, std=STD)
    return repository.write(
        into / NAME / version, name=NAME, config=config, onnx=folded.SerializeToString()
    )
