"""What the queries answer, told by promtool: counts, resets, silence, and the first error."""

from __future__ import annotations

from typing import Any

from calumma.monitoring import queries, vocabulary

from .conftest import Promtool

WHERE = queries.where(namespace="default", service="digits", component="predictor")


def series(name: str, values: str, revision: str = "r1", **more: str) -> dict[str, str]:
    labels = {
        "namespace": "default",
        "service": "digits",
        "component": "predictor",
        "revision": revision,
        **more,
    }
    return {"series": f"{name}{{{queries.where(**labels)}}}", "values": values}


def answers(expression: str, **revisions: float) -> dict[str, Any]:
    """At ten minutes, exactly these revisions have these values."""
    samples = [
        {"labels": f'{{revision="{revision}"}}', "value": value}
        for revision, value in revisions.items()
    ]
    return {"expr": expression, "eval_time": "10m", "exp_samples": samples}


TIME = vocabulary.LATENCY


def requests(values: str, revision: str = "r1", code: str = "2xx", **more: str) -> dict[str, str]:
    return series(vocabulary.REQUESTS, values, revision, response_code_class=code, **more)


# r1 gets 2 requests a second, r2 half of one, r3 was busy and is silent since five minutes.
TRAFFIC = [
    requests("0+20x60"),
    requests("0+5x60", "r2"),
    requests("0+50x29 1450x30", "r3"),
    requests("0+1000x60", "t1", component="transformer"),
]


def check(promtool: Promtool, given: list[dict[str, str]], *expected: dict[str, Any]) -> None:
    test = {"interval": "10s", "input_series": given, "promql_expr_test": list(expected)}
    promtool("test", "rules", content={"rule_files": [], "tests": [test]})


def test_rates_and_counts_are_by_revision_and_only_of_the_component(promtool: Promtool) -> None:
    check(
        promtool,
        TRAFFIC,
        answers(queries.request_rate(WHERE, "1m"), r1=2, r2=0.5, r3=0),
        answers(queries.requests(WHERE, "2m"), r1=240, r2=60, r3=0),
    )


def test_a_counter_that_restarts_from_zero_is_not_negative(promtool: Promtool) -> None:
    check(
        promtool,
        [requests("0+20x29 20+20x30")],
        answers(queries.request_rate(WHERE, "10m"), r1=2),
    )


def test_errors_whose_series_appears_with_them_are_counted(promtool: Promtool) -> None:
    """Thirty errors within one scrape, two minutes ago; r2 failed before the window began."""
    given = [
        *TRAFFIC,
        requests("_x48 30x12", code="5xx"),
        requests("7x60", "r2", code="5xx"),
    ]
    check(promtool, given, answers(queries.errors(WHERE, "5m"), r1=30, r2=0, r3=0))


def test_errors_are_zero_with_traffic_and_no_value_without(promtool: Promtool) -> None:
    """r1 fails one in four, r2 never failed and has no series of errors, r3 is silent."""
    given = [
        requests("0+5x60", code="5xx"),
        requests("0+15x60"),
        *TRAFFIC[1:],
    ]
    check(
        promtool,
        given,
        answers(queries.error_ratio(WHERE, "2m"), r1=0.25, r2=0),
        answers(queries.errors(WHERE, "2m"), r1=60, r2=0, r3=0),
        answers(queries.availability(WHERE, "2m", queries.REVISION), r1=0.75, r2=1),
    )


def test_a_share_is_of_the_component(promtool: Promtool) -> None:
    labels = 'component="predictor",namespace="default",service="digits"'
    everything = {
        "expr": queries.share(WHERE, "1m"),
        "eval_time": "10m",
        "exp_samples": [
            {"labels": f'{{{labels},revision="r1"}}', "value": 0.8},
            {"labels": f'{{{labels},revision="r2"}}', "value": 0.2},
            {"labels": f'{{{labels},revision="r3"}}', "value": 0},
        ],
    }
    check(promtool, TRAFFIC, everything)


def test_a_quantile_is_within_its_bucket_and_silence_has_none(promtool: Promtool) -> None:
    given = [
        series(TIME, "0+50x60", le="10"),
        series(TIME, "0+90x60", le="20"),
        series(TIME, "0+100x60", le="+Inf"),
        series(TIME, "100x60", "r3", le="10"),
        series(TIME, "100x60", "r3", le="+Inf"),
    ]
    check(
        promtool,
        given,
        answers(f"{queries.latency(WHERE, '1m', 0.5)} >= 0", r1=10),
        answers(f"{queries.latency(WHERE, '1m', 0.7)} >= 0", r1=15),
    )


