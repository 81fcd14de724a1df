"""``calumma schedule``: parses, calls, prints."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from calumma import command, errors
from calumma.cluster import layout

if TYPE_CHECKING:
    from calumma.schedule import listing, store

HELP = """\
Evaluations that run by themselves: a schedule names a suite and when it is evaluated. The same
file runs here, by a scheduler that `calumma up` starts with the cluster, and on a cluster as a
CronJob. Its words are those of Kubernetes' CronJob.

examples:
  calumma schedule apply evaluation/schedules/nightly.yaml    run it here from now on
  calumma schedule list                                       what there is, and what is next
  calumma schedule show nightly                               its last runs, and how they ended
  calumma schedule run nightly                                once more, now
  calumma schedule pause nightly                              and `resume` when it may go on
  calumma schedule delete nightly                             what its runs left stays
  calumma schedule render evaluation/schedules/nightly.yaml | kubectl apply -f -
"""

APPLY = """\
Run a schedule on this machine from now on, or change one that runs. The file:

  name: nightly
  schedule: "30 2 * * *"          # minute, hour, day of month, month, day of week
  timeZone: Europe/Zurich         # IANA; by default Etc/UTC
  suite: evaluation/suites/digits.yaml
  revision: latest
  parameters: {seed: 1}           # for the suite's notebooks
  concurrencyPolicy: Forbid       # Allow, Forbid or Replace a run that is still under way
  startingDeadlineSeconds: 3600   # how late a run may begin; by default any time
  activeDeadlineSeconds: 7200     # how long it may take, with its retries; then it is ended
  backoffLimit: 1                 # how often an error is tried again; a verdict never is
  suspend: false
  alerts:                         # once when it begins to fail, once when it recovers
    afterFailures: 2
    webhook: {environment: CALUMMA_ALERT_URL}   # or {file: PATH}; or command: instead of webhook:

A webhook gets a JSON document by POST, a command has it in the variable CALUMMA_ALERT. A variable
is read now and kept in the cluster's home, readable for you alone; a file is read each time.
"""

RENDER = """\
Write a schedule as a CronJob and what it needs (ServiceAccount, Role, RoleBinding, ConfigMap with
the suite, PersistentVolumeClaim for the runs) as YAML, for the namespace of the suite's service.
What only a cluster needs to know may stand in the file, too:

  cluster:
    image: registry.example/calumma-evaluation:1      # by default calumma/evaluation:<version>
    storage: 5Gi                                      # for the runs
    storageClassName: fast
    pushgateway: http://pushgateway.monitoring:9091   # for the metrics that an evaluation finds

