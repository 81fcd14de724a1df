"""The executed notebook as people meet it: a note at its top, and the same as an HTML page.

Files are replaced as a whole, so that whoever reads while a run goes on, or after it was killed,
reads a complete notebook.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbconvert

_NOTE = "how-it-ended"

# What nbconvert's page would fetch from elsewhere becomes a script that does nothing.
_NOTHING = "data:text/javascript,"


def save(notebook: Mapping[str, Any], output: Path, note: str | None) -> None:
    """Keep a notebook at ``output`` with a note, in Markdown, at its top instead of an earlier."""
    cells = [cell for cell in notebook["cells"] if cell.get("id") != _NOTE]
    if note is not None:
        head = {"cell_type": "markdown", "id": _NOTE, "metadata": {}, "source": note}
        cells = [head, *cells]
    content = json.dumps({**notebook, "cells": cells}, indent=1, ensure_ascii=False)
    _replace(output, content + "\n")


def finish(output: Path, sentence: str | None) -> None:
    """Say at the top of a kept notebook how its run ended; without a sentence say nothing."""
    note = None if sentence is None else f"**How this run ended.** {html.escape(sentence)}"
    save(json.loads(output.read_text(encoding="utf-8")), output, note)


def write(output: Path) -> Path:
    """Write the HTML page of an executed notebook beside it; its path."""
    exporter = nbconvert.HTMLExporter(  # type: ignore[no-untyped-call]
        embed_images=True,
        mathjax_url=_NOTHING,
        require_js_url=_NOTHING,
        mermaid_js_url=_NOTHING,
        mermaid_layout_elk_js_url="",
    )
    text, _ = exporter.from_filename(str(output))
    page = output.with_suffix(".html")
    _replace(page, text)
    return page


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    # What a kernel prints may hold halves of characters, which UTF-8 has no bytes for.
    partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)
