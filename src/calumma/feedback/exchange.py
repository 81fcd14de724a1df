"""KServe's logged events become predictions. No I/O; the clock is passed in.

The logger sends a request and its answer as two CloudEvents of one id, in any order, and only an
answer that was a success. Which predictor revision answered is in neither: a predictor's own event
names its pod in ``ce-source``, and so its revision, but behind a transformer the predictor's events
have ids of their own. What both have in common is ``X-Request-Id``, when both loggers ask for it by
``metadataHeaders``. Where nobody says it the revision stays unknown.
Source of the events: kserve ``pkg/logger``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from calumma import errors
from calumma.feedback import pseudonym, records
from calumma.inference import classification

REQUEST: Final = "org.kubeflow.serving.inference.request"
RESPONSE: Final = "org.kubeflow.serving.inference.response"
REQUEST_ID: Final = "x-request-id"

_LONGEST = 512
_Key = tuple[str, str, str]

_KNATIVE_POD = re.compile(r"(?P<revision>.+-\d{5})-deployment-[a-z0-9]+-[a-z0-9]{5}")
_POD = re.compile(r"(?P<revision>.+)-[a-z0-9]{1,10}-[a-z0-9]{5}")


class Event(NamedTuple):
    """What one event says; ``metadata`` are the logged headers in small letters."""

    id: str
    type: str
    time: float
    service: str
    namespace: str
    component: str
    source: str
    metadata: Mapping[str, str]
    body: bytes


class Choice(NamedTuple):
    """Who is asked for labels: a random ``share`` of all, and what is less sure than ``unsure``."""

    share: float
    unsure: float

    def sources(self, id: str, confidence: float) -> tuple[Any, ...]:
        """Why this prediction should be labelled; the draw depends on its id alone."""
        drawn = int.from_bytes(hashlib.sha256(id.encode()).digest()[:8]) < self.share * 2**64
        unsure = confidence < self.unsure
        return (records.RANDOM,) * drawn + (records.LOW_CONFIDENCE,) * unsure


class Made(NamedTuple):
    """A prediction, and the image that it is about, where the request was logged."""

    prediction: records.Prediction
    image: bytes | None


def parse(headers: Mapping[str, str], body: bytes) -> Event:
    """The event of a POST in CloudEvents' binary mode; ``headers`` are in small letters.

    Raises :class:`~calumma.errors.FeedbackError` for what KServe's logger does not send.
    """
    kind = headers.get("ce-type", "")
    if kind not in (REQUEST, RESPONSE):
        raise errors.FeedbackError(
            f"the event's type is {kind!r}; KServe's logger sends {REQUEST} and {RESPONSE}"
        )
    for name in ("ce-id", "ce-inferenceservicename", "ce-namespace"):
        if not _is_text(headers.get(name, "")):
            raise errors.FeedbackError(
                f"the event's {name} is missing, longer than {_LONGEST} characters, or no text"
            )
    return Event(
        id=headers["ce-id"],
        type=kind,
        time=_time(headers.get("ce-time", "")),
        service=headers["ce-inferenceservicename"],
        namespace=headers["ce-namespace"],
        component=headers.get("ce-component", ""),
        source=headers.get("ce-source", ""),
        metadata=_metadata(headers.get("ce-metadata", "")),
        body=body,
    )


def _is_text(value: str) -> bool:
    """Whether a record can hold it: not empty, not too long, and without half of a character."""
    return 0 < len(value) <= _LONGEST and not any("\ud800" <= each <= "\udfff" for each in value)


def revision(pod: str) -> str | None:
    """The revision (in Standard mode the Deployment) of the pod of that name, None for others."""
    match = _is_text(pod) and (_KNATIVE_POD.fullmatch(pod) or _POD.fullmatch(pod))
    return match["revision"] if match else None


@dataclass
class _Exchange:
    """What has arrived of one exchange: its images, its answer, and when the first of it came."""

    since: float
    size: int = 0
    request: Event | None = None
    images: Sequence[bytes] = ()
    response: Event | None = None
    answers: Sequence[classification.Prediction] = ()


class Users(NamedTuple):
    """The logged header that names users, and the key of their pseudonyms."""

    header: str
    key: bytes


@dataclass
class Exchanges:
    """Exchanges that are not complete yet: at most ``most``, of ``largest`` bytes, not for long.

    An exchange is complete with its request, its answer and its revision; after ``patience``
    seconds an answer is taken as it is, and a request without one is dropped.
    """

    choice: Choice
    users: Users | None = None
    patience: float = 10.0
    most: int = 10_000
    largest: int = 128 << 20
    dropped: int = 0
    _waiting: OrderedDict[_Key, _Exchange] = field(default_factory=OrderedDict)
    _revisions: OrderedDict[str, tuple[float, str]] = field(default_factory=OrderedDict)
    _size: int = 0

    def take(self, event: Event, now: float) -> list[Made]:
        """Take an event; the predictions that are complete with it.

        Raises :class:`~calumma.errors.FeedbackError` for a body that is no classification.
        """
        key = (event.namespace, event.service, event.id)
        try:
            images = _images(event.body) if event.type == REQUEST else ()
            answers = _answers(event.body) if event.type == RESPONSE else ()
        except errors.CalummaError as error:
            if event.component != "predictor":
                raise errors.FeedbackError(f"the event {event.id} is not used: {error}") from error
            self._name(event, now)
            return self.settle(now)
        found = self._waiting.setdefault(key, _Exchange(now))
        found.size += len(event.body)
        self._size += len(event.body)
        if event.type == REQUEST:
            found.request, found.images = event, images
        else:
            found.response, found.answers = event, answers
        return self._finish(key, over=False) if not self._is_full else self.settle(now, all=True)

    def settle(self, now: float, *, all: bool = False) -> list[Made]:
        """The predictions that are complete, or will not become so any more."""
        made: list[Made] = []
        for key, found in list(self._waiting.items()):
            made += self._finish(key, over=all or now - found.since > self.patience)
        while self._revisions and now - next(iter(self._revisions.values()))[0] > 2 * self.patience:
            self._revisions.popitem(last=False)
        return made

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) > self.most or self._size > self.largest

    def _name(self, event: Event, now: float) -> None:
        """Remember which revision answered a transformer's request, from the predictor's event."""
        request_id, named = event.metadata.get(REQUEST_ID), revision(event.source)
        if request_id is None or named is None:
            raise errors.FeedbackError(
                "the event is about tensors, and without an X-Request-Id in its metadata it says "
                "nothing of a prediction; log the transformer, and give both loggers "
                "metadataHeaders: [X-Request-Id]"
            )
        self._revisions[request_id] = (now, named)
        if len(self._revisions) > self.most:
            self._revisions.popitem(last=False)

    def _finish(self, key: _Key, *, over: bool) -> list[Made]:
        """The predictions of an exchange that is complete, or must do as it is."""
        found = self._waiting[key]
        named = self._revision(found.response) if found.response else None
        if not over and (found.request is None or named is None):
            return []
        del self._waiting[key]
        self._size -= found.size
        fits = found.request is None or len(found.images) == len(found.answers)
        if found.response is None or not fits:
            self.dropped += 1
            return []
        return self._made(found, found.response, named)

    def _revision(self, response: Event) -> str | None:
        if response.component == "predictor":
            return revision(response.source)
        return self._revisions.get(response.metadata.get(REQUEST_ID, ""), (0.0, None))[1]

    def _made(self, found: _Exchange, response: Event, named: str | None) -> list[Made]:
        user = None
        if self.users is not None:
            named_user = response.metadata.get(self.users.header.lower())
            user = pseudonym.of(named_user, self.users.key) if named_user else None
        seconds = max(0.0, response.time - found.request.time) if found.request else None
        made = []
        for number, answer in enumerate(found.answers):
            id = response.id if len(found.answers) == 1 else f"{response.id}.{number}"
            prediction = records.Prediction(
                id=id,
                time=response.time,
                service=response.service,
                namespace=response.namespace,
                revision=named,
                label=answer.label,
                confidence=answer.probability,
                probabilities=answer.probabilities,
                sources=self.choice.sources(id, answer.probability),
                user=user,
                seconds=seconds,
            )
            made.append(Made(prediction, found.images[number] if found.images else None))
        return made


def _answers(body: bytes) -> tuple[classification.Prediction, ...]:
    """The predictions of a V1 answer; raises :class:`~calumma.errors.CalummaError`."""
    try:
        number = len(json.loads(body)["predictions"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise errors.FeedbackError("its body is no answer of the V1 protocol") from error
    found = classification.decode(body, number)
    if not number or not all(
        _is_text(each.label)
        and all(0 <= share <= 1 for share in (each.probability, *each.probabilities))
        for each in found
    ):
        raise errors.FeedbackError("its predictions are not labels with probabilities from 0 to 1")
    return found


def _images(body: bytes) -> list[bytes]:
    """The encoded images of a V1 request; raises :class:`~calumma.errors.FeedbackError`."""
    try:
        instances = json.loads(body)["instances"]
        found = [base64.b64decode(each["image"]["b64"], validate=True) for each in instances]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise errors.FeedbackError("its body is no request of the V1 protocol") from error
    if not all(found):
        raise errors.FeedbackError("it has an empty image")
    return found


def _time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise errors.FeedbackError(f"the event's ce-time is {text!r}; it is RFC 3339") from error


def _metadata(text: str) -> dict[str, str]:
    """Logged headers by their names in small letters; what is no such thing says nothing."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name.lower(): str(values[0])
        for name, values in found.items()
        if isinstance(values, list) and values
    }
