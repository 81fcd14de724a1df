"""Prometheus' configuration, whole, and its targets."""

from __future__ import annotations

from pathlib import Path

import yaml

from calumma.cluster.programs import prometheus

GOLDEN = Path(__file__).parent / "golden"
DIRECTORY = Path("/calumma/prometheus")


def test_the_configuration() -> None:
    found = prometheus.configuration(DIRECTORY, envoy=20000, node=20001, rules="/p/*.rules.yaml")
    assert found == yaml.safe_load((GOLDEN / "prometheus.yaml").read_text())


def test_targets_carry_what_they_are() -> None:
    target = prometheus.Target(
        20002, "default", "digits", "predictor", "digits-predictor-00001", "p"
    )
    assert prometheus.targets([target]) == [
        {
            "targets": ["127.0.0.1:20002"],
            "labels": {
                "namespace": "default",
                "service": "digits",
                "component": "predictor",
                "revision": "digits-predictor-00001",
                "pod": "p",
            },
        }
    ]


def test_it_listens_on_loopback_alone() -> None:
    made = prometheus.program(Path("/usr/bin/prometheus"), DIRECTORY, 9095)
    assert "--web.listen-address=127.0.0.1:9095" in made.argv
