"""The vocabulary's rules, judged by Prometheus' own tools on what each source exposes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma.monitoring import queries, vocabulary

from .conftest import Promtool

RECORDED = (vocabulary.REQUESTS, vocabulary.LATENCY, vocabulary.EVALUATED)

POD = 'job="revisions",instance="10.0.0.7:9091"'
ENVOY = (
    'job="envoy",instance="127.0.0.1:20000",namespace="team",service="digits",'
    'component="predictor",revision="digits-predictor-00001"'
)
OLD = (
    f'{POD},namespace="team",namespace_name="team",service_name="digits-predictor",'
    'configuration_name="digits-predictor",revision_name="digits-predictor-00001",'
    'pod_name="p",container_name="queue-proxy"'
)
NEW = (
    f'{POD},namespace="team",pod="p",otel_scope_name="otelhttp",http_request_method="POST",'
    'server_address="digits.example"'
)
INSIDE = f'{POD},namespace="team",pod="p",otel_scope_name="knative.dev/serving/pkg/queue"'
TARGET = (
    f'target_info{{{POD},namespace="team",pod="p",k8s_namespace_name="team",service_version="1",'
    'kn_service_name="digits-predictor",kn_configuration_name="digits-predictor",'
    'kn_revision_name="digits-predictor-00001"}'
)


def normal(source: str, **more: str) -> str:
    """The labels that a series of the revision is to have."""
    scraped = ENVOY if source == "envoy" else POD
    job, instance = (part.split("=")[1].strip('"') for part in scraped.split(",")[:2])
    labels = {
        "namespace": "team",
        "service": "digits",
        "component": "predictor",
        "revision": "digits-predictor-00001",
        "job": job,
        "instance": instance,
        "source": source,
        **more,
    }
    return f"{{{queries.where(**labels)}}}"


def check(
    promtool: Promtool,
    given: Mapping[str, str],
    expected: Mapping[str, Mapping[str, float]],
) -> None:
    """Series as they come, a value each ten seconds, and all that is answered after 5 minutes."""
    tests = [
        {
            "expr": asked,
            "eval_time": "5m",
            "exp_samples": [
                {"labels": (asked if asked in RECORDED else "") + labels, "value": value}
                for labels, value in found.items()
            ],
        }
        for asked, found in expected.items()
    ]
    test: dict[str, Any] = {
        "interval": "10s",
        "input_series": [{"series": name, "values": values} for name, values in given.items()],
        "promql_expr_test": tests,
    }
    with resources.as_file(resources.files(vocabulary.__package__) / vocabulary.FILE) as path:
        content = {"rule_files": [str(path)], "evaluation_interval": "10s", "tests": [test]}
        promtool("test", "rules", content=content)


def test_prometheus_takes_them(promtool: Promtool) -> None:
    promtool("check", "rules", "--lint-fatal", content=yaml.safe_load(vocabulary.rules()))


def test_a_cluster_gets_the_same_groups(tmp_path: Path) -> None:
    rule = yaml.safe_load(vocabulary.write(tmp_path).read_text())
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(vocabulary.rules())
    (group,) = rule["spec"]["groups"]
    recorded = [each["record"] for each in group["rules"]]
    assert set(recorded) == set(RECORDED)
    # what says that everything above is complete must stand below it
    assert recorded.index(vocabulary.EVALUATED) == len(recorded) - 1


def test_envoy(promtool: Promtool) -> None:
    check(
        promtool,
        {
            f"envoy_cluster_upstream_rq_total{{{ENVOY}}}": "0+9x60",  # with attempts that failed
            f'envoy_cluster_upstream_rq_xx{{{ENVOY},envoy_response_code_class="2"}}': "0+7x60",
            f'envoy_cluster_upstream_rq_xx{{{ENVOY},envoy_response_code_class="5"}}': "_x20 1+1x39",
            f'envoy_cluster_upstream_rq_time_bucket{{{ENVOY},le="7"}}': "0+5x60",
            f'envoy_cluster_upstream_rq_time_bucket{{{ENVOY},le="10.0"}}': "0+6x60",
            f'envoy_cluster_upstream_rq_time_bucket{{{ENVOY},le="+Inf"}}': "0+7x60",
            'envoy_cluster_upstream_rq_total{job="envoy",envoy_cluster_name="admin"}': "0+1x60",
        },
        {
            vocabulary.REQUESTS: {
                normal("envoy", response_code_class="2xx"): 210,
                normal("envoy", response_code_class="5xx"): 11,
            },
            vocabulary.LATENCY: {
                normal("envoy", le="7"): 150,
                normal("envoy", le="10"): 180,
                normal("envoy", le="+Inf"): 210,
            },
        },
    )


def test_envoy_s_revisions_are_there_before_their_first_request(promtool: Promtool) -> None:
    check(
        promtool,
        {f"envoy_cluster_upstream_rq_total{{{ENVOY}}}": "_x10 0x60"},
        {vocabulary.REQUESTS: {normal("envoy", response_code_class="2xx"): 0}},
    )


def test_knative_until_1_18(promtool: Promtool) -> None:
    """Milliseconds; what differs by its tag of the route, or by its exact status, is one."""
    ok = 'response_code="200",response_code_class="2xx"'
    check(
        promtool,
        {
            f'revision_request_count{{{OLD},{ok},route_tag="DEFAULT"}}': "0+5x60",
            f'revision_request_count{{{OLD},{ok},route_tag="prev"}}': "0+2x60",
            f'revision_request_count{{{OLD},response_code_class="5xx"}}': "4x60",
            f"revision_app_request_count{{{OLD},{ok}}}": "0+6x60",
            f'revision_request_latencies_bucket{{{OLD},{ok},le="5"}}': "0+4x60",
            f'revision_request_latencies_bucket{{{OLD},{ok},le="100000"}}': "0+7x60",
            f'revision_request_latencies_bucket{{{OLD},{ok},le="+Inf"}}': "0+7x60",
            # no InferenceService's
            'revision_request_count{configuration_name="hello",response_code_class="2xx"}': "1x60",
        },
        {
            vocabulary.REQUESTS: {
                normal("knative-1.18", response_code_class="2xx"): 210,
                normal("knative-1.18", response_code_class="5xx"): 4,
            },
            vocabulary.LATENCY: {
                normal("knative-1.18", le="5"): 120,
                normal("knative-1.18", le="100000"): 210,
                normal("knative-1.18", le="+Inf"): 210,
            },
        },
    )


BOUNDS = {
    **{"0.005": "5", "0.01": "10", "0.025": "25", "0.05": "50", "0.075": "75"},
    **{"0.1": "100", "0.25": "250", "0.5": "500", "0.75": "750"},
    **{"1": "1000", "2.5": "2500", "5": "5000", "7.5": "7500", "10": "10000", "+Inf": "+Inf"},
}


@pytest.mark.parametrize("inside", ["kn_queueproxy_app", "kn_serving_invocation"])
def test_knative_since_1_19(promtool: Promtool, inside: str) -> None:
    """Seconds. What is turned away at the door is counted, and nothing is counted twice."""
    door = "http_server_request_duration_seconds"
    ok, failed = 'http_response_status_code="200"', 'http_response_status_code="504"'
    check(
        promtool,
        {
            TARGET: "1x60",
            'target_info{job="other",instance="x",service_name="other"}': "1x60",
            f"{door}_count{{{NEW},{ok}}}": "0+7x60",
            f"{door}_count{{{NEW},{failed}}}": "_x20 1+1x39",
            f'{door}_count{{job="other",instance="x",{ok}}}': "0+1x60",
            f"{inside}_duration_seconds_count{{{INSIDE},{ok}}}": "0+7x60",
            f'{inside}_duration_seconds_bucket{{{INSIDE},{ok},le="0.005"}}': "0+7x60",  # cut down
            **{
                f'{door}_bucket{{{NEW},{ok},le="{bound}"}}': f"0+{number}x60"
                for number, bound in enumerate(BOUNDS)
            },
        },
        {
            vocabulary.REQUESTS: {
                normal("knative-1.19", response_code_class="2xx"): 210,
                normal("knative-1.19", response_code_class="5xx"): 11,
            },
            vocabulary.LATENCY: {
                normal("knative-1.19", le=bound): 30 * number
                for number, bound in enumerate(BOUNDS.values())
            },
        },
    )


def test_bounds_as_openmetrics_writes_them(promtool: Promtool) -> None:
    given = {
        f'http_server_request_duration_seconds_bucket{{{NEW},le="{bound}"}}': "1x60"
        for bound in ("1.0", "10.0", "2.5")
    }
    expected = {normal("knative-1.19", le=bound): 1.0 for bound in ("1000", "10000", "2500")}
    check(promtool, {TARGET: "1x60", **given}, {vocabulary.LATENCY: expected})


def test_what_is_behind_the_door_stands_in_for_it(promtool: Promtool) -> None:
    """Where a scrape keeps only Knative's own metrics; latency was once cut to whole seconds."""
    ok = 'http_response_status_code="200"'
    for name, latency in {"kn_queueproxy_app": {}, "kn_serving_invocation": {"250": 90.0}}.items():
        check(
            promtool,
            {
                TARGET: "1x60",
                f"{name}_duration_seconds_count{{{INSIDE},{ok}}}": "0+7x60",
                f'{name}_duration_seconds_bucket{{{INSIDE},{ok},le="0.25"}}': "0+3x60",
            },
            {
                vocabulary.REQUESTS: {normal("knative-1.19", response_code_class="2xx"): 210},
                vocabulary.LATENCY: {
                    normal("knative-1.19", le=bound): each for bound, each in latency.items()
                },
            },
        )


