"""Any sequence of calls against a model of what Kubernetes promises, with crashes in between.

Hypothesis makes the calls, a real server answers over TLS, and a few dictionaries say what must
come back: uids, versions, generations, conflicts, finalizers, pages, selections, and every event of
a watch from any version, once and in order. The server is killed in the middle of it and has to
know everything afterwards. ``CALUMMA_FUZZ=long`` goes on for much longer.
"""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support import junk
from support.api_server import (
    ISVC,
    MERGE,
    ApiServer,
    Object,
    config_map,
    events,
    isvc,
    running,
    until,
)

JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
HOLD = "calumma.test/hold"
_SPACES = itertools.count(1)


@dataclass(frozen=True)
class Kind:
    """A kind: where it lies, how an object of it carries a number, and whether it is custom."""

    plural: str
    base: str
    make: Callable[[str, int], Object]
    path: tuple[str, ...]
    text: bool = False

    @property
    def custom(self) -> bool:
        """Whether it has a generation, and is stricter."""
        return self.base.startswith("apis/")

    def value(self, number: int) -> Any:
        """A number as objects carry it."""
        return str(number) if self.text else number

    def fragment(self, number: int) -> Object:
        """A merge patch that sets the number."""
        found: Any = self.value(number)
        for step in reversed(self.path):
            found = {step: found}
        return dict(found)

    def read(self, obj: Object) -> Any:
        """What an object carries."""
        found: Any = obj
        for step in self.path:
            found = found[step]
        return found


def runtime(name: str, number: int) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": name},
        "spec": {
            "replicas": number,
            "containers": [{"name": "kserve-container", "image": "x"}],
        },
    }


KINDS = (
    Kind("configmaps", "api/v1", lambda n, v: config_map(n, {"x": str(v)}), ("data", "x"), True),
    Kind(
        "inferenceservices",
        ISVC,
        lambda n, v: isvc(n, minReplicas=v),
        ("spec", "predictor", "minReplicas"),
    ),
    Kind("servingruntimes", "apis/serving.kserve.io/v1alpha1", runtime, ("spec", "replicas")),
)


@dataclass
class Known:
    """What is known of an object."""

    uid: str
    version: int
    value: Any
    generation: int | None
    labels: dict[str, str] = field(default_factory=dict)
    finalizers: list[str] = field(default_factory=list)
    deleting: bool = False
    status: Object | None = None

    def agrees(self, kind: Kind, obj: Object) -> bool:
        """Whether an object is this one."""
        meta = obj["metadata"]
        seen = Known(
            meta["uid"],
            int(meta["resourceVersion"]),
            kind.read(obj),
            meta.get("generation"),
            meta.get("labels", {}),
            meta.get("finalizers", []),
            "deletionTimestamp" in meta,
            obj.get("status"),
        )
        assert seen == self, (kind.plural, obj)
        return True


kinds = st.sampled_from(KINDS)
names = st.sampled_from("abcd")
numbers = st.integers(1, 4)
labels = st.sampled_from(({}, {"team": "x"}, {"team": "y"}, {"team": "x", "tier": "1"}))


