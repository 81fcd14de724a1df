"""The transformer of an image classifier, as a model on kserve's server.

kserve calls :meth:`ImageClassifier.preprocess`, ``predict`` and ``postprocess`` in turn and
measures each. Decoding images is the only long work here, and it happens on threads, so that the
event loop is free to serve; Pillow lets go of the interpreter while it decodes.
:mod:`calumma.serving.server` starts it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import kserve
import numpy as np
from grpc_interceptor import exceptions as grpc
from kserve.model import InferenceVerb
from numpy.typing import NDArray

from calumma import errors
from calumma.serving import images, predictions, predictor, requests


class Application(NamedTuple):
    """What is particular to one image classifier.

    ``classes`` are the names of the model's classes in its order, ``image`` what it takes,
    ``input`` and ``output`` the names of its tensors, ``max_instances`` how many images one
    request may have: the ``max_batch_size`` of its ``config.pbtxt``.
    """

    classes: Sequence[str]
    image: images.Format
    input: str
    output: str
    max_instances: int


class Limits(NamedTuple):
    """What one request may ask for: its images, and the pixels of each."""

    instances: int
    pixels: int


class Batch(NamedTuple):
    """A preprocessed request: uint8 pixels [batch, ...], and the request if it speaks V2."""

    pixels: NDArray[np.uint8]
    request: kserve.InferRequest | None


class Raw(NamedTuple):
    """What the predictor said of a :class:`Batch`, and its revision (empty if it is not named)."""

    logits: NDArray[Any]
    request: kserve.InferRequest | None
    revision: str


class ImageClassifier(kserve.Model):  # type: ignore[misc]
    """Images in, labels out, with Triton in between."""

    def __init__(
        self,
        name: str,
        application: Application,
        client: predictor.Predictor,
        *,
        limits: Limits,
        threads: int,
    ) -> None:
        super().__init__(name, return_response_headers=True)
        self.engine = True  # kserve then awaits start_engine beside its server
        self._application = application
        self._client = client
        self._limits = limits
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="preprocess")
        self._meter = predictions.Meter(name, application.classes)
        self._stopped = asyncio.Event()

    async def start_engine(self) -> None:
        """Keep the connections to the predictor until the server stops."""
        async with self._client.connected():
            await self._stopped.wait()

    def stop_engine(self) -> None:
        """Let the connections go; kserve calls it when the server has stopped."""
        self._stopped.set()

    def validate(self, payload: Any) -> Any:
        """Leave the payload to :meth:`preprocess`, which knows what it must be."""
        return payload

    async def __call__(
        self,
        body: Any,
        headers: dict[str, str] | None = None,
        verb: InferenceVerb = InferenceVerb.PREDICT,
    ) -> Any:
        """Answer a request; refusals become gRPC's where it came by gRPC."""
        try:
            return await super().__call__(body, headers, verb)
        except (errors.RequestRefused, errors.PredictorFailed) as error:
            if getattr(body, "from_grpc", False):
                raise _of_grpc(error) from error
            raise

    async def preprocess(self, payload: Any, headers: Mapping[str, str] | None = None) -> Batch:
        """Decode the images of a request.

        Raises :class:`~calumma.errors.RequestRefused`.
        """
        files = requests.files(payload, limit=self._limits.instances)
        decode = functools.partial(
            images.pixels, wanted=self._application.image, max_pixels=self._limits.pixels
        )
        loop = asyncio.get_running_loop()
        arrays = await asyncio.gather(
            *(loop.run_in_executor(self._pool, decode, file) for file in files)
        )
        request = payload if isinstance(payload, kserve.InferRequest) else None
        return Batch(arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays), request)

    async def predict(
        self,
        payload: Batch,
        headers: Mapping[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> Raw:
        """Ask the predictor; its revision goes into ``response_headers``.

        Raises :class:`~calumma.errors.PredictorFailed`.
        """
        answer = await self._client.infer(payload.pixels, headers or {})
        if response_headers is not None:
            response_headers.update(answer.headers)
        return Raw(answer.logits, payload.request, answer.headers.get(predictor.REVISION, ""))

    def postprocess(
        self,
        result: Raw,
        headers: Mapping[str, str] | None = None,
        response_headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Name the classes, in the protocol of the request."""
        labelled = predictions.of(result.logits, self._application.classes)
        self._meter.count(labelled, result.revision)
        if result.request is None:
            return predictions.v1(labelled)
        return predictions.v2(labelled, result.request)

    def get_input_types(self) -> list[dict[str, Any]]:
        """The V2 metadata of the input."""
        return [{"name": "image", "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """The V2 metadata of the outputs."""
        return [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "class", "datatype": "INT64", "shape": [-1]},
            {"name": "probability", "datatype": "FP32", "shape": [-1]},
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [-1, len(self._application.classes)],
            },
        ]


def _of_grpc(error: errors.RequestRefused | errors.PredictorFailed) -> grpc.GrpcException:
    if isinstance(error, errors.RequestRefused):
        return grpc.InvalidArgument(str(error))
    kinds = {503: grpc.Unavailable, 504: grpc.DeadlineExceeded}
    return kinds.get(error.status, grpc.Internal)(str(error))