def test_knative_s_revisions_are_there_before_their_first_request(promtool: Promtool) -> None:
    found = {normal("knative-1.19", response_code_class="2xx"): 0.0}
    check(promtool, {TARGET: "1x60"}, {vocabulary.REQUESTS: found})


@pytest.mark.parametrize(
    ("configuration", "service", "component"),
    [
        ("digits-predictor", "digits", "predictor"),
        ("a-predictor-transformer", "a-predictor", "transformer"),
        ("digits-explainer", "digits", "explainer"),
        ("digits-predictor-default", "digits", "predictor"),  # of older KServe
    ],
)
def test_a_configuration_s_name_is_service_and_component(
    promtool: Promtool, configuration: str, service: str, component: str
) -> None:
    old = OLD.replace(
        'configuration_name="digits-predictor"', f'configuration_name="{configuration}"'
    )
    new = TARGET.replace(
        'kn_configuration_name="digits-predictor"', f'kn_configuration_name="{configuration}"'
    )
    named = {"service": service, "component": component, "response_code_class": "2xx"}
    check(
        promtool,
        {f'revision_request_count{{{old},response_code_class="2xx"}}': "3x60", new: "1x60"},
        {
            vocabulary.REQUESTS: {
                normal("knative-1.18", **named): 3,
                normal("knative-1.19", **named): 0,
            }
        },
    )


def test_resets_are_of_one_instance(promtool: Promtool) -> None:
    """Two pods; one restarts after two minutes. Their sum would look like a reset of both."""
    other = OLD.replace("10.0.0.7", "10.0.0.8")
    ok = 'response_code_class="2xx"'
    check(
        promtool,
        {
            f"revision_request_count{{{OLD},{ok}}}": "0+10x12 10+10x60",
            f"revision_request_count{{{other},{ok}}}": "1000+10x73",
        },
        {
            vocabulary.REQUESTS: {
                normal("knative-1.18", response_code_class="2xx"): 180,
                normal("knative-1.18", response_code_class="2xx", instance="10.0.0.8:9091"): 1300,
            },
            queries.request_rate('service="digits"', "5m"): {
                '{revision="digits-predictor-00001"}': 2
            },
        },
    )


def test_evaluations_say_when_they_were(promtool: Promtool) -> None:
    check(promtool, {"up": "1x60"}, {vocabulary.EVALUATED: {"": 300}})
