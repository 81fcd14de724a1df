"""The names by which requests are asked for, and the rules that record them, wherever they run.

The rules are one file of this package, ``vocabulary.rules.yaml``, which says where each series
comes from. The one-machine cluster's Prometheus loads it as it is; on a cluster the Prometheus
Operator takes the same groups as an object. Next: :mod:`calumma.monitoring.queries`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

FILE = "vocabulary.rules.yaml"

REQUESTS = "calumma:requests:total"
"""Requests that were answered, by ``response_code_class`` (``2xx``, ``5xx``): a counter."""
LATENCY = "calumma:latency_ms:bucket"
"""Requests by the time to their whole answer, cumulative, ``le`` in milliseconds: a counter."""
EVALUATED = "calumma:evaluated:time"
"""When the rules were evaluated: the other series are complete up to its newest sample."""

FAILED = "5xx"
"""The ``response_code_class`` of errors; 4xx are the caller's mistakes."""


def rules() -> str:
    """The rules' file, as Prometheus reads it."""
    return resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")


def prometheus_rule(name: str = "calumma-vocabulary", namespace: str = "monitoring") -> str:
    """The same groups as a ``PrometheusRule`` object, YAML for ``kubectl apply``.

    A Prometheus of the operator takes those objects that its ``ruleSelector`` matches: give the
    object the labels that yours asks for.
    """
    rule: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "calumma"},
        },
        "spec": yaml.safe_load(rules()),
    }
    return yaml.safe_dump(rule, sort_keys=False, width=100)


def write(into: Path) -> Path:
    """Write the object into a folder; its path."""
    into.mkdir(parents=True, exist_ok=True)
    path = into / "vocabulary.prometheusrule.yaml"
    path.write_text(prometheus_rule(), encoding="utf-8")
    return path
