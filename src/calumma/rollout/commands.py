"""``calumma rollout``: parses, calls, prints."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from calumma import command

if TYPE_CHECKING:
    from calumma.rollout import session

HELP = """\
Give a new version of a model its share of the traffic step by step, by statistics that stay valid
however often one looks: it is promoted when it is shown not to be worse, and rolled back by itself
when it is shown to be. The cluster is the one of $KUBECONFIG, here or on Chameleon.

examples:
  calumma rollout start evaluation/rollouts/digits.yaml --to pvc://models/digits/v2
  calumma rollout status digits -w        step, share, counts, bounds and verdicts; what comes next
  calumma rollout pause digits            resume: goes on, and agrees where a person is asked
  calumma rollout abort digits            back to the stable revision, now
  calumma rollout promote digits          a person knows better
  calumma rollout undo digits             after a promotion: back to the former revision
  calumma rollout history digits          rollouts that have ended, and where their evidence is
"""

START = """\
Start a rollout. The policy is a YAML file; docs/rollouts.md explains each of its fields. With --to
the new model is set together with a share of 0%, in one change. Without it the newest revision is
taken that somebody has applied with canaryTrafficPercent: 0.

A process beside the cluster carries it out: on this machine `calumma up`'s, on another cluster the
Job that `calumma rollout render` writes, or this terminal with --here.
"""

RENDER = """\
Write what carries a rollout out on a cluster (ServiceAccount, Role, RoleBinding, ConfigMap with
the policy, PersistentVolumeClaim for the evidence, Job) as YAML:

  calumma rollout render evaluation/rollouts/digits.yaml --to pvc://models/digits/v2 \\
    | kubectl apply -f -
"""

_VERBS = {
    "pause": "change nothing more until `resume`; a canary that is shown to be worse still goes",
    "resume": "go on, with the share of the step; agrees where a person is asked",
    "promote": "give the canary all traffic now",
    "abort": "give the stable revision all traffic now",
    "undo": "after a promotion: give the former revision all traffic again",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Give the command ``rollout`` its subcommands."""
    add_one = command.Commands(parser).add
    start = add_one("start", _start, "start a rollout", START)
    _policy_options(start)
    start.add_argument("--dry-run", action="store_true", help="only say what would happen")
    start.add_argument("-w", "--wait", action="store_true", help="follow it to its end")
    start.add_argument("--here", action="store_true", help="carry it out in this terminal")
    status = add_one("status", _status, "show how rollouts are; with -w again and again")
    _service_options(status, optional=True)
    status.add_argument("-w", "--watch", action="store_true", help="until it has ended")
    for verb, text in _VERBS.items():
        asking = add_one(verb, _ask, text)
        asking.set_defaults(verb=verb)
        _service_options(asking)
    _service_options(add_one("history", _history, "show rollouts that have ended"), optional=True)
    _policy_options(add_one("render", _render, "write a Job that carries it out", RENDER))


def _policy_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", type=Path)
    parser.add_argument("--to", metavar="URI", help="the new model's storageUri")
    parser.add_argument(
        "--project", type=Path, default=Path.cwd(), metavar="FOLDER",
        help="where the suites of its gates lie (default: here)",
    )  # fmt: skip


def _service_options(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument("service", nargs="?" if optional else None)
    parser.add_argument("-n", "--namespace", default="default")


def _start(options: argparse.Namespace) -> int:
    from calumma.rollout import listing, session

    policy = session.read(options.policy, options.project)
    if options.dry_run:
        print(listing.plan(policy))
        return 0
    began = session.start(policy, options.to)
    print(f"{began}: begins")
    if options.here:
        return _here(policy.service, policy.namespace)
    if not session.driven(policy.service, policy.namespace):
        print(
            "Nothing carries it out yet: `calumma up` does on this machine, `calumma rollout "
            "render` writes a Job for another cluster, --here does it in this terminal."
        )
    if options.wait:
        return _follow(policy.service, policy.namespace)
    print(f"`calumma rollout status {policy.service} -w` follows it")
    return 0


def _here(service: str, namespace: str) -> int:
    """Carry it out in this terminal."""
    from calumma.rollout import __main__ as process

    return process.main(["--service", service, "--namespace", namespace, "--once-ended"])


def _status(options: argparse.Namespace) -> int:
    from calumma.rollout import session

    if options.service is None:
        return _all(options)
    if options.watch:
        return _follow(options.service, options.namespace)
    print(session.status(options.service, options.namespace))
    return 0


def _all(options: argparse.Namespace) -> int:
    """One line for each rollout."""
    from calumma.rollout import listing, session

    rows = [listing.row(each, time.time()) for each in session.states(options.namespace)]
    if not rows:
        print(f"No rollouts in namespace {options.namespace}; `calumma rollout start` begins one.")
    else:
        print(command.table(listing.HEAD, rows))
    return 0


def _follow(service: str, namespace: str) -> int:
    """Show a rollout until it has ended: on a terminal in place, else what is new of it.

    The exit status is 0 for a promotion and 1 for all else.
    """
    from calumma.rollout import session

    shown: list[str] = []

    def show(found: session.Shown) -> None:
        if sys.stdout.isatty():
            print(f"\x1b[2J\x1b[H{found.text}", flush=True)
            return
        for line in found.news:
            if line not in shown:
                shown.append(line)
                print(line, flush=True)

    return 0 if session.wait(service, namespace, show) else 1


def _ask(options: argparse.Namespace) -> int:
    from calumma.rollout import session, state

    verb: state.Verb = options.verb
    print(session.ask(options.service, options.namespace, verb))
    return 0


def _history(options: argparse.Namespace) -> int:
    from calumma.rollout import listing, session

    ended = session.history(options.service, options.namespace)
    if not ended:
        print("No rollout has ended yet.")
        return 0
    print(command.table(listing.HISTORY_HEAD, [listing.history_row(each) for each in ended]))
    return 0


def _render(options: argparse.Namespace) -> int:
    from calumma.rollout import job, session

    policy = session.read(options.policy, options.project)
    print(f"# {options.policy} as a Job, by `calumma rollout render`.")
    print(job.text(job.objects(policy, options.to)), end="")
    return 0
