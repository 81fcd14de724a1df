"""The main job, end to end: from a manifest to a promoted canary and a rolled-back one.

:func:`run` does what a person would do by hand, through the same doors: KServe's own client, the
evaluation notebooks, rollouts, the gateway under live traffic. It needs no kubectl. Statistics
alone decide what is promoted and what is rolled back; another outcome than the models deserve fails
the demo.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from calumma import errors
from calumma.cluster import layout, lifecycle, preparation
from calumma.cluster.node import ports
from calumma.evaluation import history, planning, runner
from calumma.load import users as load
from calumma.models import digits
from calumma.monitoring import client as monitoring
from calumma.monitoring import dashboards
from calumma.rollout import session

SERVICE, NAMESPACE = digits.NAME, "default"
MANIFEST = Path("inferenceservices/digits/base/inferenceservice.yaml")
SUITE = Path("evaluation/suites/digits.yaml")
POLICY = Path("evaluation/rollouts/digits.yaml")
CONFIG = Path("inferenceservices/digits/config.pbtxt")
RUNS = Path("runs/demo")
HOME = Path("build/demo")
RATE = 30.0
"""Requests a second of the users who are there all the time."""
SCRAPED = 20.0
"""Seconds after which Prometheus has read what was written last."""


def run(*, keep: bool) -> int:
    """Run the demo in the project's folder; 0 when everything went as it should.

    With ``keep`` the cluster is left running and the way into it is printed.
    """
    for needed in (MANIFEST, CONFIG, SUITE, POLICY, Path("dashboards")):
        if not needed.exists():
            raise errors.ConfigurationError(
                f"{needed} is not here; run the demo in a checkout of Calumma."
            )
    home = layout.Home(HOME.absolute())
    began = time.monotonic()
    try:
        _Demo(home).play()
    finally:
        if not keep:
            lifecycle.down(home, lambda _: None)
    _say(f"\nDone in {time.monotonic() - began:.0f} s. Nothing was mocked. What is where:")
    places = {
        "evaluations": f"calumma evaluate history --into {RUNS}",
        "reports for people": f"{RUNS}/{SERVICE}/*/index.html",
        "executed notebooks": f"{RUNS}/{SERVICE}/*/*.ipynb",
        "evidence of rollouts": f"runs/rollouts/{SERVICE}/*/*/report.html",
        "reports for programs": f"{RUNS}/{SERVICE}/*/*/report.json",
        "dashboards for Grafana": f"{RUNS}/dashboards/*.json",
        "models": f"{HOME}/claims/models/{SERVICE}/{{v1,v2,v3}}",
        "logs": f"{HOME}/logs",
    }
    for what, where in places.items():
        _detail(f"{what:24}{where}")
    if keep:
        _say(f"\nThe cluster is up. In another terminal, with {sys.prefix}/bin in PATH:")
        _detail(f"export CALUMMA_HOME={home.path} KUBECONFIG={home.kubeconfig}")
        _detail("calumma status; kubectl get isvc; and calumma down at the end")
    return 0


class _Manifest(dict[str, Any]):
    """A manifest for KServe's client, which reads the version from an attribute."""

    api_version = "serving.kserve.io/v1beta1"


