"""Every exception of Calumma, and nothing else.

A caller that catches :class:`CalummaError` catches all that Calumma raises on purpose. Each
message is a sentence that names the object, what was found, and what would be accepted.

::

    CalummaError
    ├── ConfigurationError      a file, option or environment that cannot be used
    │   ├── PortInUse           an address that another program listens on
    │   └── DocumentInvalid     a suite, schedule or policy that says what nobody understands
    ├── ClusterError            the one-machine cluster as a whole
    │   ├── AlreadyRunning      a second ``calumma up``
    │   ├── NotRunning          a command that needs a running cluster
    │   ├── StartFailed         a program of the cluster did not become ready
    │   └── GatewayNotReady     Envoy did not take a change over in time
    ├── ApiError                an answer of the Kubernetes API other than success
    │   └── Refused             such an answer in the making, inside the API server
    ├── ReconcileFailed         a component of an InferenceService that cannot be built
    │   └── InvalidSpec         a model that no runtime can take
    ├── AdmissionDenied         an admission webhook's refusal of an object
    ├── StoreError              the API server's database cannot be read or written
    │   └── StoreFull           the disk that holds it has no room
    ├── GraphError              an InferenceGraph that cannot be routed as it is declared
    │   └── GraphFailed         a request to which a graph has no answer
    ├── ModelError              a model file or model repository that cannot be used
    ├── RequestRefused          a prediction request that a transformer refuses
    ├── PredictorFailed         a predictor that did not answer as it should
    ├── ProgramMissing          a program that is not installed, or cannot be
    ├── ServiceUnavailable      an InferenceService that is missing or not ready
    │   └── ServiceMissing      one that does not exist
    ├── RolloutError            a rollout that cannot be begun or carried on as asked
    │   └── Conflict            somebody else was faster; look again, then decide again
    ├── InferenceError          a request or answer that the inference protocol cannot carry
    ├── MonitoringError         Prometheus does not answer, or refuses the question
    ├── AlertFailed             people could not be told of a schedule that fails or recovers
    ├── FeedbackError           a folder of feedback, or what is sent to it, cannot be used
    └── EvaluationError         an evaluation that cannot be carried out as asked
        ├── DatasetInvalid      labelled images that are not there, or not whole
        ├── NoCanary            a service without a canary, where one was to be compared
        ├── ParameterRefused    a parameter that a notebook does not declare, or of another type
        └── VerdictNotPassed    an evaluation whose verdict is fail or inconclusive
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CalummaError(Exception):
    """The base of every exception that Calumma raises on purpose."""


class ConfigurationError(CalummaError):
    """A file, an option or an environment that cannot be used as it is."""


class PortInUse(ConfigurationError):
    """An address that another program already listens on."""


class DocumentInvalid(ConfigurationError):
    """A document that a person wrote (a suite, a schedule, ...) cannot be understood."""


class ClusterError(CalummaError):
    """The one-machine cluster as a whole is not in the state that a command needs."""


class AlreadyRunning(ClusterError):
    """A cluster of the same home is already running."""


class NotRunning(ClusterError):
    """No cluster is running in this home."""


class StartFailed(ClusterError):
    """A program of the cluster did not become ready in time."""


class GatewayNotReady(ClusterError):
    """Envoy did not take a change over in time: it is down, or it refused the change."""


class ApiError(CalummaError):
    """The Kubernetes API answered something other than success.

    ``code`` is the HTTP status, ``reason`` the ``Status`` object's reason (``NotFound``,
    ``Conflict``, ``Invalid``, ...), and the message its message.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Refused(ApiError):
    """The API server refuses a request; ``details`` are those of the ``Status`` that it answers."""

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(code, reason, message)
        self.details = details


class AdmissionDenied(CalummaError):
    """An admission webhook refuses an object; the API answers 403 with this text.

    ``webhook`` is the webhook's full name, the message what it says after ``denied the request:``.
    """

    def __init__(self, webhook: str, message: str) -> None:
        super().__init__(message)
        self.webhook = webhook


class StoreError(CalummaError):
    """The API server's database cannot be read or written."""


class StoreFull(StoreError):
    """The disk that holds the API server's database has no room for a write."""


class ProgramMissing(CalummaError):
    """A program is not installed, or cannot be; the message says what a person can do."""


class ServiceUnavailable(CalummaError):
    """An InferenceService is missing or not ready, so that nothing can be asked of it."""


class ServiceMissing(ServiceUnavailable):
    """An InferenceService does not exist, or does not exist any more."""


class RolloutError(CalummaError):
    """A rollout cannot be begun, or not be carried on, as it is asked."""


class Conflict(RolloutError):
    """An object was changed since it was read: look again, and decide again."""


class InferenceError(CalummaError):
    """A request or an answer does not fit the Open Inference Protocol."""


class MonitoringError(CalummaError):
    """Prometheus does not answer, or refuses the question."""


class AlertFailed(CalummaError):
    """People could not be told that a schedule fails or recovers; the message has no secret."""


class FeedbackError(CalummaError):
    """A folder of feedback cannot be read or written, or something sent to it is no feedback."""


class EvaluationError(CalummaError):
    """An evaluation cannot be carried out as it is asked."""


class DatasetInvalid(EvaluationError):
    """A data set is not there, or not whole: the message says what is missing."""


class NoCanary(EvaluationError):
    """A service has no canary, or one without traffic, so that there is nothing to compare."""


class ParameterRefused(EvaluationError):
    """A notebook does not declare this parameter, or declares it with another type."""


class VerdictNotPassed(EvaluationError):
    """An evaluation ran to its end and its verdict is fail or inconclusive.

    ``verdict`` is the verdict's word, the message says why.
    """

    def __init__(self, verdict: str, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


class ReconcileFailed(CalummaError):
    """A component of an InferenceService cannot be built; the last good state keeps serving.

    The message becomes a Warning event ``InternalError``. ``condition`` is the one that turns
    False with the reason ``ReconcileFailed``, such as ``PredictorReady``, or None.
    """

    def __init__(self, message: str, *, condition: str | None = None) -> None:
        super().__init__(message)
        self.condition = condition


class InvalidSpec(ReconcileFailed):
    """A model that no runtime can take; the status' ``modelStatus`` says so as well.

    ``reason`` and ``explanation`` become ``lastFailureInfo``.
    """

    def __init__(self, message: str, reason: str, explanation: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.explanation = explanation


class GraphError(CalummaError):
    """An InferenceGraph, or a condition in it, that cannot be routed as it is declared."""


class GraphFailed(GraphError):
    """A graph has no answer to a request; the message is the cause that the caller is told.

    ``status`` is the HTTP status that the caller gets.
    """

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class ModelError(CalummaError):
    """A model file or a Triton model repository that cannot be used or written."""


class RequestRefused(CalummaError):
    """A prediction request that a transformer refuses; ``status`` is the HTTP status, 4xx."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class PredictorFailed(CalummaError):
    """A predictor did not answer as it should.

    ``status`` is the HTTP status that the client gets, 5xx, ``headers`` what it gets with it.
    """

    def __init__(self, message: str, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
