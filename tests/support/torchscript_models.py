"""Small TorchScript models, each for one property of a server, and the repositories for them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

# As upstream KServe's end-to-end tests have it, in the form of NVIDIA's documentation.
CIFAR10 = """
{spelling}
max_batch_size: {rows}
input [{{ name: "INPUT__0" data_type: TYPE_FP32 dims: [ 3, 32, 32 ] }}]
output [{{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 10 ] }}]
instance_group [{{ count: {instances} kind: KIND_CPU }}]
"""


class Cifar10(nn.Module):
    """A small convolutional network of ten classes whose weights follow from ``seed``."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
        )
        self.classes = nn.Linear(64, 10)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classes(self.features(x).flatten(1))
        return logits


class Several(nn.Module):
    """The sum, the difference and the place of the larger one of two inputs."""

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return left + right, left - right, (right > left).to(torch.int64)


class Named(NamedTuple):
    """A result with names."""

    double: Tensor
    half: Tensor


class ByName(nn.Module):
    """Takes a dictionary and gives a named tuple."""

    def forward(self, inputs: dict[str, Tensor]) -> Named:
        total = inputs["a"] + inputs["b"]
        return Named(total * 2, total / 2)


class Identity(nn.Module):
    """Gives its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Lookup(nn.Module):
    """Half of ``index`` [n, 1]; fails beyond 9."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.arange(10, dtype=torch.float32) / 2)

    def forward(self, index: Tensor) -> Tensor:
        if bool((index > 9).any()):
            raise ValueError("the table ends at 9")
        return self.table[index]


class Texts(nn.Module):
    """Each text with a mark, and its length."""

    def forward(self, texts: list[str]) -> tuple[list[str], Tensor]:
        return [text + "!" for text in texts], torch.tensor([len(text) for text in texts])


class Summed(nn.Module):
    """Forgets the batch: the sum of all rows, [width]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(0)


class Total(nn.Module):
    """Gives a tensor without dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum()


class Listed(nn.Module):
    """Gives a list of tensors, which NVIDIA's backend does not take."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


class Optioned(nn.Module):
    """Takes a number, which NVIDIA's backend cannot give it."""

    def forward(self, x: Tensor, times: int = 2) -> Tensor:
        return x * times


class NoForward(nn.Module):
    """Has a method of another name only."""

    @torch.jit.export
    def other(self, x: Tensor) -> Tensor:
        return x


def scripted(module: nn.Module) -> bytes:
    """The file that ``torch.jit.script`` and ``save`` make of a module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of TorchScript itself
        return _saved(torch.jit.script(module))


def traced(module: nn.Module, example: Tensor) -> bytes:
    """The file that ``torch.jit.trace`` and ``save`` make of a module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return _saved(torch.jit.trace(module, example))  # type: ignore[no-untyped-call]


def weights(module: nn.Module) -> bytes:
    """The file that ``torch.save`` makes of a module's weights."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    return file.getvalue()


def add(
    repository: Path, name: str, torchscript: bytes | None, config: str | None, version: int = 1
) -> None:
    """Add a version of a model to a repository; without ``torchscript`` or ``config``, no file."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True)
    if torchscript is not None:
        (folder / "model.pt").write_bytes(torchscript)
    if config is not None:
        (folder.parent / "config.pbtxt").write_text(config)


def cifar10(spelling: str = 'backend: "pytorch"', rows: int = 8, instances: int = 1) -> str:
    """The configuration of :class:`Cifar10`."""
    return CIFAR10.format(spelling=spelling, rows=rows, instances=instances)


def images(count: int, seed: int = 0) -> Tensor:
    """Images as CIFAR-10 has them, float32 [count, 3, 32, 32], of coloured squares, -1 to 1."""
    generator = torch.Generator().manual_seed(seed)
    squares = torch.rand((count, 3, 2, 2), generator=generator) * 2 - 1
    return squares.repeat_interleave(16, 2).repeat_interleave(16, 3)


def _saved(module: torch.jit.ScriptModule) -> bytes:
    file = io.BytesIO()
    torch.jit.save(module, file)
    return file.getvalue()
