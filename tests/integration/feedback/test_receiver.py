"""The receiver as a program: real requests, junk, a token, and ``kill -9``."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from calumma.feedback import exchange, folder
from calumma.inference import classification


class Receiver(NamedTuple):
    url: str
    token: str
    process: subprocess.Popen[str]

    def label(self, **content: object) -> httpx.Response:
        authorization = {"Authorization": f"Bearer {self.token}"}
        return httpx.post(f"{self.url}/labels", json=content, headers=authorization)

    def event(self, kind: str, body: bytes, id: str = "e1", **headers: str) -> httpx.Response:
        given = {
            "Ce-Id": id,
            "Ce-Type": exchange.REQUEST if kind == "request" else exchange.RESPONSE,
            "Ce-Time": "2026-11-21T10:00:00.250000Z",
            "Ce-Inferenceservicename": "digits",
            "Ce-Namespace": "default",
            "Ce-Component": "predictor",
            "Ce-Source": "digits-predictor-00002-deployment-6d5f9c7b8-x2x4z",
            **headers,
        }
        return httpx.post(self.url, content=body, headers=given)

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = httpx.get(f"{self.url}/healthz").json()
        return found


@contextmanager
def running(place: Path, *flags: str) -> Iterator[Receiver]:
    command = [sys.executable, "-m", "calumma.feedback", "--folder", str(place), "--port", "0"]
    with subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.search(r"go to (http://127\.0\.0\.1:\d+), the token is in (.*)", line)
            assert found, line + process.stderr.read()
            yield Receiver(found[1], Path(found[2]).read_text().strip(), process)
        finally:
            process.kill()


ANSWER = json.dumps(
    {"predictions": [{"label": "7", "class": 7, "probability": 0.9, "probabilities": [0.1, 0.9]}]}
).encode()


def test_events_and_labels_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "feedback"
    with running(place, "--sample", "1") as receiver:
        assert receiver.event("request", classification.encode([b"pixels"])).status_code == 202
        assert receiver.event("response", ANSWER).status_code == 202
        before = time.time()
        assert receiver.label(id="e1", label="1", by="ann").status_code == 201
        assert receiver.label(id="e1", by="user 7", kind="user").status_code == 201
        assert receiver.counts == {
            "events": 2,
            "predictions": 1,
            "labels": 2,
            "refused": 0,
            "dropped": 0,
        }
        receiver.process.send_signal(signal.SIGTERM)
        assert receiver.process.wait(10) == 0
    found = folder.read(place)
    (made,) = found.predictions
    assert (made.id, made.label, made.revision) == ("e1", "7", "digits-predictor-00002")
    assert made.sources == ("random",)
    assert made.image is not None and folder.image(place, made.image) == b"pixels"
    assert [(each.label, each.by, each.kind) for each in found.labels] == [
        ("1", "ann", "reader"),
        (None, "user 7", "user"),
    ]
    assert before <= found.labels[0].time <= time.time()


def test_an_answer_without_its_request_is_kept_at_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as receiver:
        assert receiver.event("response", ANSWER).status_code == 202
        receiver.process.terminate()
        assert receiver.process.wait(10) == 0
    (made,) = folder.read(tmp_path).predictions
    assert made.image is None


def test_an_acknowledged_label_survives_kill_9(tmp_path: Path) -> None:
    for number in range(3):
        with running(tmp_path) as receiver:
            assert receiver.label(id=f"e{number}", label="1", by="ann").status_code == 201
            receiver.process.kill()
            receiver.process.wait(10)
    assert [each.id for each in folder.read(tmp_path).labels] == ["e0", "e1", "e2"]


def test_who_has_no_token_labels_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as receiver:
        content = {"id": "e1", "label": "1", "by": "eve"}
        for given in (b"", b"Bearer wrong", b"Bearer \xff"):
            answer = httpx.post(
                f"{receiver.url}/labels", json=content, headers={b"Authorization": given}
            )
            assert answer.status_code == 401
        assert "Bearer <token>" in answer.json()["error"]
        assert (tmp_path / "token").stat().st_mode & 0o077 == 0
    assert folder.read(tmp_path).labels == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"label": "1", "by": "ann"}, "no label: id: Field required"),
        ({"id": "e1", "by": "ann"}, "a reader gives a label"),
        ({"id": "e1", "label": "1", "by": "ann", "time": 3}, "the time is now"),
        ({"id": "e1", "label": "1", "by": "ann", "sure": True}, "no label: sure: Extra inputs"),
        ({"id": "x" * 600, "label": "1", "by": "ann"}, "no label: id: String should have at most"),
        ([1], "a JSON object with id, label and by is expected"),
    ],
)
def test_labels_that_are_none_are_refused_with_a_sentence(
    receiver: Receiver, content: object, said: str
) -> None:
    authorization = {"Authorization": f"Bearer {receiver.token}"}
    answer = httpx.post(f"{receiver.url}/labels", json=content, headers=authorization)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_events_that_are_none_are_refused_and_leave_nothing(receiver: Receiver) -> None:
    before = receiver.counts
    assert receiver.event("response", b"junk", **{"Ce-Component": "transformer"}).status_code == 400
    assert httpx.post(receiver.url, content=b"junk").status_code == 400
    assert httpx.post(f"{receiver.url}/elsewhere").status_code == 404
    assert httpx.get(receiver.url).status_code == 405
    large = httpx.post(receiver.url, content=b" " * (33 << 20))
    assert large.status_code == 413
    after = receiver.counts
    assert after["predictions"] == before["predictions"]
    assert after["refused"] == before["refused"] + 5


def test_a_folder_has_one_receiver(receiver: Receiver, place: Path) -> None:
    command = [sys.executable, "-m", "calumma.feedback", "--folder", str(place), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "another program writes into the feedback folder" in done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback")


@pytest.fixture(scope="module")
def receiver(place: Path) -> Iterator[Receiver]:
    with running(place) as found:
        yield found
