"""What looks learn, of two revisions that are really asked, and of a real Prometheus."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from calumma import datasets, errors
from calumma.feedback import folder, records
from calumma.rollout import disagreements, judgement
from calumma.rollout.policy import Policy
from calumma.rollout.sources import Counted, Sources
from calumma.rollout.state import Phase, State, Tally
from support import prometheus, two_revisions
from support.two_revisions import CANARY, STABLE, Revisions

CASES = datasets.load("digits")
TRUTH = {hashlib.sha256(each.image).hexdigest(): str(each.label) for each in CASES}
DATASET = {"pairs": {"dataset": "digits", "rate": 150}}
ERRORS = {"kind": "errors", "name": "errors", "margin": 0.05}
SLOW = {"kind": "slow", "name": "slow", "margin": 0.05, "milliseconds": 40}
CORRECT = {"kind": "correct", "name": "correct", "margin": 0.05}
AGREEMENT = {"kind": "agreement", "name": "agreement", "at_least": 0.9}
BY_LABELS = {"kind": "correct", "name": "feedback", "margin": 0.05, "source": "feedback"}


def right(_: str, image: bytes) -> str:
    return TRUTH[hashlib.sha256(image).hexdigest()]


@pytest.fixture(scope="module")
def server() -> Iterator[Revisions]:
    with two_revisions.serving(right) as found:
        yield found


@pytest.fixture
def revisions(server: Revisions) -> Revisions:
    """Both revisions are right, and were asked nothing yet."""
    server.answer = right
    server.asked.clear()
    return server


@pytest.fixture(scope="module")
def watching(server: Revisions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    target = f"127.0.0.1:{server.server_port}"
    with prometheus.running(tmp_path_factory.mktemp("prometheus"), target) as address:
        yield address


def state(
    weight: int, metrics: list[dict[str, Any]], sources: dict[str, Any], **more: Any
) -> State:
    """A rollout whose step has just begun; it looks once a second."""
    policy = {
        "service": "digits",
        "steps": [{"weight": weight}],
        "interval": 1.0,
        "warmUp": 0.0,
        "deadline": 600.0,
        "metrics": metrics,
        "sources": sources,
    }
    return State(
        id="digits-1",
        policy=Policy.model_validate(policy, strict=False),
        phase=Phase.PROGRESSING,
        began=time.time(),
        stable=STABLE,
        canary=CANARY,
        stepped=time.time(),
        weight=weight,
        **more,
    )


class Rollout:
    """A process that carries a rollout out: it looks, and writes down what it learned."""

    def __init__(self, sources: Sources, known: State) -> None:
        self.sources, self.state = sources, known
        self.tallies: dict[str, Tally] = {}
        self.users = (0, 0)

    async def look(self, *, written: bool = True, others: bool = False) -> Counted:
        await asyncio.sleep(0.25)
        now = time.time()
        found = await self.sources.look(self.state, now, others=others)
        if written:
            more = {"sent": found.sent, "counted": found.counted, "looked": now}
            self.state = self.state.model_copy(update=more)
        for name, tally in found.tallies.items():
            self.tallies[name] = judgement.add(self.tallies.get(name, Tally()), tally)
        self.users = (self.users[0] + found.users[0], self.users[1] + found.users[1])
        return found

    def counts(self, metric: str) -> tuple[int, int, int, int]:
        """The sums of a metric's windows."""
        windows = self.tallies.get(metric, Tally()).windows
        names = ("n", "events", "other_n", "other_events")
        n, events, other_n, other_events = (
            sum(getattr(w, each) for w in windows) for each in names
        )
        return n, events, other_n, other_events


@asynccontextmanager
async def carried_out(
    known: State, isvc: dict[str, Any], evidence: Path, watching: str | None = None
) -> AsyncIterator[Rollout]:
    found = Sources(known, isvc, ("predictor",), prometheus=watching, evidence=evidence)
    async with found as sources:
        yield Rollout(sources, known)


