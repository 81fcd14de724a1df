"""How commands introduce themselves, and how they show tables.

A command has one line in the list and a page of its own with ``--help``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

Run = Callable[[argparse.Namespace], int]
"""What a command does; its answer is the exit status."""


class Commands:
    """The commands below a parser, one of which must be given.

    ``around`` is put around what each of them does.
    """

    def __init__(
        self, parser: argparse.ArgumentParser, around: Callable[[Run], Run] = lambda run: run
    ) -> None:
        self._below = parser.add_subparsers(
            title="commands", required=True, metavar="COMMAND", prog=parser.prog
        )
        self._around = around

    def add(self, name: str, run: Run, text: str, longer: str = "") -> argparse.ArgumentParser:
        """Add a command; its parser, for its options. ``longer`` keeps its own line breaks."""
        added = self.group(name, text, longer or f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(command=self._around(run))
        return added

    def group(
        self, name: str, text: str, longer: str, usage: str | None = None
    ) -> argparse.ArgumentParser:
        """Add a command that has commands of its own; its parser, for them."""
        return self._below.add_parser(
            name,
            help=text,
            usage=usage,
            description=longer,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text below their names."""
    everything = [head, *rows]
    widths = [max(len(row[column]) for row in everything) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in everything
    )