def test_triton_times_are_means_of_a_request_in_milliseconds(promtool: Promtool) -> None:
    """r1: 10 requests in 5 runs each 10 s, queueing 2 ms and computing 3 ms; r3 is idle."""
    given = [
        series("nv_inference_request_success", "0+10x60"),
        series("nv_inference_count", "0+10x60"),
        series("nv_inference_exec_count", "0+5x60"),
        series("nv_inference_queue_duration_us", "0+20000x60"),
        series("nv_inference_compute_infer_duration_us", "0+30000x60"),
        series("nv_inference_request_success", "7x60", "r3"),
        series("nv_inference_count", "7x60", "r3"),
        series("nv_inference_exec_count", "7x60", "r3"),
        series("nv_inference_queue_duration_us", "500x60", "r3"),
    ]
    check(
        promtool,
        given,
        answers(queries.triton_queue_time(WHERE, "1m"), r1=2),
        answers(queries.triton_compute_time(WHERE, "1m"), r1=3),
        answers(queries.triton_batch_size(WHERE, "1m"), r1=2),
    )


def test_the_parts_of_a_request_s_time_and_the_gpu(promtool: Promtool) -> None:
    """Each 10 s 10 requests: 1 ms in, 2 ms out, 6.25 ms before it; the GPU is often busy."""
    given = [
        series("nv_inference_request_success", "0+10x60"),
        series("nv_inference_compute_input_duration_us", "0+10000x60"),
        series("nv_inference_compute_output_duration_us", "0+20000x60"),
        series("request_preprocess_seconds_sum", "0+0.0625x60", "t1", component="transformer"),
        series("request_preprocess_seconds_count", "0+10x60", "t1", component="transformer"),
        series("nv_gpu_utilization", "0 1 0 1 0 1 0 1 0 1x51", gpu_uuid="a"),
        series("nv_gpu_memory_used_bytes", "100x59 300", gpu_uuid="a"),
    ]
    transformer = WHERE.replace("predictor", "transformer")
    check(
        promtool,
        given,
        answers(queries.triton_input_time(WHERE, "1m"), r1=1),
        answers(queries.triton_output_time(WHERE, "1m"), r1=2),
        answers(
            queries.transformer_time("preprocess", transformer, "1m", queries.REVISION), t1=6.25
        ),
        {
            "expr": queries.gpu_memory(WHERE, "1m"),
            "eval_time": "10m",
            "exp_samples": [{"labels": "{}", "value": 300}],
        },
        {
            "expr": queries.gpu_utilisation(WHERE, "40s"),
            "eval_time": "70s",
            "exp_samples": [{"labels": "{}", "value": 0.6}],
        },
    )


def test_users_meet_the_transformer_where_there_is_one(promtool: Promtool) -> None:
    given = [
        *TRAFFIC,
        requests("0+40x60", service="plain"),
    ]
    where = queries.where(namespace="default")
    expression = queries.at_the_door(
        lambda door: queries.request_rate(door, "1m", queries.SERVICE), where
    )
    samples = [
        {"labels": '{service="digits"}', "value": 100},
        {"labels": '{service="plain"}', "value": 4},
    ]
    check(
        promtool,
        given,
        {"expr": expression, "eval_time": "10m", "exp_samples": samples},
    )


def test_confidence_and_mix_have_no_value_where_nothing_was_predicted(promtool: Promtool) -> None:
    where = queries.where(namespace="default", service="digits")
    confidence = "calumma_prediction_confidence"
    mix = {"model_name": "digits", "predictor_revision": "p1"}
    given = [
        series(f"{confidence}_sum", "0+8x60"),
        series(f"{confidence}_count", "0+10x60"),
        series(f"{confidence}_bucket", "0+3x60", le="0.7"),
        series(f"{confidence}_sum", "5x60", service="idle"),
        series(f"{confidence}_count", "9x60", service="idle"),
        series("calumma_predictions_total", "0+9x60", **mix, **{"class": "7"}),
        series("calumma_predictions_total", "0+1x60", **mix, **{"class": "8"}),
    ]
    digits = '{service="digits"}'
    check(
        promtool,
        given,
        {
            "expr": queries.mean_confidence('namespace="default"', "1m"),
            "eval_time": "10m",
            "exp_samples": [{"labels": digits, "value": 0.8}],
        },
        {
            "expr": queries.low_confidence(where, "1m"),
            "eval_time": "10m",
            "exp_samples": [{"labels": digits, "value": 0.3}],
        },
        {
            "expr": queries.prediction_mix(where, "1m"),
            "eval_time": "10m",
            "exp_samples": [
                {"labels": '{class="7",predictor_revision="p1"}', "value": 0.9},
                {"labels": '{class="8",predictor_revision="p1"}', "value": 0.1},
            ],
        },
    )


