"""Tables and progress for people at a terminal; plain lines for whoever reads a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

from calumma.evaluation import runner
from calumma.scoring import metrics

_COLOURS = {"pass": 32, "fail": 31, "error": 31, "killed": 31, "inconclusive": 33, "running": 36}
_PLAIN_SECONDS = 10.0


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; no line is cut or broken."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            _coloured(cell) + " " * (width - len(cell))
            for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def value(metric: metrics.Metric | None, *, signed: bool = False) -> str:
    """A metric as ``0.908 (0.883 to 0.929)``, with its unit; an em dash where there is none."""
    if metric is None or metric.value is None:
        return "-"
    digits, sign = (1 if metric.unit else 3), ("+" if signed else "")
    text = f"{metric.value:{sign}.{digits}f}"
    if metric.interval is not None:
        low, high = metric.interval
        text += f" ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"
    return f"{text} {metric.unit}".rstrip()


class Progress:
    """Shows where a run is: one line that changes at a terminal, a line now and then elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_live = self._stream.isatty()
        self._told = 0.0
        self._shown = ""

    def __call__(self, event: runner.Event) -> None:
        """Show an event."""
        if event.ended is not None:
            self._line(f"{event.section}: {event.ended.sentence}")
            self._told = 0.0
            return
        cell = f"cell {event.cell} of {event.cells}" if event.cell else "starting a kernel"
        text = f"{event.section}: {cell}, {event.seconds:.0f} s"
        if self._is_live and text != self._shown:
            width = os.get_terminal_size(self._stream.fileno()).columns
            self._stream.write(f"\r\033[K{text[: width - 1]}")
            self._stream.flush()
            self._shown = text
        elif not self._is_live and time.monotonic() - self._told > _PLAIN_SECONDS:
            self._told = time.monotonic()
            self._line(text)

    def _line(self, text: str) -> None:
        self._stream.write(f"\r\033[K{text}\n" if self._is_live else f"{text}\n")
        self._stream.flush()
        self._shown = ""


def _coloured(cell: str) -> str:
    code = _COLOURS.get(cell)
    if code is None or not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return cell
    return f"\033[{code}m{cell}\033[0m"
