"""The command ``calumma``: parses, calls, prints. What it calls does the work.

Exit codes: 0 done, 1 an error (one sentence on standard error), 2 a wrong command line. Rooms are
imported by the commands that need them, so that ``calumma --help`` answers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from calumma import __version__, command, errors
from calumma.cluster import layout
from calumma.evaluation import commands as evaluating
from calumma.rollout import commands as rolling
from calumma.schedule import commands as scheduling

_UP = """\
Start the one-machine cluster in the background: the Kubernetes API, the node, Envoy and
Prometheus. Objects of an earlier start are there again, and their services are started.

examples:
  calumma up
  calumma up --claim models=./models           pvc://models/... is the folder ./models
  calumma up --port 8081 --images images.yaml  another port, and programs for more images
  export KUBECONFIG=$(calumma kubeconfig)      then kubectl and KServeClient work as always

An images file maps container images to programs of this machine:
  images:
  - {image: example/model, command: [python, -m, model], kind: kserve}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _parser().parse_args(evaluating.words(given))
    except SystemExit as ended:
        if ended.code and given[:1] == ["evaluate"]:  # where 2 is a verdict
            raise SystemExit(evaluating.ERROR) from None
        raise
    run: command.Run = options.command
    try:
        code = run(options)
        sys.stdout.flush()
        return code
    except errors.CalummaError as error:
        sys.stderr.write(f"calumma: {error}\n")
        return 1
    except BrokenPipeError:  # nobody reads on, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="calumma",
        description="KServe on one machine: one manifest, real Triton, evaluated canaries.",
        epilog=f"The cluster lies in $CALUMMA_HOME, now {layout.Home.default().path}.",
    )
    parser.add_argument("--version", action="version", version=f"calumma {__version__}")
    commands = command.Commands(parser)
    add = commands.add
    _up_options(add("up", _up, "start the cluster in the background", _UP))
    add("down", _down, "end the cluster; its objects stay for the next start")
    add("status", _status, "show the cluster's programs, services and addresses")
    logs = add("logs", _logs, "show the log of a program, a pod or an InferenceService")
    logs.add_argument("name", nargs="?", help="without a name: which logs there are")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as the log grows")
    logs.add_argument("-n", "--lines", type=int, default=50, help="how many lines (default 50)")
    add("kubeconfig", _kubeconfig, "print the path of the kubeconfig")
    train = add("train", _train, "train the example models and write them for Triton")
    train.add_argument("application", choices=["digits"])
    train.add_argument(
        "--into", type=Path, metavar="FOLDER", help="default: the claim `models` of the cluster"
    )
    train.add_argument("--seed", type=int, default=0, help="the same seed gives the same models")
    _project_option(train, "where inferenceservices/digits/config.pbtxt lies")
    boards = add("dashboards", _dashboards, "render the dashboards for Grafana, and their rules")
    boards.add_argument("--into", type=Path, default=Path("build/dashboards"), metavar="FOLDER")
    evaluate = commands.group(
        "evaluate",
        "evaluate a service by a suite of notebooks; past runs, side by side and over time",
        evaluating.HELP,
        "calumma evaluate SUITE [options] | list | history | compare RUN RUN | open RUN",
    )
    evaluating.add(evaluate)
    text = "run evaluations by themselves, here and on a cluster"
    scheduling.add(commands.group("schedule", text, scheduling.HELP))
    text = "give a new version its traffic step by step, by statistics, and roll back by itself"
    rolling.add(commands.group("rollout", text, rolling.HELP))
    install = add("install", _install, "install a program that the cluster uses")
    install.add_argument("program", choices=["prometheus"])
    demo = add(
        "demo", _demo, "run the main job end to end, from a manifest to a rolled-back canary"
    )
    demo.add_argument("--keep", action="store_true", help="leave the cluster running")
    return parser


def _up_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8080, help="the gateway's port (default 8080)")
    parser.add_argument("--api-port", type=int, default=6443, help="default 6443")
    parser.add_argument("--prometheus-port", type=int, default=9095, help="default 9095")
    parser.add_argument(
        "--address", default="127.0.0.1", help="where the gateway listens (default loopback)"
    )
    parser.add_argument(
        "--claim",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="the folder of a PersistentVolumeClaim; others are folders in $CALUMMA_HOME/claims",
    )
    parser.add_argument("--images", type=Path, metavar="FILE", help="programs for more images")
    _project_option(parser, "where transformers/<name>/main.py lies")


