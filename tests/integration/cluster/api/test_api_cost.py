"""What the API server costs: memory, processor time while nothing happens, and time to answer."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import pytest

from support.api_server import ApiServer, isvc

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def processor_seconds(number: int) -> float:
    fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(number: int) -> float:
    pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_an_idle_server_costs_next_to_nothing(own_server: ApiServer) -> None:
    own_server.end()
    own_server.restart()
    assert own_server.process is not None
    number = own_server.process.pid
    path = "/api/v1/pods?watch=true"
    with own_server.client() as client, client.stream("GET", path) as response:
        assert response.status_code == 200
        time.sleep(1)
        before = processor_seconds(number)
        time.sleep(3)
        assert processor_seconds(number) - before <= 0.03
        assert resident_megabytes(number) < 55


def test_a_hundred_services_are_listed_at_once(own_server: ApiServer) -> None:
    path = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
    with own_server.client() as client:
        for number in range(100):
            assert client.post(path, json=isvc(f"s{number}")).status_code == 201
        times = []
        for _ in range(10):
            before = time.perf_counter()
            assert len(client.get(path).json()["items"]) == 100
            times.append(time.perf_counter() - before)
    assert statistics.median(times) < 0.1
