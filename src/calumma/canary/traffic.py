"""Sends what is to be compared: through the split as users do, or to both revisions as pairs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calumma import datasets, errors, inference
from calumma.canary.counts import Sides
from calumma.evaluation import online
from calumma.feedback import folder, joining
from calumma.inference import predictor
from calumma.load import generator, pairs, schedule
from calumma.scoring import cases


@dataclass(frozen=True)
class Measured:
    """All answers, and those of them that are pairs; None where nothing was sent as pairs."""

    answers: Sequence[cases.Answer]
    paired: Sequence[pairs.Pair] | None


def sides(endpoint: inference.Endpoint, plan: online.Online) -> Sides[inference.Target]:
    """The two revisions that a plan compares.

    Raises :class:`~calumma.errors.EvaluationError` where they are not there, or not reachable in
    the way that the plan asks for.
    """
    if plan.traffic != "replay":
        return Sides(*endpoint.canary())
    return hosts(endpoint, plan.predictor, "online.predictor")


def hosts(
    endpoint: inference.Endpoint, form: online.Predictor | None, place: str
) -> Sides[inference.Target]:
    """The two revisions at hosts of their own; ``place`` is where a document says the ``form``.

    Raises :class:`~calumma.errors.EvaluationError` where they cannot be asked.
    """
    if endpoint.transformed and form is None:
        raise errors.EvaluationError(
            f"the hosts of {endpoint.service}'s revisions lead past its transformer, to predictors "
            f"that take tensors; say which by {place} with input, output, classes and image"
        )
    return Sides(*endpoint.hosts())


def recorded(
    contents: folder.Contents, path: str, service: str, namespace: str
) -> list[cases.Case]:
    """The images that users have sent to a service, each once, with its label where it is known.

    ``path`` is the folder that the ``contents`` were read from. Raises
    :class:`~calumma.errors.FeedbackError`.
    """
    own = [p for p in contents.predictions if (p.service, p.namespace) == (service, namespace)]
    times = [*(each.time for each in own), *(each.time for each in contents.labels)]
    found: dict[str, cases.Case] = {}
    for each in joining.join(own, contents.labels, at=max(times, default=0.0)).joined:
        image = each.prediction.image
        if image is not None and (image not in found or found[image].label is None):
            found[image] = cases.Case(image, folder.image(path, image), each.label)
    return list(found.values())


def population(
    plan: online.Online, contents: folder.Contents | None, service: str, namespace: str
) -> list[cases.Case]:
    """What a plan sends: a dataset, or what was recorded; nothing where it only looks on.

    Raises :class:`~calumma.errors.EvaluationError` where there is nothing to send.
    """
    if plan.traffic == "prometheus":
        return []
    if plan.dataset is not None:
        return datasets.held_out(plan.dataset)
    if contents is None or plan.feedback is None:
        raise errors.EvaluationError("there is neither a dataset nor feedback to replay")
    found = recorded(contents, plan.feedback.folder, service, namespace)
    if not found:
        raise errors.EvaluationError(
            f"the feedback folder {plan.feedback.folder} holds no image that {service} in "
            f"namespace {namespace} was asked about, so there is nothing to replay"
        )
    return found


def require_unchanged(before: inference.Endpoint, after: inference.Endpoint) -> None:
    """Raise :class:`~calumma.errors.EvaluationError` where the split is no longer what it was."""
    if before.targets != after.targets:
        shares = [
            ", ".join(f"{target.revision}: {target.percent}%" for target in each.targets)
            for each in (before, after)
        ]
        raise errors.EvaluationError(
            f"the traffic of {before.service} in namespace {before.namespace} was changed while it "
            f"was measured, from {shares[0]} to {shares[1]}; nothing follows from what was counted"
        )


async def measure(
    endpoint: inference.Endpoint,
    targets: Sides[inference.Target],
    plan: online.Online,
    population: Sequence[cases.Case],
    *,
    seed: int,
    progress: Callable[[str], None],
) -> Measured:
    """Send the population as the plan says; ``progress`` is told at every tenth of it."""
    if plan.traffic == "prometheus":
        return Measured((), None)
    if plan.traffic == "replay":
        return await _replay(endpoint, targets, plan, population, seed, progress)
    times = list(schedule.poisson(plan.rate, seed=seed, seconds=plan.seconds))
    told = _Progress(progress, len(times), "requests")
    url = endpoint.url
    form = plan.predictor if not endpoint.transformed else None
    async with client(url, endpoint.model, form) as whole:
        order = schedule.shuffled(population, seed=seed)
        outcomes = await generator.send(whole, times, order, progress=told.one)
    return Measured([outcome.answer for outcome in outcomes], None)


async def _replay(
    endpoint: inference.Endpoint,
    targets: Sides[inference.Target],
    plan: online.Online,
    population: Sequence[cases.Case],
    seed: int,
    progress: Callable[[str], None],
) -> Measured:
    """Each case at most once to both: a second answer to the same image says nothing new."""
    most = min(len(population), max(1, round(plan.rate * plan.seconds)))
    order = list(itertools.islice(schedule.shuffled(population, seed=seed), most))
    told = _Progress(progress, most, "pairs")
    urls = [str(target.url) for target in targets]
    async with (
        client(urls[0], endpoint.model, plan.predictor) as stable,
        client(urls[1], endpoint.model, plan.predictor) as canary,
    ):
        sent = await pairs.send(stable, canary, order, rate=plan.rate, seed=seed, progress=told.one)
    paired = [attributed(each, targets) for each in sent]
    return Measured([answer for each in paired for answer in each], paired)


def attributed(pair: pairs.Pair, targets: Sides[inference.Target]) -> pairs.Pair:
    """The answers of the revisions' own hosts, which on a cluster do not name the revision.

    Raises :class:`~calumma.errors.EvaluationError` where another revision answered.
    """
    return pairs.Pair(*(_of(answer, target) for answer, target in zip(pair, targets, strict=True)))


def client(
    url: str, model: str, form: online.Predictor | None, *, timeout: float = 30.0
) -> inference.Client:
    """A client of images; with a ``form``, of a predictor's tensors."""
    if form is None:
        return inference.Client(url, model, timeout=timeout)
    return predictor.Client(url, model, form.form, timeout=timeout)


def _of(answer: cases.Answer, target: inference.Target) -> cases.Answer:
    if answer.revision not in (None, target.revision):
        raise errors.EvaluationError(
            f"{answer.revision} answered at {target.url}, the host of {target.revision}"
        )
    return dataclasses.replace(answer, revision=target.revision)


class _Progress:
    """Tells about every tenth of the work."""

    def __init__(self, tell: Callable[[str], None], whole: int, what: str) -> None:
        self._tell, self._whole, self._what = tell, whole, what
        self._done = 0

    def one(self, _: object) -> None:
        """Note that one more is done."""
        self._done += 1
        tenth = max(1, self._whole // 10)
        if self._done % tenth == 0 or self._done == self._whole:
            self._tell(f"{self._done} of {self._whole} {self._what}")
