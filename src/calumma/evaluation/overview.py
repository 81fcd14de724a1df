"""A run as one page, ``index.html``: its verdict, each section's, and links to all the rest."""

from __future__ import annotations

import html
from pathlib import Path

from calumma import evidence
from calumma.evaluation import record
from calumma.scoring import page

FILE = "index.html"


def write(folder: Path, run: record.Run) -> Path:
    """Write the page of a run into its folder; its path."""
    path = folder / FILE
    path.write_text(render(folder, run), encoding="utf-8")
    return path


def render(folder: Path, run: record.Run) -> str:
    """The page's text; links lead to the files that are in the folder."""
    title = f"{run.suite}: {run.service} in {run.namespace}"
    verdict = run.verdict or run.state
    changed = {True: ", with changes", False: "", None: ", changes unknown"}[run.code["changed"]]
    seconds = f", {run.seconds:.0f} s" if run.seconds is not None else ""
    facts = (
        f"{run.started}{seconds}; suite {run.document['path']} ({run.document['sha256'][:12]}); "
        f"commit {run.code['commit'] or 'unknown'}{changed}"
    )
    rows = "".join(_row(folder, section) for section in run.sections)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{html.escape(title)}: {verdict}</title>",
            f"<style>{page.STYLE}</style></head><body>",
            f"<h1>{html.escape(title)}</h1>",
            f'<p class="question">Run {html.escape(run.id)}. {html.escape(facts)}</p>',
            f'<div class="verdict {verdict}"><b>{verdict}</b>'
            f"<p>{html.escape(run.sentence)}</p></div>",
            "<table><tr><th>Section</th><th>Verdict</th><th>Why</th><th>Pages</th></tr>",
            f"{rows}</table></body></html>\n",
        ]
    )


def _row(folder: Path, section: record.Section) -> str:
    pages = {
        "report": f"{section.name}/{evidence.PAGE}",
        "notebook": f"{section.name}.html",
        "data": f"{section.name}/{evidence.REPORT}",
    }
    links = " ".join(
        f'<a href="{path}">{text}</a>' for text, path in pages.items() if (folder / path).exists()
    )
    word = section.verdict or section.state
    return (
        f"<tr><td>{section.name}</td>"
        f'<td class="word {word}">{word}</td><td>{html.escape(section.sentence)}</td>'
        f"<td>{links}</td></tr>"
    )