def _project_option(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument(
        "--project", type=Path, default=Path.cwd(), metavar="FOLDER", help=f"{text} (default: here)"
    )


def _up(options: argparse.Namespace) -> int:
    from calumma.cluster import lifecycle, preparation

    home = layout.Home.default()
    request = preparation.Request(
        project=options.project,
        gateway_port=options.port,
        api_port=options.api_port,
        prometheus_port=options.prometheus_port,
        address=options.address,
        claims=dict(_claim(each) for each in options.claim),
        images=preparation.read_images(options.images) if options.images else (),
    )
    began = time.monotonic()
    settings = lifecycle.up(home, request, _tell)
    _tell(f"up after {time.monotonic() - began:.1f} s\n")
    print(f"  services    http://<name>.<namespace>.localhost:{settings.gateway_port}")
    if settings.prometheus_port is not None:
        print(f"  prometheus  http://127.0.0.1:{settings.prometheus_port}")
    print(f"  kubectl     export KUBECONFIG={home.kubeconfig}")
    return 0


def _claim(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise errors.ConfigurationError(
            f"--claim {text!r} is not NAME=FOLDER; for example --claim models=./models"
        )
    return name, Path(folder)


def _down(_: argparse.Namespace) -> int:
    from calumma.cluster import lifecycle

    home = layout.Home.default()
    if not lifecycle.down(home, _tell):
        print(f"No cluster is running in {home.path}.")
    return 0


def _status(_: argparse.Namespace) -> int:
    from calumma.cluster import report

    text, running = asyncio.run(report.status(layout.Home.default()))
    print(text)
    return 0 if running else 1


def _logs(options: argparse.Namespace) -> int:
    from calumma.cluster import report

    home = layout.Home.default()
    if options.name is None:
        print("\n".join(report.log_names(home)))
        return 0
    logs = report.logs(home, options.name)
    for line in report.lines(logs, options.lines, follow=options.follow):
        print(line)
    return 0


def _kubeconfig(_: argparse.Namespace) -> int:
    home = layout.Home.default()
    if not home.kubeconfig.exists():
        raise errors.NotRunning(f"{home.kubeconfig} does not exist yet; `calumma up` writes it.")
    print(home.kubeconfig)
    return 0


def _train(options: argparse.Namespace) -> int:
    from calumma.models import digits

    folder = options.into or layout.Home.default().claims / "models"
    config = options.project / "inferenceservices" / digits.NAME / "config.pbtxt"
    if not config.is_file():
        raise errors.ConfigurationError(
            f"{config} does not exist; run this in the project's folder, or name it with --project."
        )

    def progress(epoch: digits.Epoch) -> None:
        _tell(f"{epoch.version}: epoch {epoch.number} of {epoch.of}, loss {epoch.loss:.3f}")

    trained = digits.train(folder, config=config, seed=options.seed, progress=progress)
    for each in trained:
        print(f"{each.version}  {each.accuracy:6.1%} of the held-out images  {each.folder}")
    return 0


def _dashboards(options: argparse.Namespace) -> int:
    from calumma.monitoring import dashboards, vocabulary

    for path in dashboards.write(Path("dashboards"), options.into):
        print(path)
    print(vocabulary.write(options.into))
    return 0


def _install(_: argparse.Namespace) -> int:
    from calumma.monitoring import prometheus

    print(prometheus.install())
    return 0


def _demo(options: argparse.Namespace) -> int:
    from calumma import demo

    return demo.run(keep=options.keep)


def _tell(text: str) -> None:
    """Progress goes to standard error, results to standard output."""
    dim, plain = (
        ("\033[2m", "\033[0m") if sys.stderr.isatty() and "NO_COLOR" not in os.environ else ("", "")
    )
    sys.stderr.write(f"{dim}{text}{plain}\n")


if __name__ == "__main__":
    sys.exit(main())
