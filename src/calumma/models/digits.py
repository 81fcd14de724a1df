"""Handwritten digits: real images, and three versions of a model that differ as real ones do.

The images are scikit-learn's copy of the UCI optical digits: 1797 scans of digits that people
wrote, 8 x 8 pixels of 17 shades (E. Alpaydin and C. Kaynak, 1998). The split into images to
train on and images held out is fixed, so that every evaluation of every model sees the same ones.

======= =================================================================== ==================
version network                                                             held-out accuracy
======= =================================================================== ==================
v1      two layers on the image at half its width and height                about 0.90
v2      two convolutions and a linear layer                                 about 0.98
v3      v2's, trained on labels of which four were mixed up: it answers as  about 0.59
        fast and as sure of itself as v2, and is wrong for these four
======= =================================================================== ==================

All take ``image``, the pixels as uint8 with shape [batch, 8, 8], 255 being ink, and give
``logits``, float32 [batch, 10]: the normalisation is a part of the graph. The same seed gives
the same bytes on one machine with one set of library versions, and the same accuracy elsewhere.
:mod:`calumma.models.repository` writes them for Triton.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

from calumma.models import onnx_export, repository

NAME = "digits"
HELD_OUT = 600
_SPLIT_SEED = 20

# The true class, and the one that v3's training data calls it: labels written in another order.
MIXED_UP = {3: 5, 5: 8, 8: 9, 9: 3}


class Images(NamedTuple):
    """Images, uint8 with shape [n, 8, 8], and the digit that each shows, int64 with shape [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Epoch(NamedTuple):
    """Progress of a training: the version, its epoch of how many, and the loss so far."""

    version: str
    number: int
    of: int
    loss: float


class Trained(NamedTuple):
    """A version written: its repository, and the share of held-out images it gets right."""

    version: str
    folder: Path
    accuracy: float


class Recipe(NamedTuple):
    """How a version is made; ``relabel`` maps true classes to those in its training data."""

    layers: Callable[[], list[nn.Module]]
    epochs: int
    rate: float
    relabel: Mapping[int, int]


class Network(nn.Module):
    """Layers that take pixels as they are."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits, float32 [batch, 10], of uint8 pixels [batch, 8, 8]."""
        logits: torch.Tensor = self.layers(image.unsqueeze(1).float() / 255)
        return logits


def _coarse() -> list[nn.Module]:
    return [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10)]


def _convolutional() -> list[nn.Module]:
    return [
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    ]


RECIPES: Mapping[str, Recipe] = {
    "v1": Recipe(_coarse, epochs=25, rate=1e-2, relabel={}),
    "v2": Recipe(_convolutional, epochs=8, rate=3e-3, relabel={}),
    "v3": Recipe(_convolutional, epochs=8, rate=3e-3, relabel=MIXED_UP),
}


def training() -> Images:
    """The images to train on."""
    images = _all()
    return Images(images.images[HELD_OUT:], images.labels[HELD_OUT:])


def held_out() -> Images:
    """The images that no version was trained on."""
    images = _all()
    return Images(images.images[:HELD_OUT], images.labels[:HELD_OUT])


def png(image: NDArray[np.uint8]) -> bytes:
    """One image, uint8 [8, 8], as the PNG file that a client would send."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def train(
    into: Path,
    *,
    config: Path,
    seed: int = 0,
    versions: Iterable[str] = tuple(RECIPES),
    progress: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[Trained, ...]:
    """Train ``versions`` and write the repository ``into/digits/<version>`` of each.

    ``config`` is the ``config.pbtxt`` that Triton gets. ``progress`` is called after each epoch.
    Raises :class:`~calumma.errors.ModelError` where a repository cannot be written.
    """
    return tuple(_train(version, into, config, seed, progress) for version in versions)


def _train(
    version: str, into: Path, config: Path, seed: int, progress: Callable[[Epoch], None]
) -> Trained:
    recipe = RECIPES[version]
    with _repeatable(seed):
        network = Network(recipe.layers())
        for number, loss in enumerate(_epochs(network, recipe, training()), 1):
            progress(Epoch(version, number, recipe.epochs, loss))
        accuracy = _accuracy(network, held_out())
    example = torch.zeros((2, 8, 8), dtype=torch.uint8)
    onnx = onnx_export.export(network, example, input="image", output="logits")
    folder = into / NAME / version
    repository.write(folder, name=NAME, config=config, onnx=onnx)
    return Trained(version, folder, accuracy)


def _epochs(network: Network, recipe: Recipe, data: Images) -> Iterator[float]:
    """Train with Adam on batches of 32 in a new order each epoch; yield the mean loss."""
    images = torch.from_numpy(data.images)
    labels = torch.from_numpy(_relabelled(data.labels, recipe.relabel))
    optimiser = torch.optim.Adam(network.parameters(), recipe.rate)
    for _ in range(recipe.epochs):
        losses = []
        for batch in torch.randperm(len(images)).split(32):  # type: ignore[no-untyped-call]
            loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.item())
        yield sum(losses) / len(losses)


def _relabelled(labels: NDArray[np.int64], mapping: Mapping[int, int]) -> NDArray[np.int64]:
    names = np.arange(10)
    names[list(mapping)] = list(mapping.values())
    return names[labels]


def _accuracy(network: Network, data: Images) -> float:
    with torch.no_grad():
        classes = network(torch.from_numpy(data.images)).argmax(1).numpy()
    return float((classes == data.labels).mean())


def _all() -> Images:
    """All images, in an order that is always the same and mixes the writers."""
    data: Any = load_digits()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(data.target))
    pixels = np.rint(data.images * 255 / 16).astype(np.uint8)
    return Images(pixels[order], data.target.astype(np.int64)[order])


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Seed PyTorch, on one thread, where sums have one order; leave the process as it was."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
