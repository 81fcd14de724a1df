"""Asking a served model: the Open Inference Protocol, V1 and V2, and where a service is.

The load generator, the evaluation notebooks and the benchmarks ask through this one asynchronous
client (a notebook awaits at top level), so that they measure the same thing. An answer that is not
a success is a :class:`Reply` with a :class:`Failure` in it, never an exception: whoever measures a
service wants to count its failures. Names under ``.localhost`` connect to 127.0.0.1 with the name
as ``Host`` (RFC 6761), since most resolvers know only ``localhost`` itself.

- :mod:`~calumma.inference.client`: the client and its replies.
- :mod:`~calumma.inference.classification`: the V1 protocol as our classifiers speak it.
- :mod:`~calumma.inference.tensors`: the V2 protocol, JSON and binary.
- :mod:`~calumma.inference.predictor`: a predictor asked past its transformer.
- :mod:`~calumma.inference.connection`: the client of a cluster.
- :mod:`~calumma.inference.location`: from an InferenceService's name to its address.

Next room: :mod:`calumma.load`, which asks at a steady pace.
"""

from calumma.inference.classification import Prediction
from calumma.inference.client import Client, Failure, Reply, Revisions
from calumma.inference.location import Endpoint, Target, locate

__all__ = [
    "Client",
    "Endpoint",
    "Failure",
    "Prediction",
    "Reply",
    "Revisions",
    "Target",
    "locate",
]
