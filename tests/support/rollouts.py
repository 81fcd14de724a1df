"""A rollout in which time, readiness and requests are the test's: the decisions are real.

:class:`Service` is KServe in Knative mode, as far as shares go: the targets, what counts as rolled
out, and that a share belongs to the latest *ready* revision. ``test_simulated_service`` holds it
against the project's own controllers. :class:`Rollout` is a driver that can be killed between
writing, acting and recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from calumma.evaluation import document
from calumma.rollout import decision, service
from calumma.rollout.decision import Action, Answer, RunGate, Seen
from calumma.rollout.policy import Policy
from calumma.rollout.state import GateResult, Phase, State, Tally, Verb, Window

ERRORS = {"name": "errors", "kind": "errors", "margin": 0.05}
INTERVAL = 10.0
Kill = Literal["written", "acted"]
PENDING = GateResult(outcome="pending", sentence="it has not answered yet")
CHANGES = (decision.Weigh, decision.Promote, decision.RollBack, decision.Undo)


def policy(**given: Any) -> Policy:
    """Two steps, 10% and 50%, of half a minute; one metric."""
    content = {
        "service": "digits",
        "steps": [{"weight": 10, "seconds": 30}, {"weight": 50, "seconds": 30}],
        "metrics": [ERRORS],
        "interval": INTERVAL,
        "warmUp": 0,
        "ready": 100,
        "deadline": 1000,
        "quiet": 100,
        **given,
    }
    return document.check(content, Policy, "policy")


def revision(number: int) -> str:
    """The name of a revision."""
    return f"digits-predictor-{number:05d}"


@dataclass
class Service:
    """One component of an InferenceService; ``step`` is a pass of the controllers."""

    generation: int = 1
    template: int = 1
    percent: int | None = None
    built: int = 0
    """The template of the newest revision."""
    created: int = 0
    ready: set[int] = field(default_factory=set)
    latest: int = 0
    """The newest revision that was ready when it was the newest."""
    rolled_out: int = 0
    previous: int = 0
    targets: list[tuple[bool, int, int]] = field(default_factory=list)
    """The status' traffic: whether it follows the latest, the revision, the share."""
    trouble: str = ""
    down: bool = False
    """Whether the newest revision has lost its pods."""

    def patch(self, *, template: int | None = None, percent: int | None = None) -> None:
        """Change the specification; a percentage of 100 is as good as none."""
        before = self.template, self.percent
        self.template = self.template if template is None else template
        self.percent = self.percent if percent is None else percent
        self.generation += before != (self.template, self.percent)

    def become_ready(self, number: int | None = None) -> None:
        """Let a revision, by default the newest, have a ready pod."""
        self.ready.add(number or self.created)

    def step(self) -> bool:
        """One pass; whether something changed."""
        before = self._status()
        if self.built != self.template:
            self.built, self.created = self.template, self.created + 1
        self.latest = max((each for each in self.ready if each <= self.created), default=0)
        percent = 100 if self.percent is None or not self.rolled_out else self.percent
        self.targets = [(True, self.latest, percent)] if self.latest else []
        if percent < 100:
            self.targets.append((False, self.rolled_out, 100 - percent))
        if self.latest and percent == 100 and self.rolled_out != self.latest:
            self.previous, self.rolled_out = self.rolled_out, self.latest
        elif percent < 100 and self.latest == self.created == self.rolled_out and self.previous:
            served = {number for _, number, _ in self.targets}
            self.rolled_out = self.previous if served == {self.latest} else self.rolled_out
        return before != self._status()

    def settle(self) -> None:
        """Passes until nothing changes."""
        while self.step():
            pass

    def _status(self) -> tuple[Any, ...]:
        return (self.created, self.latest, self.rolled_out, self.previous, tuple(self.targets))

    @property
    def effective(self) -> dict[str, int]:
        """The shares that are served, by revision."""
        shares: Counter[str] = Counter()
        for _, number, share in self.targets:
            shares[revision(number)] += share
        return {name: share for name, share in shares.items() if share}

    def view(self) -> service.View:
        """As a rollout sees it."""
        canary = revision(self.created) if self.created != self.rolled_out else None
        told = sum(share for latest, _, share in self.targets if latest)
        is_ready = self.latest == self.created and not self.down
        return service.View(
            name="digits",
            namespace="default",
            uid="u-1",
            resource_version=str(self.generation),
            generation=self.generation,
            observed=told == (100 if self.percent is None else self.percent),
            ready=is_ready and self.built == self.template,
            standard=False,
            stable=revision(self.rolled_out) if self.rolled_out else None,
            canary=canary,
            newest=revision(self.created),
            canary_ready=canary is not None and is_ready,
            trouble=self.trouble,
            weight=100 if self.percent is None else self.percent,
            effective=self.effective,
            template=str(self.template),
            components=("predictor",),
            policy=None,
        )


def serving() -> Service:
    """A service whose first revision has all traffic."""
    found = Service()
    found.settle()
    found.become_ready()
    found.settle()
    return found


