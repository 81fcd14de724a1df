"""The section ``online`` of a suite."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import pydantic
from PIL import Image

from calumma import errors
from calumma.evaluation import document, section
from calumma.inference import predictor
from calumma.serving import images

ACCURACY = "accuracy, canary minus stable"
FEEDBACK = "accuracy by feedback, canary minus stable"
FAILURES = "failed requests, canary minus stable"

_Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class Margins(document.Part):
    """By how much the canary may be worse, as a share of the requests; null: it is not judged."""

    accuracy: _Share | None = 0.05
    """Of images whose labels this evaluation knows when it sends them."""
    feedback: _Share | None = None
    """Of users' requests that somebody labelled later."""
    failures: _Share | None = 0.05
    minimum: Annotated[int, pydantic.Field(ge=1)] = 50
    """Observations of each revision without which nothing is decided."""

    @property
    def demands(self) -> tuple[section.Demand, ...]:
        """The margins as demands on metrics of the report."""
        found = []
        for name, margin in ((ACCURACY, self.accuracy), (FEEDBACK, self.feedback)):
            if margin is not None:
                found.append(section.Demand(metric=name, at_least=-margin, minimum=self.minimum))
        if self.failures is not None:
            most = self.failures
            found.append(section.Demand(metric=FAILURES, at_most=most, minimum=self.minimum))
        return tuple(found)


class Picture(document.Part):
    """The image that a predictor takes, as its transformer makes it."""

    mode: Literal["L", "RGB"] = "RGB"
    width: Annotated[int, pydantic.Field(gt=0)]
    height: Annotated[int, pydantic.Field(gt=0)]
    resampling: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"


class Predictor(document.Part):
    """How to ask a predictor of tensors past its transformer."""

    input: str = "image"
    output: str = "logits"
    classes: tuple[str, ...]
    image: Picture

    @property
    def form(self) -> predictor.Form:
        """The same as the client takes it."""
        image = self.image
        resampling = Image.Resampling[image.resampling.upper()]
        wanted = images.Format(image.mode, image.width, image.height, resampling)
        return predictor.Form(self.input, self.output, self.classes, wanted)


class Feedback(document.Part):
    """Where recorded predictions and labels are, and how they are read."""

    folder: str
    """The folder of ``python -m calumma.feedback``, from where the notebook runs."""
    maturity: Annotated[float, pydantic.Field(ge=0)] | None = None
    """Seconds that every prediction has to be labelled; younger ones are left out."""
    adjudicator: str | None = None
    """Who decides where readers disagree; without one more than half of them do."""
    window: _Positive | None = None
    """Only predictions of the last so many seconds; null: since both revisions answer."""


class Online(section.Section):
    """What ``evaluation/online.ipynb`` reads."""

    traffic: Literal["live", "replay", "prometheus"] = "live"
    """Sent through the split as users' is, sent to both as pairs, or only what others sent."""
    dataset: str | None = None
    """The labelled images to send; for a replay null means the recorded ones of ``feedback``."""
    seconds: _Positive = 60.0
    """How long to send; for ``prometheus``, how far to look back."""
    rate: _Positive = 20.0
    """Requests a second, or pairs."""
    settle: Annotated[float, pydantic.Field(ge=0)] = 5.0
    """Seconds to wait until Prometheus has seen the last requests."""
    margins: Margins = Margins()
    slow: _Positive = 100.0
    """Milliseconds beyond which a request to the predictor counts as slow."""
    predictor: Predictor | None = None
    feedback: Feedback | None = None

    @pydantic.model_validator(mode="after")
    def _something_to_send(self) -> Self:
        if self.traffic == "live" and self.dataset is None:
            raise ValueError("live traffic needs a dataset of labelled images to send")
        if self.traffic == "replay" and self.dataset is None and self.feedback is None:
            raise ValueError("a replay needs a dataset, or feedback with recorded requests")
        if self.margins.feedback is not None and self.feedback is None:
            raise ValueError("margins.feedback needs feedback, with the folder where it is")
        if self.traffic == "prometheus" and self.margins.accuracy is not None:
            raise ValueError(
                "with traffic: prometheus nothing labelled is sent, so margins.accuracy is null"
            )
        return self

    @property
    def demands(self) -> tuple[section.Demand, ...]:
        """The margins and the gates."""
        return (*self.margins.demands, *self.gates)


def plan(found: Online | None, name: str, *, folder: str = "", **given: Any) -> Online:
    """The section of the suite called ``name`` with other values where some are ``given``.

    Empty text and zero are not given; ``folder`` is another one of ``feedback``. Raises
    :class:`~calumma.errors.DocumentInvalid`.
    """
    if found is None:
        raise errors.DocumentInvalid(f"{name} has no section online, which this evaluation reads")
    content = found.model_dump(mode="json")
    content |= {key: value for key, value in given.items() if value not in ("", 0)}
    if folder:
        content["feedback"] = {**(content["feedback"] or {}), "folder": folder}
    return document.check(content, Online, f"section online of {name}")
