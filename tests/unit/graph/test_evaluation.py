"""What becomes of a request, with services that are functions."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

import pytest

from calumma import errors
from calumma.graph import definition, evaluation

OK = {"predictions": [1]}
REQUEST = b'{"instances": [7], "kind": "small"}'


class Services:
    """Answers by URL: a status and a body each; ``calls`` are what they were asked.

    One that has a gate answers when it is open; another one that is asked ``opens`` it.
    """

    def __init__(self, **answers: tuple[int, Any]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, bytes]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.opens: dict[str, str] = {}
        self.ended: list[str] = []

    async def ask(self, url: str, body: bytes) -> evaluation.Answer:
        self.calls.append((url, body))
        if url in self.opens:
            self.gates[self.opens[url]].set()
        try:
            if url in self.gates:
                await self.gates[url].wait()
        finally:
            self.ended.append(url)
        if url not in self.answers:
            raise errors.GraphFailed(f'Post "{url}": connection refused')
        status, content = self.answers[url]
        return evaluation.Answer(
            status, content if isinstance(content, bytes) else json.dumps(content).encode()
        )


def node(kind: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"routerType": kind, "steps": list(steps)}


def to(url: str, **more: Any) -> dict[str, Any]:
    return {"serviceUrl": url, **more}


HARD = {"dependency": "Hard"}


def router(root: dict[str, Any], **nodes: Any) -> evaluation.Router:
    graph = definition.parse({"nodes": {"root": root, **nodes}})
    return evaluation.Router(graph, random.Random(1))


async def answer(
    services: Services, root: dict[str, Any], body: bytes = REQUEST, **nodes: Any
) -> tuple[int, Any]:
    found = await router(root, **nodes).answer(body, services.ask)
    return found.status, json.loads(found.body)


async def failure(
    services: Services, root: dict[str, Any], body: bytes = REQUEST, **nodes: Any
) -> tuple[int, str]:
    with pytest.raises(errors.GraphFailed) as failed:
        await router(root, **nodes).answer(body, services.ask)
    return failed.value.status, str(failed.value)


async def test_every_step_of_a_sequence_gets_the_request_unless_it_asks_for_the_response() -> None:
    services = Services(a=(200, {"x": 1}), b=(200, {"y": 2}), c=(200, {"z": 3}))
    steps = (to("a", data="$response"), to("b", data="$response"), to("c", data="$request"))
    assert await answer(services, node("Sequence", *steps)) == (200, {"z": 3})
    first, second, third = (body for _, body in services.calls)
    assert first == third == REQUEST
    assert json.loads(second) == {"x": 1}


async def test_a_sequences_status_is_the_last_steps() -> None:
    services = Services(a=(404, {"no": 1}), b=(200, OK))
    assert await answer(services, node("Sequence", to("a"), to("b"))) == (200, OK)
    assert await answer(services, node("Sequence", to("b"), to("a"))) == (404, {"no": 1})


async def test_a_hard_step_that_fails_ends_the_sequence() -> None:
    services = Services(a=(503, {"no": 1}), b=(200, OK))
    assert await answer(services, node("Sequence", to("a", **HARD), to("b"))) == (503, {"no": 1})
    assert [url for url, _ in services.calls] == ["a"]


async def test_a_condition_that_the_previous_response_does_not_meet_ends_with_it() -> None:
    services = Services(a=(404, {"class": "dog"}), b=(200, OK))
    root = node("Sequence", to("a"), to("b", condition="[@this].#(class==cat)"))
    assert await answer(services, root) == (200, {"class": "dog"})
    root = node("Sequence", to("a"), to("b", condition="[@this].#(class==dog)"))
    assert await answer(services, root) == (200, OK)


@pytest.mark.parametrize("first", [to("text"), None])
async def test_a_condition_needs_a_response_that_is_json(first: dict[str, Any] | None) -> None:
    services = Services(text=(200, b"plain"), b=(200, OK))
    steps = [each for each in (first, to("b", condition="a")) if each]
    assert await failure(services, node("Sequence", *steps)) == (500, "invalid response")


@pytest.mark.parametrize(
    ("previous", "sent"),
    [
        ({"predictions": [1, 2], "model_name": "m"}, {"instances": [1, 2]}),
        ({"predictions": []}, {"predictions": []}),
        ({"predictions": {"a": 1}}, {"predictions": {"a": 1}}),
        ({"outputs": [1]}, {"outputs": [1]}),
        ({"predictions": [1], "instances": "text"}, {"predictions": [1], "instances": "text"}),
        ([1], [1]),
    ],
)
async def test_predictions_become_instances(previous: Any, sent: Any) -> None:
    services = Services(a=(200, previous), b=(200, OK))
    second = to("b", data="$response", mapPredictionsToInstances=True)
    await answer(services, node("Sequence", to("a"), second))
    assert json.loads(services.calls[1][1]) == sent


async def test_a_switch_takes_the_first_step_whose_condition_holds() -> None:
    services = Services(a=(200, {"a": 1}), b=(200, {"b": 1}), c=(200, {"c": 1}))
    root = node(
        "Switch",
        to("a", condition="kind2"),
        to("b", condition="[@this].#(kind==small)"),
        to("c", condition="kind"),
    )
    assert await answer(services, root) == (200, {"b": 1})


@pytest.mark.parametrize("body", [b'{"other": 1}', b"{", b""])
async def test_a_switch_without_a_match_is_not_found(body: bytes) -> None:
    root = node("Switch", to("a", condition="kind"), to("b"))
    assert await failure(Services(), root, body) == (404, evaluation.NO_MATCH)


async def test_inside_another_node_a_switch_without_a_match_fails_the_graph() -> None:
    inner = node("Switch", to("a", condition="nothing"))
    for kind in ("Sequence", "Ensemble"):
        found = await failure(Services(), node(kind, {"nodeName": "inner"}), inner=inner)
        assert found == (500, evaluation.NO_MATCH)


async def test_an_ensemble_asks_at_once_and_answers_by_name_or_index() -> None:
    services = Services(a=(200, {"a": 1}), b=(404, {"detail": "no"}), c=(200, b"null"))
    services.gates = {"a": asyncio.Event()}
    services.opens = {"c": "a"}  # the first answers after the last has been asked
    root = node("Ensemble", to("a", name="first"), to("b"), to("c", name="third"))
    merged = {"first": {"a": 1}, "1": {"detail": "no"}, "third": None}
    assert await answer(services, root) == (200, merged)
    assert all(body == REQUEST for _, body in services.calls)


async def test_a_hard_step_that_fails_is_the_ensembles_answer_and_ends_the_others() -> None:
    services = Services(a=(404, {"detail": "no"}), b=(200, OK))
    services.gates = {"b": asyncio.Event()}
    assert await answer(services, node("Ensemble", to("a", **HARD), to("b"))) == (
        404,
        {"detail": "no"},
    )
    assert sorted(services.ended) == ["a", "b"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("text", "a step of the ensemble answered no JSON"),
        ("list", "answered a JSON list; it has to be an object"),
        ("absent", 'Post "absent": connection refused'),
    ],
)
async def test_a_step_that_gives_an_ensemble_no_object_fails_it_at_once(
    url: str, message: str
) -> None:
    services = Services(slow=(200, OK), text=(200, b"plain"), list=(200, [1]))
    services.gates = {"slow": asyncio.Event()}
    status, found = await failure(services, node("Ensemble", to("slow"), to(url)))
    assert status == 500
    assert message in found


async def test_a_splitter_sends_each_step_its_share() -> None:
    services = Services(a=(200, OK), b=(200, OK), c=(200, OK))
    root = node("Splitter", to("a", weight=20), to("b", weight=0), to("c", weight=80))
    split = router(root)
    for _ in range(2000):
        await split.answer(REQUEST, services.ask)
    counts = Counter(url for url, _ in services.calls)
    assert counts["b"] == 0
    assert 330 < counts["a"] < 470  # the binomial's 99.9% interval is 341 to 460


@pytest.mark.parametrize("dependency", ["Soft", "Hard"])
@pytest.mark.parametrize("kind", ["Sequence", "Ensemble", "Splitter", "Switch"])
async def test_a_service_that_cannot_be_reached_fails_the_graph(kind: str, dependency: str) -> None:
    step = to("absent", weight=100, condition="kind" if kind == "Switch" else "")
    root = node(kind, {**step, "dependency": dependency})
    assert await failure(Services(), root) == (500, 'Post "absent": connection refused')


async def test_nodes_lead_to_nodes() -> None:
    services = Services(a=(404, {"no": 1}), b=(200, OK))
    inner = node("Splitter", to("a", weight=100, **HARD))
    soft = node("Sequence", {"nodeName": "inner"}, to("b"))
    hard = node("Sequence", {"nodeName": "inner", **HARD}, to("b"))
    assert await answer(services, soft, inner=inner) == (200, OK)
    assert await answer(services, hard, inner=inner) == (404, {"no": 1})


async def test_a_sequence_without_steps_says_so() -> None:
    assert await failure(Services(), node("Sequence")) == (500, "the sequence has no steps")
