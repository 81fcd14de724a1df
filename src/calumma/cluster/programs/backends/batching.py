"""What Calumma's Triton backends have in common: requests in, batches through a model, answers out.

Triton hands a Python backend several requests at once. Those of one signature run as one batch
and are split again; where a batch fails each of its requests runs alone, so that a bad request
gets its own error and those batched with it their answers. What a configuration says is read here
in one way for all backends, and refused with a sentence that names the model.

Triton runs a backend in a process of its own, without Calumma: this file lies beside each
backend's ``model.py`` as ``calumma_batching.py``, and imports numpy and Triton's module only.
:mod:`calumma.cluster.programs.triton` places it; the backends' ``model.py`` are next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Config = Mapping[str, Any]

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Refused(Exception):
    """A model, or a request, that a backend cannot serve; the message is a sentence."""


class Job(NamedTuple):
    """One request of an execution: its place in the batch, its inputs and what it asks for."""

    place: int
    inputs: Arrays
    outputs: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows of the batch the request brings."""
        return rows(self.inputs)

    @property
    def signature(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What requests must have in common to run as one: inputs and their shapes."""
        return tuple(sorted((name, array.shape[1:]) for name, array in self.inputs.items()))


class Executor(NamedTuple):
    """How a model answers requests.

    ``read`` makes an array of one of Triton's tensors. ``run`` takes input arrays and the names of
    the outputs wanted, and gives at least those; whatever it raises is the request's error.
    ``batched`` says that the first dimension of each tensor is the batch.
    """

    read: Callable[[Any], Array]
    run: Callable[[Arrays, Sequence[str]], Mapping[str, Array]]
    batched: bool

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Triton's response to each request: those of one signature run as one batch."""
        responses: list[Any] = [None] * len(requests)
        groups: dict[Any, list[Job]] = {}
        for place, request in enumerate(requests):
            try:
                inputs = {tensor.name(): self.read(tensor) for tensor in request.inputs()}
            except Refused as refusal:
                responses[place] = _error(refusal)
                continue
            job = Job(place, inputs, tuple(request.requested_output_names()))
            groups.setdefault(job.signature if self.batched else place, []).append(job)
        for jobs in groups.values():
            for place, response in self._answer(jobs):
                responses[place] = response
        return responses

    def _answer(self, jobs: list[Job]) -> Iterator[tuple[int, Any]]:
        wanted = sorted({name for job in jobs for name in job.outputs})
        inputs = {
            name: array if len(jobs) == 1 else np.concatenate([job.inputs[name] for job in jobs])
            for name, array in jobs[0].inputs.items()
        }
        try:
            results = self.run(inputs, wanted)
        except Exception as error:  # whatever a model raises is this batch's, not the server's
            if len(jobs) == 1:
                yield jobs[0].place, _error(error)
            else:
                for job in jobs:
                    yield from self._answer([job])
            return
        start = 0
        for job in jobs:
            part = slice(start, start + job.rows) if len(jobs) > 1 else ...
            tensors = [pb_utils.Tensor(name, results[name][part]) for name in job.outputs]
            yield job.place, pb_utils.InferenceResponse(output_tensors=tensors)
            start += job.rows


def rows(inputs: Arrays) -> int:
    """How many rows a batch has; one without inputs has one."""
    return len(next(iter(inputs.values()))) if inputs else 1


def texts(name: str, array: Array) -> Array:
    """An input of bytes as one of texts; raises :class:`Refused` where they are not UTF-8."""
    try:
        decoded = [text.decode() for text in array.ravel()]
    except UnicodeDecodeError as error:
        raise Refused(f"Input '{name}' holds bytes that are not UTF-8: {error}.") from None
    return np.array(decoded, dtype=np.object_).reshape(array.shape)


def refuse_what_is_not_built(config: Config, backend: str) -> None:
    """Raise :class:`Refused` where a model asks for what no backend of ours has."""
    ragged = any(tensor.get("allow_ragged_batch") for tensor in config["input"])
    if ragged or config.get("batch_input") or config.get("batch_output"):
        raise Refused(
            f"Model '{config['name']}' asks for ragged batching, which this {backend} backend "
            "does not have; remove allow_ragged_batch, batch_input and batch_output."
        )
    if config.get("model_transaction_policy", {}).get("decoupled"):
        raise Refused(
            f"Model '{config['name']}' asks for a decoupled transaction policy, which this "
            f"{backend} backend does not have; each request gets one answer. Remove it."
        )


def parameters(config: Config) -> Mapping[str, str]:
    """The configuration's ``parameters``."""
    return {key: value["string_value"] for key, value in config["parameters"].items()}


def count(config: Config, key: str) -> int:
    """A parameter that is a number from 0, which is its default."""
    text = parameters(config).get(key, "0")
    if not text.strip().isdecimal():
        raise Refused(
            f"Model '{config['name']}' sets parameter {key} to '{text}'; it takes a number from 0."
        )
    return int(text)


def flag(config: Config, key: str, default: bool | None) -> bool | None:
    """A parameter that is true or false, or ``default`` where it is not set."""
    text = parameters(config).get(key)
    if text is None:
        return default
    if text.strip().lower() not in _BOOLEANS:
        raise Refused(
            f"Model '{config['name']}' sets parameter {key} to '{text}'; it takes "
            f"{', '.join(_BOOLEANS)}."
        )
    return _BOOLEANS[text.strip().lower()]


def threads(config: Config) -> int:
    """The machine's cores divided by the instances of the model, and at least one.

    Each instance is a process, and several pools of all cores would only take turns.
    """
    instances = sum(int(group["count"]) for group in config["instance_group"])
    return max(1, len(os.sched_getaffinity(0)) // max(1, instances))


def _error(error: Exception) -> Any:
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))
