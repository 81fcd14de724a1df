"""One notebook in a process of its own, for programs that are small and stay so.

``python -m calumma.running NOTEBOOK OUTPUT NAME=VALUE ...``; papermill and a kernel end with it.
The exit status is 0 for pass, 1 fail, 2 inconclusive and 3 error; the sentence is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from calumma import errors, running


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a notebook; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m calumma.running")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--timeout", type=float, metavar="SECONDS")
    options = parser.parse_args(arguments)
    stop = running.Stop()
    signal.signal(signal.SIGTERM, lambda *_: stop.ask("it was told to end"))
    try:
        declared = running.parameters(options.notebook)
        given = {}
        for text in options.parameters:
            name, _, value = text.partition("=")
            given[name] = running.parse(options.notebook, declared, name, value)
        done = running.execute(
            options.notebook, options.output, given, timeout=options.timeout, stop=stop
        )
    except errors.CalummaError as error:
        sys.stderr.write(f"{error}\n")
        return running.ERROR
    sys.stdout.write(f"{done.sentence}\n")
    return done.code


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
