"""Exact counts, by a real Prometheus: of an hour that it remembers, and of one that it scrapes."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from calumma import errors
from calumma.monitoring import client, counting, queries, vocabulary
from support import prometheus

STABLE, CANARY = "digits-predictor-00001", "digits-predictor-00002"
BEGAN = time.time() // 60 * 60 - 7200
STEP = 10
"""Seconds between two evaluations in what is remembered."""


class Process:
    """The counters of one revision in one process, which a scrape sees."""

    def __init__(self, namespace: str, revision: str = STABLE, instance: str = "1") -> None:
        self.instance = instance
        self.labels = {
            "namespace": namespace,
            "service": "digits",
            "component": "predictor",
            "revision": revision,
        }
        self.ok = self.failed = self.slow = 0

    def counters(self) -> Iterator[tuple[str, Mapping[str, str], int]]:
        """The gateway's own, as it exposes them."""
        name = "envoy_cluster_upstream_rq"
        yield f"{name}_total", {}, self.ok + self.failed
        if self.ok:
            yield f"{name}_xx", {"envoy_response_code_class": "2"}, self.ok
        if self.failed:
            yield f"{name}_xx", {"envoy_response_code_class": "5"}, self.failed
        yield f"{name}_time_bucket", {"le": "100"}, self.ok + self.failed - self.slow
        yield f"{name}_time_bucket", {"le": "+Inf"}, self.ok + self.failed

    def recorded(self) -> Iterator[tuple[str, Mapping[str, str], int]]:
        """What the vocabulary records of them."""
        yield vocabulary.REQUESTS, {"response_code_class": "2xx"}, self.ok
        if self.failed:
            yield vocabulary.REQUESTS, {"response_code_class": "5xx"}, self.failed
        yield vocabulary.LATENCY, {"le": "100"}, self.ok + self.failed - self.slow
        yield vocabulary.LATENCY, {"le": "+Inf"}, self.ok + self.failed