@dataclass
class Rollout:
    """A driver over a simulated service: what it knows is its record and the service.

    ``errors`` are the shares of failed requests, of the canary and of stable; ``rate`` is the
    number of requests a second, ``pairs`` how many both get right a look. The cluster makes a pass
    before each look.
    """

    policy: Policy
    service: Service = field(default_factory=serving)
    errors: tuple[float, float] = (0.1, 0.1)
    rate: float = 1000.0
    pairs: int = 0
    now: float = 1000.0
    troubles: dict[str, str] = field(default_factory=dict)
    answers: dict[str, GateResult] = field(default_factory=dict)
    """What gates answer, by their keys; others are pending."""
    wish: Verb | None = None
    record: str = ""
    running: set[str] = field(default_factory=set)
    """Gates that this process of the driver has started."""
    done: list[Action] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    gone: bool = False

    def begin(self, *, ready: bool = True) -> Rollout:
        """Bring a new model, and begin."""
        before = self.service.view()
        self.service.patch(template=self.service.template + 1, percent=0)
        state = decision.begin(
            self.policy, self.service.view(), "digits-1", self.now, "pvc://models/v2", before
        )
        self._write(state)
        self.service.settle()
        if ready:
            self.service.become_ready()
            self.service.settle()
        return self

    @property
    def state(self) -> State:
        """What is written."""
        return State.model_validate_json(self.record)

    @property
    def phase(self) -> Phase:
        """Of what is written."""
        return self.state.phase

    def look(
        self,
        wish: Verb | None = None,
        kill: Kill | None = None,
        meanwhile: Callable[[Service], None] | None = None,
    ) -> list[str]:
        """One look; what was changed, as words.

        A driver that is killed loses what it did not write. ``meanwhile`` happens after it has
        read: then the API server refuses what it writes into the service.
        """
        self.now += INTERVAL
        self.wish = wish or self.wish
        self.service.step()
        before, seen = self.state, self._seen()
        found = decision.decide(before, seen)
        changes = [each for each in found.actions if isinstance(each, CHANGES)]
        assert len(changes) <= 1
        self._write(found.state)
        self.replies += [each.text for each in found.actions if isinstance(each, Answer)]
        assert len([each for each in found.actions if isinstance(each, Answer)]) == (
            self.wish is not None
        )
        self.wish = None
        if kill == "written":
            self.running.clear()
            return []
        if meanwhile is not None:
            meanwhile(self.service)
        if seen.view is not None and self.service.generation != seen.view.generation:
            changes = []
        for action in found.actions:
            if action in changes or not isinstance(action, CHANGES):
                self._act(action)
        if kill == "acted":
            self.running.clear()
        else:
            self._write(decision.recorded(found.state, "evidence/1"))
            if meanwhile is None:
                self._nothing_is_left()
        return [word(each) for each in changes]

    def looks(self, number: int) -> list[str]:
        """Several looks, and all that was changed."""
        return [each for _ in range(number) for each in self.look()]

    def until(self, condition: Callable[[State], bool], most: int = 200) -> list[str]:
        """Looks until something is so; what was changed."""
        found: list[str] = []
        for _ in range(most):
            found += self.look()
            if condition(self.state):
                return found
        raise AssertionError(f"still {self.state.phase}: {self.state.why}; {self.state.troubles}")

    def reasons(self) -> list[str]:
        """The reasons of all notes so far."""
        return [note.reason for note in self.state.notes]

    def _nothing_is_left(self) -> None:
        """Deciding again, after acting, gives nothing."""
        seen = Seen(
            now=self.now,
            view=None if self.gone else self.service.view(),
            troubles=self.troubles,
            gates=dict.fromkeys(self.running, PENDING),
        )
        again = decision.decide(self.state, seen)
        assert again.actions == ()
        assert again.state.phase == self.phase

    def _write(self, state: State) -> None:
        self.record = state.model_dump_json()

    def _seen(self) -> Seen:
        state, view = self.state, self.service.view()
        since = decision.counts_from(state, self.now)
        share = self.service.effective.get(state.canary or "", 0)
        begin = self.now if since is None else max(since, state.counted.get("users", 0.0))
        arriving = round(self.rate * (self.now - begin))
        canary = arriving * share // 100
        stable = arriving - canary
        window = Window(
            step=state.step,
            n=canary,
            events=round(canary * self.errors[0]),
            other_n=stable,
            other_events=round(stable * self.errors[1]),
        )
        known = canary and not self.troubles
        tallies = {"errors": Tally(windows=(window,))} if known else {}
        sent = 0 if since is None else self.pairs
        if sent:
            tallies["correct"] = Tally(pairs=(sent, 0, 0, 0), pair_looks=((sent, 0, 0, 0),))
        return Seen(
            now=self.now,
            view=None if self.gone else view,
            tallies=tallies,
            requests=canary + sent,
            users=(canary, stable) if known else (0, 0),
            counted=state.counted if since is None else {"users": self.now},
            troubles=self.troubles,
            gates=self._results(),
            wish=self.wish,
        )

    def _results(self) -> dict[str, GateResult]:
        return {key: self.answers.get(key, PENDING) for key in self.running}

    def _act(self, action: Action) -> None:
        self.done.append(action)
        match action:
            case decision.Weigh(weight):
                self.service.patch(percent=weight)
            case decision.Promote():
                self.service.patch(percent=100)
            case decision.RollBack() | decision.Undo():
                self.service.patch(percent=0)
            case RunGate(key, _):
                self.running.add(key)
            case decision.Tell(note):
                self.told.append(note.reason)


def word(action: Action) -> str:
    """A change of the service in one word."""
    match action:
        case decision.Weigh(weight):
            return str(weight)
        case _:
            return type(action).__name__
