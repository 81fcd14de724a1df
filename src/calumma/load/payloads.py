"""What is sent, and to whom: a mix of payloads, prepared so that sending costs next to nothing.

A payload may be meant to be refused (an error load): then a refusal with the expected status is as
it should be, and anything else, an answer too, is a failure.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import pydantic
from numpy.typing import NDArray

from calumma import datasets, errors, inference
from calumma.evaluation import document
from calumma.inference import classification, client, tensors
from calumma.load import generator, schedule, wire
from calumma.scoring import cases

_MOST_CASES = 256
"""Of a dataset so many images are sent, again and again: their bytes are held in memory."""

_DTYPES = {
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    "BOOL": np.dtype(bool),
}


class Payload(document.Part):
    """One kind of request: images of a dataset, random tensors, or a body as it stands."""

    name: Annotated[str, pydantic.Field(min_length=1)]
    weight: Annotated[float, pydantic.Field(gt=0)] = 1.0
    """Its share of the requests, relative to the others'."""
    dataset: str | None = None
    """Images as the V1 protocol carries them: see :func:`calumma.datasets.load`."""
    tensors: Annotated[int, pydantic.Field(ge=1)] | None = None
    """Random inputs of the model's own shapes by the V2 protocol; the number is the batch size."""
    body: str | None = None
    """A body to be sent as it stands, broken ones too."""
    expects: tuple[int, ...] = (200,)
    """The statuses that are as they should be."""

    @pydantic.model_validator(mode="after")
    def _one_content(self) -> Self:
        given = [name for name in ("dataset", "tensors", "body") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"a payload has one of dataset, tensors, body; found is {found}")
        return self

    @property
    def is_meant_to_be_answered(self) -> bool:
        """Whether a 200 is right, so that its latency is that of answers."""
        return 200 in self.expects


class Request(NamedTuple):
    """A prepared request: its bytes, the expected statuses, and how a 200 is read."""

    data: bytes
    expects: frozenset[int]
    version: int | None


class Mix:
    """The cases of all payloads; a case's metadata names its ``payload``."""

    def __init__(self, parts: Mapping[Payload, Sequence[cases.Case]]) -> None:
        self._parts = parts
        self.cases = [case for each in parts.values() for case in each]
        self.answered = frozenset(each.name for each in parts if each.is_meant_to_be_answered)

    def order(self, seed: int) -> Iterator[cases.Case]:
        """An endless order: payloads at random by weight, each one's cases as they are shuffled."""
        choice = random.Random(seed)
        orders = [schedule.shuffled(each, seed=seed) for each in self._parts.values()]
        weights = [payload.weight for payload in self._parts]
        while True:
            yield next(choice.choices(orders, weights)[0])