example:
  docker build -f evaluation/Dockerfile -t registry.example/calumma-evaluation:1 .
  calumma schedule render evaluation/schedules/nightly.yaml | kubectl apply -f -
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Give the command ``schedule`` its subcommands."""
    add_one = command.Commands(parser).add
    for name, run, text, longer in (
        ("apply", _apply, "run a schedule on this machine, or change it", APPLY),
        ("render", _render, "write a schedule as a CronJob, for kubectl", RENDER),
    ):
        added = add_one(name, run, text, longer)
        added.add_argument("file", type=Path)
        added.add_argument(
            "--project", type=Path, default=Path.cwd(), metavar="FOLDER",
            help="where the suite and the notebooks lie (default: here)",
        )  # fmt: skip
    add_one("list", _list, "show all schedules, their last run and their next one")
    for name, run, text in (
        ("show", _show, "show a schedule and its last runs"),
        ("run", _run, "run a schedule once more, now"),
        ("pause", _pause, "let a schedule come due no more, until `resume`"),
        ("resume", _resume, "let a paused schedule come due again"),
        ("delete", _delete, "forget a schedule; a run that is under way is ended"),
    ):
        add_one(name, run, text).add_argument("name")


def _apply(options: argparse.Namespace) -> int:
    from calumma.evaluation import document, suite
    from calumma.schedule import alerts, definition, listing, store

    schedule = document.read(options.file, definition.Schedule)
    project = options.project.resolve()
    suite.read(project / schedule.suite)
    secret = None
    if schedule.alerts is not None:
        place = schedule.alerts.secret
        secret = _variable(place.environment) if place.environment else None
        alerts.check(schedule.alerts, secret or store.first_line(_path(place.file)))
    home = layout.Home.default()
    store.Store(home).apply(store.Applied(schedule=schedule, project=str(project)), secret)
    due = "suspended" if schedule.suspend else listing.upcoming(schedule, time.time(), 1)[0]
    print(f"{schedule.name}: {due}")
    _tell_scheduler(home)
    return 0


def _variable(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise errors.ConfigurationError(
            f"alerts need the environment variable {name}, which is not set here"
        )
    return value


def _path(file: str | None) -> Path:
    return Path(file or "").expanduser()


def _tell_scheduler(home: layout.Home) -> None:
    """Make sure that the scheduler runs, if the cluster does; otherwise say so."""
    from calumma.cluster import lifecycle, preparation
    from calumma.cluster.node import supervision

    async def put() -> None:
        async with supervision.Client(home.supervisor_socket) as supervisor:
            await supervisor.put(preparation.scheduler(home))

    if lifecycle.process_id(home) is None:
        print("Nothing runs it yet: `calumma up` starts the scheduler with the cluster.")
    else:
        asyncio.run(put())


def _list(_: argparse.Namespace) -> int:
    from calumma.schedule import listing, store

    found = store.Store(layout.Home.default())
    now = time.time()
    rows = [listing.row(_known(found, name), now) for name in found.names()]
    if rows:
        print(command.table(listing.HEAD, rows))
    else:
        print("No schedules; `calumma schedule apply FILE` makes one.")
    return 0


def _known(found: store.Store, name: str) -> listing.Known:
    from calumma.schedule import listing

    return listing.Known(found.read(name).schedule, found.state(name))


def _show(options: argparse.Namespace) -> int:
    from calumma.schedule import listing, store

    found = store.Store(layout.Home.default())
    applied = found.read(options.name)
    known = _known(found, options.name)
    now = time.time()
    for name, value in listing.description(known, now, applied.project):
        print(f"{name:<11} {value}")
    rows = listing.runs(known, now)
    if rows:
        print(f"{'output':<11} {found.log(options.name, 'RUN')}\n")
        print(command.table(listing.RUN_HEAD, rows))
    return 0


def _run(options: argparse.Namespace) -> int:
    from calumma.cluster import lifecycle
    from calumma.schedule import store

    home = layout.Home.default()
    found = store.Store(home)
    schedule = found.read(options.name).schedule
    if lifecycle.process_id(home) is None:
        raise errors.NotRunning(
            f"No scheduler is running in {home.path}; `calumma up` starts it with the cluster."
        )
    found.ask(options.name)
    state = found.state(options.name)
    if schedule.concurrencyPolicy == "Forbid" and state is not None and state.active:
        print(f"{options.name}: begins when run {state.active[0].id} has ended")
    else:
        print(f"{options.name}: begins now; `calumma schedule show {options.name}` follows it")
    return 0


def _pause(options: argparse.Namespace) -> int:
    return _suspend(options.name, True)


def _resume(options: argparse.Namespace) -> int:
    return _suspend(options.name, False)


def _suspend(name: str, suspend: bool) -> int:
    from calumma.schedule import listing, store

    found = store.Store(layout.Home.default())
    schedule = found.suspend(name, suspend)
    due = "paused" if suspend else f"next {listing.upcoming(schedule, time.time(), 1)[0]}"
    print(f"{name}: {due}")
    return 0


def _delete(options: argparse.Namespace) -> int:
    from calumma.schedule import store

    store.Store(layout.Home.default()).delete(options.name)
    print(f"{options.name}: deleted; what its runs left stays")
    return 0


def _render(options: argparse.Namespace) -> int:
    from calumma.evaluation import document, suite
    from calumma.schedule import cronjob, definition

    schedule = document.read(options.file, definition.Schedule)
    path = options.project / schedule.suite
    objects = cronjob.objects(schedule, suite.read(path), path.read_text(encoding="utf-8"))
    print(f"# {options.file} as a CronJob, by `calumma schedule render`. Its image:")
    print(f"#   docker build -f evaluation/Dockerfile -t {cronjob.image(schedule)} .")
    if schedule.alerts is not None:
        print("# Alerts on a cluster are Prometheus': dashboards/schedules.rules.yaml.")
    print(cronjob.text(objects), end="")
    return 0
