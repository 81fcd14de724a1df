"""``calumma evaluate``: parses, calls, prints. Rooms are imported by the commands that need them.

Exit codes: 0 pass, 1 fail, 2 inconclusive, 3 an error, a wrong command line among them: who acts on
verdicts must not take a typing error for one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from calumma import command, errors
from calumma.cluster import layout

if TYPE_CHECKING:
    from calumma import running

RUN = "run"
WORDS = (RUN, "list", "history", "compare", "open")
SUITES = Path("evaluation/suites")
ERROR = 3

HELP = """\
Evaluate a service as a suite says: its notebooks are run by papermill, their gates give a verdict,
and all of it is kept in runs/<suite>/<run>/.

examples:
  calumma evaluate evaluation/suites/digits.yaml             all sections of the suite
  calumma evaluate digits --only offline                     one of them; a suite by its name
  calumma evaluate digits --revision stable --seed 1
  calumma evaluate digits --set offline.rate=100             a parameter of one notebook
  calumma evaluate --list                                    suites, and what they ask
  calumma evaluate history digits --plot accuracy.png        past runs, and a figure of them
  calumma evaluate compare previous latest --plot two.png    two runs side by side
  calumma evaluate open latest                               the pages of a run

exit status: 0 pass, 1 fail, 2 inconclusive, 3 error; the worst of the sections counts.
A RUN is an id, its beginning, a folder, `latest` or `previous`, if need be with `SUITE/` before.
"""


def words(arguments: Sequence[str]) -> list[str]:
    """The command line with the word ``run`` that people leave out: ``evaluate FILE``."""
    given = list(arguments)
    if given[:1] != ["evaluate"] or given[1:2] in (["-h"], ["--help"]):
        return given
    return given if given[1:2] and given[1] in WORDS else ["evaluate", RUN, *given[1:]]


def add(parser: argparse.ArgumentParser) -> None:
    """Give the command ``evaluate`` its subcommands."""
    below = command.Commands(parser, _guarded)

    _run_options(below.add(RUN, _run, "run a suite; the word `run` may be left out"))
    listing = below.add("list", _list, "show the suites, their sections and what they demand")
    listing.add_argument("--suites", type=Path, default=SUITES, metavar="FOLDER")
    listing.add_argument("--json", action="store_true", help="for programs")
    history = below.add("history", _history, "show past runs, the latest last")
    history.add_argument("suite", nargs="?", metavar="SUITE", help="by default all suites")
    history.add_argument("-n", "--number", type=int, default=20, help="how many (default 20)")
    history.add_argument("--metric", action="append", default=[], metavar="NAME", help=_METRIC)
    history.add_argument("--plot", type=Path, metavar="FILE.png", help="metrics over time, drawn")
    compare = below.add("compare", _compare, "show two runs side by side")
    compare.add_argument("first", metavar="RUN", help="the one to compare with")
    compare.add_argument("second", metavar="RUN", help="the one whose change is of interest")
    compare.add_argument("--plot", type=Path, metavar="FILE.png", help="both, drawn")
    opening = below.add("open", _open, "say where a run's pages are, and open them in a browser")
    opening.add_argument("run", metavar="RUN", nargs="?", default="latest")
    for each in (history, compare, opening):
        _into(each)
        each.add_argument("--json", action="store_true", help="for programs")


_METRIC = "which metrics to show; by default those that gates look at"


def _run_options(run: argparse.ArgumentParser) -> None:
    run.add_argument("suite", nargs="?", metavar="SUITE", help="the suite's file, or its name")
    run.add_argument("--list", action="store_true", help="show the suites instead")
    run.add_argument("--suites", type=Path, default=SUITES, metavar="FOLDER", help="of --list")
    run.add_argument("--revision", help="latest or stable: which one of a service with a canary")
    run.add_argument("--only", default="", metavar="SECTION,...", help="by default all sections")
    run.add_argument("--service", metavar="NAME", help="another service than the suite's")
    run.add_argument("--namespace", metavar="NAME", help="another namespace than the suite's")
    run.add_argument("--seed", type=int, help="by default each notebook's own")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.PARAMETER=VALUE",
        help="a parameter of a section's notebook (papermill --help-notebook lists them)",
    )
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        nargs=2,
        default=[],
        metavar=("NAME", "VALUE"),
        help="a parameter of every notebook that has it",
    )
    _into(run)
    run.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help="afterwards remove the suite's oldest runs but N; the latest that passed always stays",
    )
    run.add_argument("--pushgateway", metavar="URL", help="where the metrics go on a real cluster")
    run.add_argument("--json", action="store_true", help="print the record of the run")


def _into(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--into", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs"
    )


def _guarded(run: command.Run) -> command.Run:
    """The same, with an exit status of its own for errors."""

    def guarded(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except errors.CalummaError as error:
            sys.stderr.write(f"calumma: {error}\n")
            return ERROR

    return guarded


def _run(options: argparse.Namespace) -> int:
    if options.list:
        return _list(options)
    from calumma import running
    from calumma.evaluation import planning, runner, terminal

    home = _home()
    request = planning.Request(
        suite=_suite(options),
        service=options.service,
        namespace=options.namespace,
        revision=options.revision,
        seed=options.seed,
        only=tuple(name for name in options.only.split(",") if name),
        everywhere=dict(options.parameter),
        settings=_settings(options.set),
        into=options.into,
        keep=options.keep,
        home=home,
        pushgateway=options.pushgateway,
    )
    stop = running.Stop()
    with _ending(stop):
        outcome = runner.run(request, stop=stop, tell=terminal.Progress())
    for complaint in outcome.complaints:
        sys.stderr.write(f"calumma: {complaint}\n")
    if options.json:
        print(outcome.run.model_dump_json(indent=1))
    else:
        rows = [
            (each.name, each.verdict or each.state, _seconds(each.seconds), each.revision or "-")
            for each in outcome.run.sections
        ]
        print(terminal.table(("SECTION", "VERDICT", "TIME", "REVISION"), rows))
        print(f"\n{outcome.run.verdict}  {outcome.folder / 'index.html'}")
    return outcome.code


@contextmanager
def _ending(stop: running.Stop) -> Iterator[None]:
    """While this lasts, Ctrl-C and SIGTERM end the run in order; again, they end the program."""
    earlier = {}

    def ask(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.ask(f"{signal.Signals(number).name}, so the run was ended before its time")

    for number in (signal.SIGINT, signal.SIGTERM):
        earlier[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _home() -> Path | None:
    """The folder of the one-machine cluster, if that is the one that is evaluated.

    Who names no cluster at all means this one.
    """
    home = layout.Home.default()
    if not home.kubeconfig.exists():
        return None
    named = os.environ.get("KUBECONFIG")
    if not named and not (Path.home() / ".kube/config").exists():
        named = os.environ["KUBECONFIG"] = str(home.kubeconfig)
    return home.path if named and Path(named).absolute() == home.kubeconfig else None


def _suite(options: argparse.Namespace) -> Path:
    if not options.suite:
        raise errors.EvaluationError(
            "name a suite; `calumma evaluate --list` shows those there are"
        )
    path = Path(options.suite)
    named = options.suites / f"{options.suite}.yaml"
    return named if not path.exists() and path.name == options.suite and named.exists() else path


def _settings(given: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        section, dot, name = place.partition(".")
        if not (section and dot and name and equals):
            raise errors.EvaluationError(
                f"--set {text!r} is not SECTION.PARAMETER=VALUE; for example --set offline.rate=100"
            )
        found.setdefault(section, {})[name] = value
    return found


def _list(options: argparse.Namespace) -> int:
    from calumma.evaluation import suite, terminal

    rows, wrong = [], []
    for path in sorted(options.suites.glob("*.yaml")):
        try:
            found = suite.read(path)
        except errors.DocumentInvalid as error:
            wrong.append(str(error))
            continue
        demands = [f"{name} ({len(own.demands)} demands)" for name, own in found.sections.items()]
        rows.append((found.name, found.service, found.namespace, ", ".join(demands), str(path)))
    if options.json:
        names = ("suite", "service", "namespace", "sections", "file")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1))
    elif rows:
        print(terminal.table(("SUITE", "SERVICE", "NAMESPACE", "SECTIONS", "FILE"), rows))
    else:
        print(f"There are no suites in {options.suites}; --suites names another folder.")
    for sentence in wrong:
        sys.stderr.write(f"calumma: {sentence}\n")
    return ERROR if wrong else 0


def _history(options: argparse.Namespace) -> int:
    from calumma.evaluation import history, pages

    found = history.read(options.into, options.suite)
    shown = found.runs[-options.number :] if options.number > 0 else found.runs
    if options.json:
        print(json.dumps([each.run.model_dump(mode="json") for each in shown], indent=1))
    else:
        print(
            pages.history_table(shown, options.metric) if shown else f"No runs in {options.into}."
        )
    if found.foreign and options.suite:
        names = ", ".join(path.name for path in found.foreign[:5])
        sys.stderr.write(f"{len(found.foreign)} folders are not runs: {names}\n")
    if options.plot is not None:
        _draw(options.plot, pages.over_time(shown, options.metric))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from calumma.evaluation import comparison, history, pages

    runs = (history.find(options.into, text) for text in (options.first, options.second))
    found = comparison.compare(*runs)
    print(pages.as_json(found) if options.json else pages.compared(found))
    if options.plot is not None:
        from calumma.evaluation import figures

        _draw(options.plot, figures.compared(found))
    return 0


def _draw(path: Path, png: bytes) -> None:
    if path.suffix != ".png":
        raise errors.EvaluationError(f"{path} cannot be drawn; a figure is a file like runs.png")
    try:
        path.write_bytes(png)
    except OSError as error:
        raise errors.EvaluationError(f"{path} cannot be written: {error.strerror}") from error
    sys.stderr.write(f"{path}\n")


def _open(options: argparse.Namespace) -> int:
    from calumma.evaluation import history, pages

    past = history.find(options.into, options.run)
    found = pages.complete(past)
    if options.json:
        print(json.dumps([str(path) for path in found], indent=1))
        return 0
    for path in found:
        print(path)
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(found[0].absolute().as_uri())
    return 0


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