class Target:
    """A model at an address, asked by the bytes of prepared requests."""

    def __init__(self, wires: wire.Wire, model: str) -> None:
        self._wire, self._model = wires, model
        self._requests: dict[str, Request] = {}

    async def prepare(self, payloads: Sequence[Payload], folder: Path, seed: int) -> Mix:
        """Make the requests of a mix.

        Folders of images are looked for below ``folder``. Raises
        :class:`~calumma.errors.DatasetInvalid` for a data set that is not whole, and
        :class:`~calumma.errors.ServiceUnavailable` where tensors are to be sent and the model does
        not say which.
        """
        parts = {}
        for payload in payloads:
            found = await self._contents(payload, folder, seed)
            parts[payload] = [case for case, _ in found]
            self._requests |= {case.id: request for case, request in found}
        return Mix(parts)

    async def ask(self, case: cases.Case) -> generator.Reply:
        """Send a prepared case."""
        request = self._requests[case.id]
        begin = time.perf_counter()
        try:
            answer = await self._wire.exchange(request.data)
        except (TimeoutError, OSError) as error:
            seconds = time.perf_counter() - begin
            return inference.Reply(None, seconds, inference.Revisions(), failure=_failure(error))
        seconds = time.perf_counter() - begin
        revisions = inference.Revisions(
            answer.headers.get(client.PREDICTOR_REVISION),
            answer.headers.get(client.TRANSFORMER_REVISION),
        )
        content, failure = _read(request, answer)
        return inference.Reply(answer.status, seconds, revisions, content, failure)

    async def _contents(
        self, payload: Payload, folder: Path, seed: int
    ) -> list[tuple[cases.Case, Request]]:
        def prepared(
            name: str,
            case: cases.Case,
            body: bytes,
            headers: Mapping[str, str],
            version: int | None,
        ) -> tuple[cases.Case, Request]:
            path = f"/v2/models/{self._model}/infer" if version == 2 else self._predict
            named = cases.Case(
                f"{payload.name}: {name}", case.image, case.label, {"payload": payload.name}
            )
            data = self._wire.request(path, body, headers)
            return named, Request(data, frozenset(payload.expects), version)

        json_type = {"Content-Type": "application/json"}
        if payload.dataset is not None:
            population = datasets.load(payload.dataset, beside=folder)
            chosen = random.Random(seed).sample(population, min(len(population), _MOST_CASES))
            return [
                prepared(each.id, each, classification.encode([each.image]), json_type, 1)
                for each in chosen
            ]
        if payload.tensors is not None:
            inputs = random_inputs(await self._metadata(), payload.tensors, seed)
            body, headers = tensors.encode(inputs, ())
            return [prepared("random tensors", cases.Case("", b"", None), body, headers, 2)]
        body = (payload.body or "").encode()
        return [prepared("body", cases.Case("", body, None), body, json_type, None)]

    @property
    def _predict(self) -> str:
        return f"/v1/models/{self._model}:predict"

    async def _metadata(self) -> dict[str, Any]:
        """What the model says of its inputs."""
        path = f"/v2/models/{self._model}"
        try:
            answer = await self._wire.exchange(self._wire.request(path, b"", {}, "GET"))
            found: dict[str, Any] = json.loads(answer.body)
        except (TimeoutError, OSError, ValueError) as error:
            raise errors.ServiceUnavailable(
                f"{self._wire.url}{path} does not say what the model's inputs are: {error!r}"
            ) from error
        if answer.status != 200 or not found.get("inputs"):
            raise errors.ServiceUnavailable(
                f"{self._wire.url}{path} answered {answer.status} and no inputs of a model"
            )
        return found


def random_inputs(metadata: Mapping[str, Any], batch: int, seed: int) -> dict[str, NDArray[Any]]:
    """Random tensors for a model's inputs, as its V2 metadata names them.

    The first dimension that is left open is the batch, other open ones are 1; integers are from 0
    to 127, floats from 0 to 1. Raises :class:`~calumma.errors.EvaluationError` for a datatype that
    random values make no sense for.
    """
    chance = np.random.default_rng(seed)
    found: dict[str, NDArray[Any]] = {}
    for each in metadata["inputs"]:
        if each["datatype"] not in _DTYPES:
            raise errors.EvaluationError(
                f"the input {each['name']} is of {each['datatype']}, which has no random values; "
                f"there are some for {', '.join(_DTYPES)}"
            )
        sizes = iter([batch])
        shape = [next(sizes, 1) if size < 0 else size for size in each["shape"]]
        values = chance.random(shape)
        dtype = _DTYPES[each["datatype"]]
        found[each["name"]] = (values if dtype.kind == "f" else values * 128).astype(dtype)
    return found


def _read(
    request: Request, answer: wire.Answer
) -> tuple[tuple[inference.Prediction, ...] | None, inference.Failure | None]:
    """The predictions in an answer, or why it is none."""
    if answer.status not in request.expects:
        text = answer.body[:300].decode(errors="replace")
        return None, inference.Failure(f"status {answer.status}", text)
    try:
        if answer.status == 200 and request.version == 1 and not _has_prediction(answer.body):
            return None, inference.Failure("unreadable", "no prediction for the one instance")
        if answer.status == 200 and request.version == 2:
            length = answer.headers.get(tensors.LENGTH_HEADER.lower())
            tensors.decode(answer.body, length)
    except errors.InferenceError as error:
        return None, inference.Failure("unreadable", str(error))
    return (), None


def _has_prediction(body: bytes) -> bool:
    """Whether a V1 answer has one prediction, whatever it looks like."""
    try:
        return len(json.loads(body)["predictions"]) == 1
    except (ValueError, KeyError, TypeError):
        return False


def _failure(error: Exception) -> inference.Failure:
    """Why no answer came."""
    if isinstance(error, TimeoutError):
        return inference.Failure("timeout", "no answer within the time")
    kind = "refused" if isinstance(error, ConnectionRefusedError) else "disconnected"
    return inference.Failure(kind, str(error))
