"""Where an evaluation's report goes, and how its verdict leaves the notebook.

An evaluation leaves a folder: ``report.json`` for programs, ``report.html`` for the person who
decides, and ``figures/``. A run first clears what an earlier run left there, so that an old verdict
is never taken for a new one. The room does the reading and writing that
:mod:`calumma.scoring` does not; :mod:`calumma.running` runs a notebook that uses it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.scoring import gates, page, report

REPORT = "report.json"
PAGE = "report.html"
FIGURES = "figures"

_PACKAGES = (
    "calumma",
    "kserve",
    "matplotlib",
    "numpy",
    "papermill",
    "pillow",
    "pycocotools",
    "scipy",
)


def clear(out: Path | str) -> Path:
    """Remove an earlier report from the folder, which need not exist; other files stay."""
    folder = Path(out)
    for path in [folder / REPORT, folder / PAGE, *(folder / FIGURES).glob("*.png")]:
        path.unlink(missing_ok=True)
    return folder


def write(found: report.Report, out: Path | str) -> None:
    """Write the report, its page and its figures into the folder; ``report.json`` comes last."""
    folder = Path(out)
    figures = folder / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    for figure in found.figures:
        (figures / f"{figure.name}.png").write_bytes(figure.png)
    _replace(folder / PAGE, page.render(found))
    _replace(folder / REPORT, report.document(found))


def read(out: Path | str) -> dict[str, Any] | None:
    """The content of a folder's ``report.json``, None where there is none."""
    path = Path(out) / REPORT
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def require_pass(decision: gates.Decision) -> None:
    """Raise :class:`~calumma.errors.VerdictNotPassed` unless the verdict is pass.

    As a notebook's last act this gives papermill, and so a shell, an exit status other than zero.
    """
    if decision.verdict is not gates.Verdict.PASS:
        raise errors.VerdictNotPassed(decision.verdict, decision.sentence)


def environment(repository: Path | str = ".") -> dict[str, Any]:
    """What the evaluation ran with: versions, machine, and the checked-out git commit.

    The commit is that of the repository that holds the folder ``repository``, None outside of one;
    it does not say whether files were changed since.
    """
    return {
        "commit": _commit(Path(repository).absolute()),
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "cpus": os.cpu_count(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a half."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _commit(folder: Path) -> str | None:
    """The commit that ``HEAD`` names, read from git's files: no git is needed for it."""
    git = next((up / ".git" for up in [folder, *folder.parents] if (up / ".git").exists()), None)
    if git is None:
        return None
    if git.is_file():  # a work tree or submodule: the file names the real folder
        git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head
    reference = head.removeprefix("ref:").strip()
    shared = git / "commondir"
    common = (git / shared.read_text().strip()).resolve() if shared.exists() else git
    if (common / reference).exists():
        return (common / reference).read_text().strip()
    packed = common / "packed-refs"
    if not packed.exists():
        return None
    found = re.search(
        rf"^([0-9a-f]+) {re.escape(reference)}$", packed.read_text(), flags=re.MULTILINE
    )
    return found[1] if found else None