def test_what_evaluations_said_is_by_section_and_metric(promtool: Promtool) -> None:
    """An evaluation an hour ago, and one that failed to be one; other services are not shown."""
    name, labels = "calumma_evaluation", {"suite": "s", "section": "offline"}
    metric = {**labels, "metric": "accuracy"}
    given = [
        series(f"{name}_metric", "0.9x60", **metric),
        series(f"{name}_metric", "0.8x60", service="other", **metric),
        series(f"{name}_metric", "0.1x60", **{**metric, "metric": "accuracy of v1"}),
        series(f"{name}_metric_low", "0.88x60", **metric),
        series(f"{name}_verdict", "0x60", **labels, verdict="pass"),
        series(f"{name}_verdict", "1x60", **labels, verdict="fail"),
        series(f"{name}_time_seconds", "-3000x60", **labels),
    ]
    where = queries.where(namespace="default", service="digits")
    accuracy = '{metric="accuracy",revision="r1",section="offline",service="digits"}'
    section = 'section="offline",service="digits",suite="s"'
    expected = [
        (queries.evaluated(where, "accuracy"), accuracy, 0.9),
        (queries.evaluated(where, "accuracy", "low"), accuracy, 0.88),
        (queries.verdicts(where), f'{{{section},verdict="fail"}}', 1),
        (queries.evaluation_age(where), f"{{{section}}}", 3600),
    ]
    check(
        promtool,
        given,
        *(
            {"expr": query, "eval_time": "10m", "exp_samples": [{"labels": of, "value": value}]}
            for query, of, value in expected
        ),
    )


def test_label_values_are_quoted() -> None:
    assert queries.where(service='a"b\\c\n') == r'service="a\"b\\c\n"'


def test_what_rollouts_say(promtool: Promtool) -> None:
    """A rollout of one service, and an older one of another; of the latter no bound is known."""
    where = queries.where(namespace="default")

    def told(name: str, value: str, service: str = "digits", **more: str) -> dict[str, str]:
        labels = queries.where(namespace="default", service=service, **more)
        return {"series": f"calumma_rollout_{name}{{{labels}}}", "values": f"{value}x60"}

    given = [
        told("phase", "1", phase="Progressing"),
        told("info", "1", canary="digits-predictor-00002", rollout="digits-1"),
        told("phase", "1", "faces", phase="Promoted"),
        told("info", "1", "faces", canary="faces-predictor-00009", rollout="faces-1"),
        told("weight_percent", "10"),
        told("metric_low", "-0.25", metric="errors", unit=""),
        told("metric_margin", "0.5", metric="errors", unit=""),
        told("metric_margin", "0.5", "faces", metric="errors", unit=""),
        told("metric_observations", "7", metric="errors", arm="canary", unit=""),
        told("metric_verdict", "1", metric="errors", verdict="unclear"),
    ]
    digits, faces = 'service="digits"', 'service="faces"'
    expected: dict[str, dict[str, float]] = {
        queries.rollouts(where): {
            f'namespace="default",{digits},canary="digits-predictor-00002",phase="Progressing"': 1,
            f'namespace="default",{faces},canary="faces-predictor-00009",phase="Promoted"': 1,
        },
        queries.rollout_weight(where): {digits: 0.1},
        queries.rollout_metric(where, "low"): {f'{digits},metric="errors"': -0.25},
        queries.rollout_metric(where, "margin"): {
            f'{digits},metric="errors"': 0.5,
            f'{faces},metric="errors"': 0.5,
        },
        queries.rollout_observations(where): {f'{digits},metric="errors",arm="canary"': 7},
        queries.rollout_verdicts(where): {f'{digits},metric="errors",verdict="unclear"': 1},
    }
    check(
        promtool,
        given,
        *(
            {
                "expr": expression,
                "eval_time": "10m",
                "exp_samples": [
                    {"labels": f"{{{labels}}}", "value": value} for labels, value in found.items()
                ],
            }
            for expression, found in expected.items()
        ),
    )
