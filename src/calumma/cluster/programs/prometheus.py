"""Prometheus: its command line, its configuration, and the targets it scrapes.

Every series carries the labels by which people ask: ``namespace``, ``service`` (the
InferenceService), ``component``, ``revision`` and ``pod``. Triton and the transformers are listed
in a file that the node rewrites; Envoy's clusters carry the first four in their name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calumma.cluster.programs import program as programs

CONFIGURATION = "prometheus.yml"
VOCABULARY = "vocabulary.rules.yaml"
TARGETS = "targets.json"
SCRAPE_SECONDS = 2


@dataclass(frozen=True)
class Target:
    """A container with metrics at a loopback port."""

    port: int
    namespace: str
    service: str
    component: str
    revision: str
    pod: str


def program(binary: Path, directory: Path, port: int) -> programs.Program:
    """The Prometheus process: loopback only, two days of data."""
    argv = (
        str(binary),
        f"--config.file={directory / CONFIGURATION}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=2d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    return programs.Program(argv, {}, directory)


def configuration(directory: Path, *, envoy: int, node: int, rules: str) -> dict[str, Any]:
    """The configuration file's content; ``envoy`` and ``node`` are the ports of their metrics.

    ``rules`` is a pattern of files with alert rules, of which there need be none; the rules of the
    vocabulary lie in the directory. They are evaluated as often as is scraped, so that what they
    record is at most two intervals old.
    """
    labels = ("namespace", "service", "component", "revision")
    relabel = [
        {
            "source_labels": ["envoy_cluster_name"],
            "regex": "([^/]+)/([^/]+)/([^/]+)/(.+)",
            "target_label": label,
            "replacement": f"${place}",
        }
        for place, label in enumerate(labels, start=1)
    ]
    return {
        "global": {
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "scrape_timeout": f"{SCRAPE_SECONDS}s",
            "evaluation_interval": f"{SCRAPE_SECONDS}s",
        },
        "rule_files": [str(directory / VOCABULARY), rules],
        "scrape_configs": [
            {
                "job_name": "pods",
                "file_sd_configs": [
                    {"files": [str(directory / TARGETS)], "refresh_interval": "5s"}
                ],
            },
            {
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [f"127.0.0.1:{envoy}"]}],
                "metric_relabel_configs": relabel,
            },
            {"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{node}"]}]},
        ],
    }


def targets(wanted: Iterable[Target]) -> list[Mapping[str, Any]]:
    """The content of the targets' file."""
    return [
        {
            "targets": [f"127.0.0.1:{each.port}"],
            "labels": {
                "namespace": each.namespace,
                "service": each.service,
                "component": each.component,
                "revision": each.revision,
                "pod": each.pod,
            },
        }
        for each in wanted
    ]
