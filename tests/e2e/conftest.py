from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from calumma.models import digits
from support import cluster as support


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the claim ``models``, with three versions of digits."""
    folder = tmp_path_factory.mktemp("claims")
    digits.train(folder, config=support.ROOT / "inferenceservices/digits/config.pbtxt")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[support.Cluster]:
    """A cluster for the tests of one module."""
    if support.KUBECTL is None:
        pytest.skip("kubectl is not installed")
    home = tmp_path_factory.mktemp("home")
    with support.running(home, "--claim", f"models={models}") as running:
        yield running


@pytest.fixture
def digits_service(cluster: support.Cluster) -> Iterator[support.Cluster]:
    """The example's InferenceService with v1, ready; deleted afterwards."""
    applied = cluster.kubectl("apply", "-f", "-", document=support.manifest())
    assert applied.code == 0, applied.error
    cluster.until_ready()
    yield cluster
    cluster.kubectl("delete", "isvc", "--all")
    cluster.until("clean", lambda: "pods/" not in cluster.calumma("status").output)