class History:
    """Samples as they were recorded, a time after the other."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {name: [] for name in (*NAMES, vocabulary.EVALUATED)}

    def record(self, step: int, *processes: Process) -> None:
        at = BEGAN + STEP * step
        self.lines[vocabulary.EVALUATED].append(f"{vocabulary.EVALUATED} {at:.0f} {at:.3f}")
        for process in processes:
            for name, more, value in process.recorded():
                labels = queries.where(**process.labels, **more, instance=process.instance)
                self.lines[name].append(f"{name}{{{labels}}} {value} {at:.3f}")

    @property
    def text(self) -> str:
        parts = [f"# TYPE {name} unknown\n" + "\n".join(of) for name, of in self.lines.items()]
        return "\n".join(parts) + "\n# EOF\n"


NAMES = (vocabulary.REQUESTS, vocabulary.LATENCY)


def remembered() -> str:
    """Forty minutes: see each test for what happens in its namespace."""
    history = History()
    steady, restarts, born = Process("steady"), Process("restarts"), Process("born", CANARY)
    away, silent, other = Process("away"), Process("silent"), Process("steady", CANARY)
    second = Process("restarts", instance="2")
    second.ok, restarts.failed = 5000, 2
    for step in range(240):
        steady.ok, steady.failed = steady.ok + 7, steady.failed + (step % 3 == 0)
        steady.slow += 2
        other.ok += 1
        away.ok, away.failed = away.ok + 3, away.failed + 1
        restarts.ok += 10
        second.ok += 1
        if step == 100:  # with more errors at once than it had before
            restarts.ok, restarts.failed = 4, 3
        there = [restarts, second, steady, other]
        if step >= 60:
            born.ok, born.failed = born.ok + 5, born.failed + 2
            there.append(born)
        if step < 120 or step >= 130:
            silent.ok += 2
            there.append(silent)
        if step < 150 or step >= 200:  # eight minutes without Prometheus
            history.record(step, *there, away)
    return history.text


class Exposition(ThreadingHTTPServer):
    """What is scraped: processes that come and go, or nothing at all."""

    daemon_threads = True
    processes: list[Process]
    down = False


class Handler(BaseHTTPRequestHandler):
    server: Exposition

    def do_GET(self) -> None:
        lines = [
            f"{name}{{{queries.where(**process.labels, **more)}}} {value}\n"
            for process in self.server.processes
            for name, more, value in process.counters()
        ]
        body = "".join(lines).encode()
        self.send_response(503 if self.server.down else 200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def exposition() -> Iterator[Exposition]:
    with Exposition(("127.0.0.1", 0), Handler) as server:
        server.processes = []
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def watch(
    exposition: Exposition, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[client.Client]:
    folder = tmp_path_factory.mktemp("prometheus")
    target = f"127.0.0.1:{exposition.server_port}"
    with (
        prometheus.running(folder, target, remembered()) as address,
        client.Client(address) as asked,
    ):
        yield asked


def at(step: float) -> float:
    return BEGAN + STEP * step


def window(
    watch: client.Client, namespace: str, begin: float, end: float, *revisions: str
) -> counting.Counted:
    """The counts between two steps of what is remembered."""
    return counting.read(
        watch, "digits", namespace, revisions or (STABLE,), begin=at(begin), end=at(end)
    )


def test_a_window_is_between_the_last_samples_at_or_before_its_ends(watch: client.Client) -> None:
    found = window(watch, "steady", 10.4, 20.9, STABLE, CANARY)
    stable, canary = found.revisions[STABLE], found.revisions[CANARY]
    # steps 11 to 20: 10 times 7, and failures in 12, 15 and 18
    assert (stable.requests, stable.errors, canary.requests, canary.errors) == (73, 3, 10, 0)
    assert stable.at_most == {100.0: 53, math.inf: 73}
    assert stable.slower(60) == (100.0, 20, 73)
    assert stable.slower(100.5) == (math.inf, 0, 0)
    assert (found.begin, found.end, found.troubles) == (at(10.4), at(20), ())


@pytest.mark.parametrize("namespace", ["steady", "restarts", "silent", "away"])
def test_windows_tile(watch: client.Client, namespace: str) -> None:
    """However a time is cut into windows, they add up to the counts of the whole."""
    whole = window(watch, namespace, 50, 230).revisions[STABLE]
    chosen = random.Random(0)
    requests = failed = slow = 0
    begin, end = at(50), 50.0
    while end < 230:
        end = min(230.0, end + chosen.uniform(0.3, 40))
        found = counting.read(watch, "digits", namespace, [STABLE], begin=begin, end=at(end))
        counts = found.revisions[STABLE]
        assert counts.errors <= counts.requests
        requests, failed = requests + counts.requests, failed + counts.errors
        slow += counts.slower(100)[1]
        begin = found.end
    assert (requests, failed, slow) == (whole.requests, whole.errors, whole.slower(100)[1])
    assert requests > 0


def test_a_process_that_restarts_counts_from_zero_and_the_others_go_on(
    watch: client.Client,
) -> None:
    """Its new errors are more than its old ones: only its answers show that it restarted."""
    counts = window(watch, "restarts", 98, 102).revisions[STABLE]
    # one: 10 in step 99, 4 and 3 errors in step 100, 10 in 101, 10 in 102; the other: 4
    assert (counts.requests, counts.errors) == (10 + 7 + 20 + 4, 3)
    assert counts.at_most == {100.0: counts.requests, math.inf: counts.requests}


def test_a_revision_that_is_born_counts_from_zero(watch: client.Client) -> None:
    found = window(watch, "born", 50, 62, CANARY)
    assert found.revisions[CANARY].requests == 3 * 7
    assert found.revisions[CANARY].errors == 3 * 2
    assert (found.revisions[CANARY].missed, found.troubles) == (0, ())
    before = window(watch, "born", 50, 59, CANARY)
    assert before.revisions[CANARY] == counting.Counts()
    assert before.troubles == (f"Prometheus has no sample of {CANARY} of digits",)


def test_a_silence_is_told_and_loses_nothing(watch: client.Client) -> None:
    meanwhile = window(watch, "silent", 110, 125)
    assert meanwhile.revisions[STABLE].requests == 9 * 2
    assert meanwhile.end == at(125)
    (trouble,) = meanwhile.troubles
    assert trouble.startswith(f"Prometheus has no sample of {STABLE} of digits since 20")
    later = window(watch, "silent", 125, 135)
    assert later.revisions[STABLE].requests == 6 * 2
    assert later.troubles == (f"Prometheus has no sample of {STABLE} of digits at 4 evaluations",)


def test_while_prometheus_is_away_nothing_is_taken_for_new(watch: client.Client) -> None:
    """Eight minutes, longer than is looked back: what was counted before must not come again."""
    meanwhile = window(watch, "away", 150, 180)
    assert (meanwhile.end, meanwhile.revisions[STABLE].requests) == (at(150), 0)
    (trouble,) = meanwhile.troubles
    assert trouble.startswith("Prometheus evaluated no rules from 20")
    later = window(watch, "away", 190, 205)
    assert later.revisions[STABLE].requests == 4 * (205 - 149)
    assert any("evaluated no rules from" in each for each in later.troubles)


def test_before_prometheus_began_nothing_is_known(watch: client.Client) -> None:
    found = window(watch, "steady", -30, 5)
    assert found.begin == at(0)
    assert found.revisions[STABLE].requests == 5 * 7 + 1
    assert any("knows nothing from before" in each for each in found.troubles)
    with pytest.raises(errors.MonitoringError, match="does not evaluate the rules of Calumma's"):
        window(watch, "steady", -30, -5)


def look(watch: client.Client, namespace: str, begin: float) -> counting.Counted:
    return counting.read(watch, "digits", namespace, [STABLE, CANARY], begin=begin, end=time.time())


def wait(watch: client.Client, namespace: str, moment: float) -> None:
    """Until whatever a scrape saw before a moment is counted."""
    deadline = time.monotonic() + 20
    while look(watch, namespace, moment - 1).end < moment + 0.6:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_is_scraped_is_counted_once(exposition: Exposition, watch: client.Client) -> None:
    """Requests come at any time, a process restarts and a scrape fails; looks are frequent."""
    stable, canary = Process("live"), Process("live", CANARY)
    exposition.processes = [stable]
    began = time.time()
    wait(watch, "live", began)
    chosen = random.Random(1)
    sent = failed = slow = restarted = 0
    found: list[counting.Counted] = []
    for tick in range(50):
        if tick == 15:
            exposition.processes.append(canary)
        if tick in (24, 40):
            exposition.down = not exposition.down
        if tick == 20:  # nothing is lost: what it had was scraped
            wait(watch, "live", time.time())
            restarted = stable.ok + stable.failed
            stable.ok = stable.failed = stable.slow = 0
        for process in exposition.processes:
            good, bad = chosen.randrange(4), chosen.randrange(2)
            process.ok, process.failed = process.ok + good, process.failed + bad
            process.slow += bad
            if process is stable:
                sent, failed, slow = sent + good + bad, failed + bad, slow + bad
        time.sleep(0.1)
        if tick % 3 == 0:
            found.append(look(watch, "live", found[-1].end if found else began))
    wait(watch, "live", time.time())
    found.append(look(watch, "live", found[-1].end))
    assert restarted > 0
    for revision, expected in {
        STABLE: (sent, failed, slow),
        CANARY: (canary.ok + canary.failed, canary.failed, canary.slow),
    }.items():
        counts = [each.revisions[revision] for each in found]
        total = sum(each.requests for each in counts), sum(each.errors for each in counts)
        assert (*total, sum(each.slower(100)[1] for each in counts)) == expected
        assert all(each.errors <= each.requests for each in counts)
    assert any("has no sample" in each for counted in found for each in counted.troubles)
    assert not found[0].troubles or CANARY in found[0].troubles[0]