async def until(rollout: Rollout, source: str, seconds: float = 30.0) -> Counted:
    """Looks until a source has something to say."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = await rollout.look()
        if source in found.remarks or source in found.troubles:
            return found
    raise AssertionError(f"{source} says nothing")


async def test_each_image_is_sent_once_to_both_before_users_see_anything(
    revisions: Revisions, tmp_path: Path
) -> None:
    def confuses(revision: str, image: bytes) -> str | None:
        truth = right(revision, image)
        if revision == CANARY and truth in "17":
            return "1"
        return None if revision == CANARY and truth == "3" else truth

    revisions.answer = confuses
    sevens = {**CORRECT, "name": "sevens", "labels": ["7"]}
    known = state(0, [CORRECT, sevens, AGREEMENT], DATASET)
    async with carried_out(known, revisions.isvc(0), tmp_path) as rollout:
        found = await until(rollout, "pairs")
    assert found.remarks["pairs"] == (
        f"the images of digits are used up: all {len(CASES)} were sent to both revisions"
    )
    assert revisions.asked == Counter(
        {(each, digest): 1 for each in (STABLE, CANARY) for digest in TRUTH}
    )
    wrong = [each for each in CASES if each.label in ("7", "3")]
    n = sum(each.label == "7" for each in CASES)
    tallies = rollout.tallies
    assert tallies["correct"].pairs == (len(CASES) - len(wrong), 0, len(wrong), 0)
    assert tallies["sevens"].pairs == (0, 0, n, 0)
    assert tallies["agreement"].agreed == (len(CASES) - len(wrong), len(CASES))
    kept = disagreements.read(tmp_path / disagreements.FOLDER)
    assert len(kept) == min(disagreements.MOST, len(wrong))
    assert all(each.canary.label != each.stable.label == each.stable.case.label for each in kept)
    assert {hashlib.sha256(each.stable.case.image).hexdigest() for each in kept} <= set(TRUTH)


async def test_a_process_that_is_killed_sends_nothing_twice(
    revisions: Revisions, tmp_path: Path
) -> None:
    known = state(0, [CORRECT], {"pairs": {"dataset": "digits", "rate": 60}})
    for looks in (3, 6, 4, 5):
        async with carried_out(known, revisions.isvc(0), tmp_path) as rollout:
            for _ in range(looks):
                await rollout.look()
            await rollout.look(written=False)  # killed between the look and the writing
            known = rollout.state
    assert max(revisions.asked.values()) == 1
    assert 100 < len(revisions.asked) <= 2 * known.sent


async def test_users_requests_are_counted_exactly(
    revisions: Revisions, watching: str, tmp_path: Path
) -> None:
    known = state(10, [ERRORS, SLOW], {})
    async with carried_out(known, revisions.isvc(10), tmp_path, watching) as rollout:
        await asyncio.sleep(1.5)  # the step begins with the first evaluation after its scrapes
        await rollout.look()
        for tick in range(8):
            revisions.users(STABLE, 9, failed=tick % 2)
            revisions.users(CANARY, 1, milliseconds=200)
            await rollout.look()
        deadline = time.monotonic() + 20
        while rollout.users != (8, 72) and time.monotonic() < deadline:
            await rollout.look()
    assert rollout.users == (8, 72)
    assert rollout.counts("errors") == (8, 0, 72, 4)
    assert rollout.counts("slow") == (8, 8, 72, 0)
    assert {window.step for window in rollout.tallies["errors"].windows} == {0}


async def test_another_process_goes_on_where_counting_ended(
    revisions: Revisions, watching: str, tmp_path: Path
) -> None:
    known = state(10, [ERRORS], {})
    seen = 0
    await asyncio.sleep(1.5)
    for tick in range(4):
        async with carried_out(known, revisions.isvc(10), tmp_path, watching) as rollout:
            await rollout.look()
            if tick:
                seen += rollout.users[0]
            known = rollout.state
        revisions.users(CANARY, 5)
        await asyncio.sleep(0.5)
    async with carried_out(known, revisions.isvc(10), tmp_path, watching) as rollout:
        deadline = time.monotonic() + 20
        while seen + rollout.users[0] != 20 and time.monotonic() < deadline:
            await rollout.look()
    assert seen + rollout.users[0] == 20


async def test_while_others_send_pairs_users_are_not_counted(
    revisions: Revisions, watching: str, tmp_path: Path
) -> None:
    known = state(10, [ERRORS], {})
    async with carried_out(known, revisions.isvc(10), tmp_path, watching) as rollout:
        for _ in range(6):
            revisions.users(CANARY, 50)
            await rollout.look(others=True)
        deadline = time.monotonic() + 20
        while "prometheus" not in rollout.state.counted and time.monotonic() < deadline:
            await rollout.look()
        revisions.users(CANARY, 5)
        while rollout.users[0] < 5 and time.monotonic() < deadline:
            await rollout.look()
    assert rollout.users == (5, 0)


async def test_pairs_are_no_requests_of_users(
    revisions: Revisions, watching: str, tmp_path: Path
) -> None:
    """Envoy counts both; the canary has one of ten requests of users, and as many pairs."""
    known = state(10, [ERRORS, CORRECT], {"pairs": {"dataset": "digits", "rate": 60}})
    canary = stable = pairs = windows = 0
    deadline = time.monotonic() + 40
    async with carried_out(known, revisions.isvc(10), tmp_path, watching) as rollout:
        while (windows < 3 or pairs < 120) and time.monotonic() < deadline:
            revisions.users(STABLE, 9)
            revisions.users(CANARY, 1)
            stable, canary = stable + 9, canary + 1
            found = await rollout.look()
            windows += found.users != (0, 0)
            pairs = sum(rollout.tallies.get("correct", Tally()).pairs)
    assert (pairs >= 120, windows >= 3) == (True, True)
    assert 0 < rollout.users[0] <= canary < pairs
    assert 6 < rollout.users[1] / rollout.users[0] < 14
    assert rollout.counts("errors")[::2] == rollout.users


async def test_what_one_source_does_not_say_hides_nothing_of_the_others(
    revisions: Revisions, tmp_path: Path
) -> None:
    sources = {**DATASET, "feedback": {"folder": "nowhere"}}
    known = state(10, [ERRORS, CORRECT, BY_LABELS], sources)
    isvc = revisions.isvc(10)
    said: list[Counted] = []
    async with carried_out(known, isvc, tmp_path, "http://127.0.0.1:1") as rollout:
        while not said or "pairs" not in said[-1].remarks:
            said.append(await rollout.look())
    found = said[-1]
    assert len(said) > 2
    assert all("prometheus" in each.troubles for each in said)  # while pairs have their turn, too
    assert sum(rollout.tallies["correct"].pairs) == len(CASES)
    assert "Prometheus at http://127.0.0.1:1 does not answer" in found.troubles["prometheus"]
    assert "nowhere is not there" in found.troubles["feedback"]
    assert set(found.troubles) == {"prometheus", "feedback"}


async def test_a_canary_that_fails_is_worse_and_two_that_fail_say_nothing(
    revisions: Revisions, tmp_path: Path
) -> None:
    known = state(0, [CORRECT, AGREEMENT], DATASET)
    revisions.answer = lambda revision, image: None if revision == CANARY else right("", image)
    async with carried_out(known, revisions.isvc(0), tmp_path) as rollout:
        await until(rollout, "pairs")
    assert rollout.tallies["correct"].pairs == (0, 0, len(CASES), 0)
    assert rollout.tallies["agreement"].agreed == (0, len(CASES))
    revisions.answer = lambda *_: None
    async with carried_out(known, revisions.isvc(0), tmp_path) as rollout:
        found = await until(rollout, "pairs")
    assert rollout.tallies == {}
    assert (
        "count for nothing, because neither revision answered: status 503"
        in (found.troubles["pairs"])
    )


async def test_hosts_that_lead_elsewhere_or_are_missing_are_told(
    revisions: Revisions, tmp_path: Path
) -> None:
    known = state(0, [CORRECT], DATASET)
    swapped = revisions.isvc(
        0, **{CANARY: revisions.isvc(0)["status"]["components"]["predictor"]["traffic"][1]["url"]}
    )
    async with carried_out(known, swapped, tmp_path) as rollout:
        found = await until(rollout, "pairs")
    assert f"{STABLE} answered at" in found.troubles["pairs"]
    assert f"the host of {CANARY}" in found.troubles["pairs"]
    untagged = revisions.isvc(0)
    del untagged["status"]["components"]["predictor"]["traffic"][0]["url"]
    async with carried_out(known, untagged, tmp_path) as rollout:
        found = await until(rollout, "pairs")
    assert "enable-tag-routing" in found.troubles["pairs"]
    transformed = revisions.isvc(0)
    transformed["spec"]["transformer"] = {}
    async with carried_out(known, transformed, tmp_path) as rollout:
        found = await until(rollout, "pairs")
    assert "by sources.pairs.predictor with input" in found.troubles["pairs"]
    other = known.model_copy(update={"canary": "digits-predictor-00003"})
    with pytest.raises(errors.EvaluationError, match=f"divided between {CANARY} and {STABLE}"):
        Sources(other, revisions.isvc(0), ("predictor",), prometheus=None, evidence=tmp_path)


async def test_in_standard_mode_pairs_go_to_the_deployments_own_services(
    revisions: Revisions, tmp_path: Path
) -> None:
    isvc = revisions.isvc(0)
    isvc["status"] |= {
        "deploymentMode": "Standard",
        "canaryStatuses": [{"name": "v2", "ready": True, "trafficPercent": 0}],
    }
    names = {"stable": "digits-predictor", "canary": "digits-v2-predictor"}
    known = state(0, [CORRECT], DATASET).model_copy(update=names)
    async with carried_out(known, isvc, tmp_path) as rollout:
        await until(rollout, "pairs")
    assert Counter(revision for revision, _ in revisions.asked) == dict.fromkeys(
        names.values(), len(CASES)
    )


def recorded(
    writer: folder.Writer, id: str, revision: str, image: bytes | None, time: float
) -> None:
    writer.predictions(
        [
            records.Prediction(
                id=id,
                time=time,
                service="digits",
                namespace=writer.path.name,
                revision=revision,
                label="1",
                confidence=0.9,
                sources=("random",),
                image=None if image is None else writer.image(image),
            )
        ]
    )


async def test_what_users_sent_is_sent_again_once_however_much_of_it_comes(
    revisions: Revisions, tmp_path: Path
) -> None:
    place = tmp_path / revisions.namespace
    sources = {"pairs": {"rate": 50}, "feedback": {"folder": str(place), "window": 100}}
    known = state(0, [AGREEMENT, CORRECT], sources)
    known = known.model_copy(
        update={"policy": known.policy.model_copy(update={"namespace": revisions.namespace})}
    )
    now = known.began
    async with carried_out(known, revisions.isvc(0), tmp_path) as rollout:
        found = await until(rollout, "pairs")
        assert f"the feedback folder {place} is not there" in found.troubles["pairs"]
        place.mkdir()
        await rollout.look()
        found = await rollout.look()
        assert f"of the requests recorded in {place} there are none yet" == found.troubles["pairs"]
        with folder.Writer(place) as writer:
            recorded(writer, "first", STABLE, CASES[98].image, now - 50)
        while not (found := await rollout.look()).remarks:
            assert rollout.state.sent <= 1
        assert found.troubles == {}
    revisions.asked.clear()
    with folder.Writer(place) as writer:
        recorded(writer, "long ago", STABLE, CASES[99].image, now - 200)
        for number in range(20):
            recorded(writer, f"a{number}", STABLE, CASES[number].image, now - 50 + number)
        writer.label(records.Label(id="a0", label=CASES[0].label, by="ann", time=now))
        async with carried_out(rollout.state, revisions.isvc(0), tmp_path) as rollout:
            while "all 21 were" not in (found := await rollout.look()).remarks.get("pairs", ""):
                assert found.troubles == {}
            assert "are used up: all 21 were sent" in found.remarks["pairs"]
            # What comes now is older by its time, and twice the same.
            for number in (25, 24, 24, 3):
                recorded(writer, f"b{number}", STABLE, CASES[number].image, now - 60)
        async with carried_out(rollout.state, revisions.isvc(0), tmp_path) as again:
            await again.look()
            found = await until(again, "pairs")
    assert "are used up: all 23 were sent" in found.remarks["pairs"]
    sent = {hashlib.sha256(CASES[n].image).hexdigest() for n in (*range(20), 24, 25)}
    assert revisions.asked == Counter({(each, one): 1 for each in (STABLE, CANARY) for one in sent})
    assert rollout.tallies["agreement"].agreed == (20, 20)
    assert sum(rollout.tallies["correct"].pairs) == 1


async def test_labels_that_come_late_are_windows_and_the_rollouts_own_images_none(
    revisions: Revisions, tmp_path: Path
) -> None:
    place = tmp_path / revisions.namespace
    sources = {**DATASET, "feedback": {"folder": str(place), "maturity": 1.0}}
    known = state(10, [BY_LABELS], sources)
    known = known.model_copy(
        update={"policy": known.policy.model_copy(update={"namespace": revisions.namespace})}
    )
    now = time.time()
    with folder.Writer(place) as writer:
        for revision in (STABLE, CANARY):
            for number in range(4):
                recorded(writer, f"{revision} {number}", revision, None, now + 0.1 * number)
            recorded(writer, f"{revision} ours", revision, CASES[0].image, now)
            for id in ("0", "1", "ours"):
                name = f"{revision} {id}"
                writer.label(records.Label(id=name, label="1", by="ann", time=now + 0.5))
        async with carried_out(known, revisions.isvc(10), tmp_path) as rollout:
            await rollout.look()
            assert rollout.counts("feedback") == (0, 0, 0, 0)  # nothing is mature
            while time.time() < now + 1.5:
                await rollout.look()
            known = rollout.state
            assert rollout.counts("feedback") == (2, 0, 2, 0)
        writer.label(records.Label(id=f"{CANARY} 2", label="2", by="ann", time=now + 0.3))
        writer.label(records.Label(id=f"{CANARY} 3", label="2", by="ann", time=now + 9.0))
        async with carried_out(known, revisions.isvc(10), tmp_path) as rollout:
            for _ in range(5):
                await rollout.look()
    assert rollout.counts("feedback") == (1, 1, 0, 0)


async def test_before_its_share_counts_nothing_is_sent_or_lost(
    revisions: Revisions, tmp_path: Path
) -> None:
    known = state(0, [CORRECT], DATASET)
    waiting = known.model_copy(update={"stepped": None})
    async with carried_out(waiting, revisions.isvc(0), tmp_path) as rollout:
        for _ in range(4):
            assert (await rollout.look()).tallies == {}
        assert not revisions.asked
        rollout.state = rollout.state.model_copy(update={"stepped": time.time()})
        await until(rollout, "pairs")
    assert sum(rollout.tallies["correct"].pairs) == len(CASES)
