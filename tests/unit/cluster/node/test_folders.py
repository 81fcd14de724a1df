"""What a pod leaves on the machine is removed with it, and nothing of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from calumma.cluster import layout
from calumma.cluster.node import containers, folders
from calumma.cluster.programs import triton


@pytest.fixture
def regions(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Shared memory of two pods of this home and of one of another."""
    home, other = layout.Home(tmp_path), layout.Home(tmp_path / "other")
    names = {
        name: containers.machine_wide_name(of, "default", name)
        for of, name in ((home, "mine"), (home, "sibling"), (other, "stranger"))
    }
    made = {
        name: folders.SHARED_MEMORY / f"{triton.shared_memory_prefix(pod)}test"
        for name, pod in names.items()
    }
    for path in made.values():
        path.touch()
    yield made
    for path in made.values():
        path.unlink(missing_ok=True)


def there(regions: dict[str, Path]) -> set[str]:
    return {name for name, path in regions.items() if path.exists()}


def test_a_pods_model_and_shared_memory_go_its_logs_stay(
    tmp_path: Path, regions: dict[str, Path]
) -> None:
    home = layout.Home(tmp_path)
    model, log = home.models / "default/mine/1", home.pod_log("default", "mine", "main")
    model.mkdir(parents=True)
    log.mkdir(parents=True)
    folders.clear(home, "default", "mine")
    assert not model.parent.exists()
    assert log.exists()
    assert there(regions) == {"sibling", "stranger"}


def test_logs_go_with_the_pod_that_nobody_keeps(tmp_path: Path) -> None:
    home = layout.Home(tmp_path)
    logs = [home.pod_log(*pod, "main") for pod in (("a", "p"), ("a", "q"), ("b", "p"))]
    for log in logs:
        log.mkdir(parents=True)
        (log / "0.log").touch()
    folders.forget(home, {("a", "q")})
    assert [log.exists() for log in logs] == [False, True, False]


def test_a_home_that_is_down_leaves_no_shared_memory(
    tmp_path: Path, regions: dict[str, Path]
) -> None:
    folders.clear_all(layout.Home(tmp_path))
    assert there(regions) == {"stranger"}
