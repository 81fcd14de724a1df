"""Starting a cluster where something is in the way, and what it says of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.cluster import Cluster, image, manifest, running


def test_a_second_up_is_refused_and_harms_nothing(cluster: Cluster) -> None:
    before = cluster.programs()
    again = cluster.up()
    assert again.code == 1
    assert "A cluster is running in" in again.error
    assert "`calumma down` ends it" in again.error
    assert cluster.programs() == before


def test_another_home_has_its_own_cluster_but_not_our_port(
    cluster: Cluster, tmp_path: Path
) -> None:
    port = str(cluster.settings()["gateway_port"])
    other = Cluster(tmp_path)
    refused = other.calumma("up", "--api-port", "0", "--prometheus-port", "0", "--port", port)
    assert refused.code == 1
    assert f"Port {port} of 127.0.0.1 is in use" in refused.error
    assert "--port" in refused.error
    assert not other.processes()
    with running(tmp_path) as second:
        assert second.kubectl("get", "isvc", "-A").code == 0
        assert second.settings()["gateway_port"] != int(port)
    assert cluster.kubectl("get", "isvc", "-A").code == 0


def test_a_program_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    cluster.home.database.parent.mkdir(parents=True)
    cluster.home.database.write_bytes(b"no database" * 1000)
    failed = cluster.up()
    assert failed.code == 1
    assert "Starting the Kubernetes API did not succeed" in failed.error
    assert "objects.db" in failed.error
    assert "Traceback" not in failed.error
    assert not cluster.processes()


def test_without_prometheus_services_run_and_status_says_so(tmp_path: Path, models: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    cluster = Cluster(tmp_path / "home")
    cluster.environment |= {"PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path)}
    try:
        started = cluster.up("--claim", f"models={models}")
        assert started.code == 0, started.error
        assert "services will run without metrics" in started.error
        cluster.kubectl("apply", "-f", "-", document=manifest())
        cluster.until_ready()
        assert cluster.predict(image(0)[0]).status_code == 200
        assert "prometheus  not installed" in cluster.calumma("status").output
    finally:
        cluster.calumma("down")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    mounted = subprocess.run(argv, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this user may not mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take all the space that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_up_on_a_full_disk(small_disk: Path) -> None:
    fill(small_disk / "ballast")
    failed = Cluster(small_disk / "home").up()
    assert failed.code == 1
    assert "cannot be prepared: No space left on device" in failed.error
    assert "CALUMMA_HOME" in failed.error


def test_a_disk_that_fills_up_while_services_run(small_disk: Path, models: Path) -> None:
    with running(small_disk / "home", "--claim", f"models={models}") as cluster:
        cluster.kubectl("apply", "-f", "-", document=manifest())
        cluster.until_ready()
        fill(small_disk / "ballast")
        refused = cluster.kubectl("annotate", "isvc", "digits", "note=lost")
        assert refused.code == 1
        assert "is full: nothing was written. Make room and try again." in refused.error
        assert cluster.predict(image(0)[0]).status_code == 200
        (small_disk / "ballast").unlink()
        cluster.until(
            "a write", lambda: cluster.kubectl("label", "isvc", "digits", "a=b").code == 0
        )
        cluster.until_ready()
        assert "note" not in cluster.get()["metadata"]["annotations"]


def test_everything_listens_on_loopback_alone(digits_service: Cluster) -> None:
    listening = {
        (connection.laddr.ip, psutil.Process(pid).name())
        for pid in digits_service.processes()
        for connection in psutil.Process(pid).connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {name for _, name in listening} >= {"envoy", "prometheus", "tritonserver"}
    assert {address for address, _ in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}, listening