class _Demo:
    """One run: the cluster's home, KServe's client, and the traffic of its users."""

    def __init__(self, home: layout.Home) -> None:
        self._home = home
        self._number = 0

    def play(self) -> None:
        with self._step("Train three versions of a model of handwritten digits"):
            self._train()
        with self._step("Start the cluster: Kubernetes API, node, Envoy, Prometheus"):
            self._up()
        with self._step("Apply the InferenceService with v1"):
            self._apply()
            self._wait_until_ready()
        with self._step("Evaluate v1 offline, on images that it has never seen"):
            done = self._evaluate("offline", rate=200.0)
            if done.code:
                raise errors.EvaluationError(f"v1 is not good enough, see {done.folder}")
        with self._step("What v1 is worth, by the assumptions of the suite"):
            self._evaluate("business", rate=200.0)
        users = load.Users(self._url, SERVICE, RATE)
        with users:
            self._canaries()
            with self._step("Dashboards: every panel's query asked of Prometheus"):
                self._dashboards()
        with self._step(f"What the users saw of all that, at {RATE:.0f} requests a second"):
            _detail(users.summary.sentence)
            if users.summary.failures:
                raise errors.ClusterError("A user's request failed; none should.")

    def _canaries(self) -> None:
        """Release v2, which is better, v2 once more, and v3, which only looks it."""
        if not self._release("v2", "Roll out v2: its share grows as it is shown not to be worse"):
            raise errors.RolloutError("v2 was rolled back; it should not be.")
        copy = self._home.claims / "models" / SERVICE / "v2-again"
        shutil.copytree(copy.with_name("v2"), copy, dirs_exist_ok=True)
        if not self._release(
            copy.name, "Roll out the same model again: nothing may be rolled back"
        ):
            raise errors.RolloutError("The same model was rolled back; it should not be.")
        if self._release("v3", "Roll out v3: what is shown to be worse is rolled back"):
            raise errors.RolloutError("v3 was promoted; it should not be.")

    def _release(self, version: str, title: str) -> bool:
        """Roll a version out; whether it was promoted."""
        to = f"pvc://models/{SERVICE}/{version}"
        with self._step(title):
            _detail(f"calumma rollout start {POLICY} --to {to} --wait")
            session.start(session.read(POLICY), to)
            said: set[str] = set()

            def show(now: session.Shown) -> None:
                for line in now.news:
                    if line not in said:
                        said.add(line)
                        _detail(line)

            return session.wait(SERVICE, NAMESPACE, show)

    def _train(self) -> None:
        into = self._home.claims / "models"
        into.mkdir(parents=True, exist_ok=True)
        for each in digits.train(into, config=CONFIG):
            _detail(f"{each.version}: {each.accuracy:.1%} of the held-out images are right")

    def _up(self) -> None:
        lifecycle.down(self._home, _detail)
        self._home.database.unlink(missing_ok=True)
        request = preparation.Request(
            project=Path.cwd(),
            gateway_port=_port(8080),
            api_port=_port(6443),
            prometheus_port=_port(9095),
        )
        settings = lifecycle.up(self._home, request, _detail)
        os.environ["KUBECONFIG"] = str(self._home.kubeconfig)
        self._url = f"http://{SERVICE}.{NAMESPACE}.localhost:{settings.gateway_port}"
        self._prometheus = settings.prometheus_port

        import kserve  # a second and 170 MB, which `calumma --help` need not pay

        self._kserve = kserve.KServeClient(config_file=str(self._home.kubeconfig))

    def _apply(self) -> None:
        manifest = _Manifest(yaml.safe_load(MANIFEST.read_text()))
        self._kserve.create(manifest, namespace=NAMESPACE)

    def _wait_until_ready(self) -> None:
        self._kserve.wait_isvc_ready(
            SERVICE,
            namespace=NAMESPACE,
            timeout_seconds=60,
            polling_interval=1,
        )
        status = self._kserve.get(SERVICE, namespace=NAMESPACE)["status"]
        for target in status["components"]["predictor"]["traffic"]:
            _detail(f"{target['revisionName']}: {target['percent']}% of the traffic")

    def _evaluate(self, section: str, **parameters: float) -> runner.Outcome:
        """Evaluate one section of the suite."""
        request = planning.Request(
            SUITE, only=(section,), settings={section: parameters}, into=RUNS, home=self._home.path
        )
        settings = "".join(f" --set {section}.{key}={value}" for key, value in parameters.items())
        _detail(f"calumma evaluate {SUITE} --only {section} --into {RUNS}{settings}")
        done = runner.run(request)
        (ended,) = done.run.sections
        _detail(ended.sentence)
        if ended.verdict == "pass":
            _detail(history.reports(done.run, done.folder)[section]["gates"][0]["reason"])
        return done

    def _dashboards(self) -> None:
        prometheus = monitoring.Client(f"http://127.0.0.1:{self._prometheus}")
        for path in dashboards.write(Path("dashboards"), RUNS / "dashboards"):
            deadline = time.monotonic() + SCRAPED
            while (empty := _without_data(prometheus, path)) and time.monotonic() < deadline:
                time.sleep(0.5)
            number = len(list(dashboards.expressions(path.read_text())))
            _detail(f"{path.stem}: {number - len(empty)} of {number} queries have data")
            if empty:
                raise errors.MonitoringError(f"{path} has panels without data: {empty}")

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        self._number += 1
        _say(f"\n{self._number}. {title}")
        began = time.monotonic()
        yield
        _detail(f"{time.monotonic() - began:.1f} s")


def _without_data(prometheus: monitoring.Client, dashboard: Path) -> list[str]:
    """The panels of a dashboard whose query finds nothing."""
    variables = dashboards.everything(dashboard.read_text())
    return [
        each.panel
        for each in dashboards.expressions(dashboard.read_text())
        if not prometheus.values(dashboards.fill(each.expression, variables))
    ]


def _port(usual: int) -> int:
    """The usual port, or any that is free when another program has it."""
    return usual if ports.is_free(usual) else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _detail(text: str) -> None:
    _say(f"   {text}")
