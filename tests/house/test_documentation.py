"""What the documents name is there, and what is there is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calumma import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "ARCHITECTURE.md",
    "docs/evaluation.md",
    "docs/drift.md",
    "docs/metrics.md",
]
FOLDERS = (
    r"(?:benchmarks|dashboards|docs|evaluation|inferenceservices|notebooks|src|tests|transformers)"
)


def text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def commands(capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    return set(re.findall(r"^    (\w+)(?:\s|$)", capsys.readouterr().out, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_and_links_lead_somewhere(document: str) -> None:
    found = re.findall(rf"(?<![\w./$-])({FOLDERS}/[\w./-]*\w)", text(document))
    links = re.findall(r"\]\(([^):]+)\)", text(document))
    assert found or links
    assert [path for path in found if not (ROOT / path).exists()] == []
    assert [path for path in links if not (ROOT / document).parent.joinpath(path).exists()] == []


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
