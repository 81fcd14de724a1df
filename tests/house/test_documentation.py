"""What the documents name is there, and what is there is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pydantic
import pytest

from calumma import cli
from calumma.evaluation import document
from calumma.rollout.policy import Policy

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "ARCHITECTURE.md",
    "docs/drift.md",
    "docs/evaluation.md",
    "docs/metrics.md",
    "docs/rollouts-method.md",
    "docs/rollouts.md",
]
FOLDERS = (
    r"(?:benchmarks|dashboards|docs|evaluation|inferenceservices|notebooks|src|tests|transformers)"
)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    return set(re.findall(r"^    (\w+)(?:\s|$)", capsys.readouterr().out, re.MULTILINE))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_and_links_lead_somewhere(name: str) -> None:
    found = re.findall(rf"(?<![\w./$-])({FOLDERS}/[\w./-]*\w)", text(name))
    links = re.findall(r"\]\(([^):]+)\)", text(name))
    assert found or links
    assert [path for path in found if not (ROOT / path).exists()] == []
    assert [path for path in links if not (ROOT / name).parent.joinpath(path).exists()] == []


def test_every_proof_of_faithfulness_is_a_test_that_is_there() -> None:
    folders = {
        "K": "tests/unit/cluster/kserve",
        "S": "tests/unit/cluster/knative",
        "N": "tests/unit/cluster/node",
        "I": "tests/integration",
        "E": "tests/e2e",
    }
    rows = text("docs/fidelity.md")
    named = re.findall(r"(?<=[ |])([KSNIE])/([a-z_]+(?:/[a-z_]+)*(?:\.py)?)", rows)
    named = [(ROOT / folders[letter] / path) for letter, path in named]
    named += [ROOT / path for path in re.findall(r"(tests/[a-z_/]+\.py)", rows)]
    assert len(named) > 50
    assert [path for path in named if not path.exists()] == []


def test_commands_in_the_readme_exist(capsys: pytest.CaptureFixture[str]) -> None:
    named = set(re.findall(r"(?:`|^|\()calumma (\w+)", text("README.md"), re.MULTILINE))
    assert named <= commands(capsys)


def test_every_command_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    missing = [name for name in commands(capsys) if f"calumma {name}" not in text("README.md")]
    assert missing == []


def test_make_targets_in_the_readme_exist() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text("README.md"), re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    assert named
    assert named <= targets


def test_every_room_is_in_the_architecture() -> None:
    inside = ROOT / "src/calumma"
    rooms = {path.stem for path in inside.glob("[a-z]*") if path.suffix in ("", ".py")}
    rooms |= {
        f"cluster.{path.name}" for path in (inside / "cluster").glob("[a-z]*") if path.is_dir()
    }
    missing = [room for room in rooms if not re.search(rf"`{room}[`.]", text("ARCHITECTURE.md"))]
    assert sorted(missing) == []


def fields(found: Any) -> Iterator[str]:
    """The names of all fields of a document's model, and of those that it holds."""
    if isinstance(found, type) and issubclass(found, pydantic.BaseModel):
        for name, field in found.model_fields.items():
            yield name
            yield from fields(field.annotation)
    for inner in get_args(found):
        yield from fields(inner)


def test_every_field_of_a_policy_is_documented() -> None:
    names = set(fields(Policy))
    assert {"steps", "gates", "webhook", "falseAlarm", "resampling"} <= names
    missing = [name for name in names if f"`{name}`" not in text("docs/rollouts.md")]
    assert sorted(missing) == []


def test_every_example_of_a_policy_is_one() -> None:
    examples = sorted((ROOT / "evaluation/rollouts").glob("*.yaml"))
    assert examples
    for path in examples:
        document.read(path, Policy)