class Calls(RuleBasedStateMachine):
    """The calls and the model; one namespace each time."""

    server: ClassVar[ApiServer]

    def __init__(self) -> None:
        super().__init__()
        self.client = self.server.client()
        self.space = f"space-{next(_SPACES)}"
        self.objects: dict[Kind, dict[str, Known]] = {kind: {} for kind in KINDS}
        self.told: dict[Kind, list[tuple[int, str, str]]] = {kind: [] for kind in KINDS}
        self.uids: set[str] = set()
        self.begun = self.newest = 0
        self.restarts = 0

    @initialize()
    def begin(self) -> None:
        answer = self.client.post("/api/v1/namespaces", json={"metadata": {"name": self.space}})
        assert answer.status_code == 201
        account = f"/api/v1/namespaces/{self.space}/serviceaccounts/default"
        until("its account", lambda: self.client.get(account).is_success)
        listed = self.client.get(self.at(KINDS[0])).json()
        self.begun = self.newest = int(listed["metadata"]["resourceVersion"])

    def teardown(self) -> None:
        try:
            if any(self.told.values()):
                self.restarts = 0
                self.crash()
                for kind in KINDS:
                    self.watch_from_any_version(kind, 0.0)
        finally:
            self.client.close()

    def at(self, kind: Kind, name: str = "", part: str = "") -> str:
        path = f"/{kind.base}/namespaces/{self.space}/{kind.plural}"
        return "/".join(filter(None, (path, name, part)))

    def wrote(self, kind: Kind, event: str, obj: Object) -> int:
        """Note an event; versions only ever grow."""
        version = int(obj["metadata"]["resourceVersion"])
        assert version > self.newest
        self.newest = version
        self.told[kind].append((version, event, obj["metadata"]["name"]))
        return version

    def refused(self, answer: httpx.Response, code: int, reason: str) -> None:
        assert answer.status_code == code, answer.text
        status = answer.json()
        assert (status["kind"], status["reason"]) == ("Status", reason)

    def changed(self, kind: Kind, name: str, answer: httpx.Response, before: Known) -> None:
        """Note what an update made of an object that the model has changed already."""
        assert answer.is_success, answer.text
        known, obj = self.objects[kind][name], answer.json()
        if known == before:
            assert int(obj["metadata"]["resourceVersion"]) == known.version
        elif known.deleting and not known.finalizers:
            self.gone(kind, name)
            return
        else:
            if known.generation is not None and known.value != before.value:
                known.generation += 1
            known.version = self.wrote(kind, "MODIFIED", obj)
        assert known.agrees(kind, obj)

    def gone(self, kind: Kind, name: str) -> None:
        """Note that an object is not there any more; its last event comes with a later version."""
        del self.objects[kind][name]
        self.refused(self.client.get(self.at(kind, name)), 404, "NotFound")
        version = int(self.client.get(self.at(kind)).json()["metadata"]["resourceVersion"])
        assert version > self.newest
        self.newest = version
        self.told[kind].append((version, "DELETED", name))

    def body(self, kind: Kind, name: str, number: int, known: Known | None) -> Object:
        body = kind.make(name, number)
        if known is not None:
            body["metadata"] |= {"labels": known.labels, "finalizers": known.finalizers}
        return body

    @rule(kind=kinds, name=names, number=numbers, labels=labels, held=st.booleans())
    def create(self, kind: Kind, name: str, number: int, labels: Any, held: bool) -> None:
        body = kind.make(name, number)
        body["metadata"] |= {"labels": labels, "finalizers": [HOLD] * held}
        answer = self.client.post(self.at(kind), json=body)
        if name in self.objects[kind]:
            self.refused(answer, 409, "AlreadyExists")
            return
        self.created(kind, answer, Known("", 0, kind.value(number), None, labels, [HOLD] * held))

    def created(self, kind: Kind, answer: httpx.Response, known: Known) -> str:
        """Note a new object; returns its name."""
        assert answer.status_code == 201, answer.text
        obj = answer.json()
        known.uid, known.generation = obj["metadata"]["uid"], 1 if kind.custom else None
        assert known.uid not in self.uids
        self.uids.add(known.uid)
        known.version = self.wrote(kind, "ADDED", obj)
        assert known.agrees(kind, obj)
        name = str(obj["metadata"]["name"])
        assert name not in self.objects[kind]
        self.objects[kind][name] = known
        return name

    @rule(kind=kinds, number=numbers)
    def generate(self, kind: Kind, number: int) -> None:
        self.generated(kind, number)

    def generated(self, kind: Kind, number: int) -> str:
        """Have the server make a name."""
        body = kind.make("", number)
        body["metadata"] = {"generateName": "made-"}
        answer = self.client.post(self.at(kind), json=body)
        name = self.created(kind, answer, Known("", 0, kind.value(number), None))
        assert name.startswith("made-")
        assert len(name) == 10
        return name

    @rule(kind=kinds, name=names, number=numbers, sent=st.sampled_from(["now", "none", "stale"]))
    def replace(self, kind: Kind, name: str, number: int, sent: str) -> None:
        known = self.objects[kind].get(name)
        body = self.body(kind, name, number, known)
        version = known.version if known else 1
        if sent != "none":
            body["metadata"]["resourceVersion"] = str(version if sent == "now" else self.begun)
        answer = self.client.put(self.at(kind, name), json=body)
        if known is None:
            self.refused(answer, 404, "NotFound")
        elif sent == "none" and kind.custom:
            self.refused(answer, 422, "Invalid")
        elif sent == "stale":
            self.refused(answer, 409, "Conflict")
        else:
            before = deepcopy(known)
            known.value = kind.value(number)
            self.changed(kind, name, answer, before)

    @rule(
        kind=kinds, name=names, number=numbers, how=st.sampled_from([MERGE, JSON_PATCH, STRATEGIC])
    )
    def patch(self, kind: Kind, name: str, number: int, how: str) -> None:
        known = self.objects[kind].get(name)
        body: Any = kind.fragment(number)
        if how == JSON_PATCH:
            path, value = "/" + "/".join(kind.path), kind.value(number)
            body = [{"op": "replace", "path": path, "value": value}]
        headers = {"content-type": how}
        answer = self.client.patch(self.at(kind, name), json=body, headers=headers)
        if how == STRATEGIC and kind.custom:
            self.refused(answer, 415, "UnsupportedMediaType")
        elif known is None:
            self.refused(answer, 404, "NotFound")
        else:
            before = deepcopy(known)
            known.value = kind.value(number)
            self.changed(kind, name, answer, before)

    @rule(kind=kinds, name=names, labels=labels, stale=st.booleans())
    def label(self, kind: Kind, name: str, labels: Any, stale: bool) -> None:
        """Replace all labels; a patch may name the version that it means."""
        known = self.objects[kind].get(name)
        if known is None:
            return
        version = str(self.begun if stale else known.version)
        wanted = {key: None for key in known.labels} | labels
        body = {"metadata": {"labels": wanted, "resourceVersion": version}}
        answer = self.client.patch(self.at(kind, name), json=body, headers={"content-type": MERGE})
        if stale:
            self.refused(answer, 409, "Conflict")
            return
        before = deepcopy(known)
        known.labels = labels
        self.changed(kind, name, answer, before)

    @rule(kind=kinds, name=names, number=numbers)
    def apply(self, kind: Kind, name: str, number: int) -> None:
        """Server-side; whether nothing but an owner changed is for the server to say."""
        known = self.objects[kind].get(name)
        query = {"fieldManager": "applier", "force": "true"}
        body = json.dumps(kind.make(name, number))
        headers = {"content-type": APPLY}
        answer = self.client.patch(self.at(kind, name), content=body, params=query, headers=headers)
        if known is None:
            self.created(kind, answer, Known("", 0, kind.value(number), None))
            return
        assert answer.status_code == 200, answer.text
        obj = answer.json()
        if known.value != kind.value(number) and known.generation is not None:
            known.generation += 1
        if int(obj["metadata"]["resourceVersion"]) != known.version:
            known.version = self.wrote(kind, "MODIFIED", obj)
        else:
            assert known.value == kind.value(number)
        known.value = kind.value(number)
        assert known.agrees(kind, obj)

    @rule(name=names, number=numbers)
    def write_status(self, name: str, number: int) -> None:
        kind = KINDS[1]
        known = self.objects[kind].get(name)
        body = {"status": {"url": f"http://{number}"}, "spec": {"predictor": {"minReplicas": 99}}}
        headers = {"content-type": MERGE}
        answer = self.client.patch(self.at(kind, name, "status"), json=body, headers=headers)
        if known is None:
            self.refused(answer, 404, "NotFound")
            return
        before = deepcopy(known)
        known.status = {"url": f"http://{number}"}
        self.changed(kind, name, answer, before)

    @rule(kind=kinds, name=names)
    def let_go(self, kind: Kind, name: str) -> None:
        known = self.objects[kind].get(name)
        if known is None:
            return
        body = {"metadata": {"finalizers": None}}
        answer = self.client.patch(self.at(kind, name), json=body, headers={"content-type": MERGE})
        before = deepcopy(known)
        known.finalizers = []
        self.changed(kind, name, answer, before)

    @rule(kind=kinds, name=names, sent=st.sampled_from(["", "uid", "version", "both"]))
    def delete(self, kind: Kind, name: str, sent: str) -> None:
        known = self.objects[kind].get(name)
        wrong = {"uid": "other"} if sent == "uid" else {"resourceVersion": str(self.begun)}
        right = {"uid": known.uid, "resourceVersion": str(known.version)} if known else {}
        body = {"preconditions": right if sent == "both" else wrong} if sent else {}
        answer = self.client.request("DELETE", self.at(kind, name), json=body)
        if known is None:
            self.refused(answer, 404, "NotFound")
        elif sent in ("uid", "version"):
            self.refused(answer, 409, "Conflict")
        elif known.finalizers:
            self.marked(kind, known, answer.json())
        else:
            assert answer.json()["details"]["uid"] == known.uid
            self.gone(kind, name)

    def marked(self, kind: Kind, known: Known, obj: Object) -> None:
        """Note a deletion that waits for finalizers."""
        if not known.deleting:
            known.deleting = True
            known.generation = known.generation + 1 if known.generation else None
            known.version = self.wrote(kind, "MODIFIED", obj)
        assert known.agrees(kind, obj)

    @rule(kind=kinds, team=st.sampled_from("xy"))
    def delete_a_selection(self, kind: Kind, team: str) -> None:
        chosen = {n: k for n, k in self.objects[kind].items() if k.labels.get("team") == team}
        query = {"labelSelector": f"team={team}"}
        answer = self.client.delete(self.at(kind), params=query)
        assert [item["metadata"]["name"] for item in answer.json()["items"]] == sorted(chosen)
        after = int(self.client.get(self.at(kind)).json()["metadata"]["resourceVersion"])
        version = self.newest
        for name, known in sorted(chosen.items()):
            if known.deleting:
                continue
            version += 1
            if known.finalizers:
                known.deleting, known.version = True, version
                known.generation = known.generation + 1 if known.generation else None
                self.told[kind].append((version, "MODIFIED", name))
            else:
                del self.objects[kind][name]
                self.told[kind].append((version, "DELETED", name))
        assert version <= after
        self.newest = after

    @rule(kind=kinds, limit=st.integers(0, 3), team=st.sampled_from(["", "x", "y"]))
    def list(self, kind: Kind, limit: int, team: str) -> None:
        """Page by page, while somebody else writes: all pages show the first one's moment."""
        wanted = sorted(
            n for n, k in self.objects[kind].items() if team in ("", k.labels.get("team"))
        )
        frozen = deepcopy(self.objects[kind])
        query = {"limit": str(limit), "labelSelector": f"team={team}" if team else ""}
        found: Any = []
        while True:
            page = self.client.get(self.at(kind), params=query).json()
            found += page["items"]
            if not (token := page["metadata"].get("continue")):
                break
            assert len(page["items"]) == limit
            query["continue"] = token
            if len(found) == limit:
                self.generated(kind, 1)
        assert [item["metadata"]["name"] for item in found] == wanted
        assert all(frozen[item["metadata"]["name"]].agrees(kind, item) for item in found)

    @rule(kind=kinds, name=names)
    def get_and_select_by_name(self, kind: Kind, name: str) -> None:
        known = self.objects[kind].get(name)
        answer = self.client.get(self.at(kind, name))
        query = {"fieldSelector": f"metadata.name={name}"}
        items = self.client.get(self.at(kind), params=query).json()["items"]
        if known is None:
            self.refused(answer, 404, "NotFound")
            assert items == []
        else:
            assert known.agrees(kind, answer.json())
            assert len(items) == 1

    @rule(kind=kinds, where=st.floats(0, 1))
    def watch_from_any_version(self, kind: Kind, where: float) -> None:
        """A last object says that everything before it has come."""
        since = self.begun + int(where * (self.newest - self.begun))
        last = self.generated(kind, 1)
        expected = [event for event in self.told[kind] if event[0] > since]
        assert self.watched(kind, str(since), len(expected)) == expected
        assert expected[-1][2] == last

    @rule(kind=kinds)
    def watch_from_the_beginning(self, kind: Kind) -> None:
        present = sorted(self.objects[kind].items())
        found = self.watched(kind, "0", len(present))
        assert sorted(found, key=lambda event: event[2]) == [
            (known.version, "ADDED", name) for name, known in present
        ]

    def watched(self, kind: Kind, since: str, count: int) -> Any:
        """So many events of a watch."""
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": "20"}
        found = []
        with self.client.stream("GET", self.at(kind), params=query) as response:
            for event in itertools.islice(events(response), count):
                meta = event["object"]["metadata"]
                found.append((int(meta["resourceVersion"]), event["type"], meta["name"]))
        return found

    @precondition(lambda self: sum(map(len, self.told.values())) > 12 and not self.restarts)
    @rule()
    def crash(self) -> None:
        self.restarts += 1
        self.client.close()
        self.server.end(signal.SIGKILL)
        self.server.restart()
        self.client = self.server.client()
        for kind in KINDS:
            self.list(kind, 0, "")


@pytest.mark.slow
def test_any_sequence_of_calls(
    tmp_path_factory: pytest.TempPathFactory, schema_cache: Path
) -> None:
    with running(tmp_path_factory.mktemp("sequences") / "home", schema_cache) as server:
        Calls.server = server
        run_state_machine_as_test(
            Calls,
            settings=settings(
                max_examples=junk.effort(40),
                stateful_step_count=50,
                derandomize=not junk.LONG,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
        assert "Traceback" not in server.log.read_text()
