"""Every PromQL expression, by name: notebooks and dashboards ask with the same ones.

Each takes ``where``, the label matchers that select series (see :func:`where`), the ``window``
that rates are taken over (``5m``, or Grafana's ``$__rate_interval``), and the labels ``by`` which
the answer is split. A counter that restarts from zero is seen as such, and one that is born in
the window is counted from zero: PromQL's ``increase`` alone would miss the very first errors,
whose series appears with them. A ratio has no value where its denominator saw nothing; an error
ratio is zero where there were requests and no series of errors.

Series and labels: requests and their latency by the vocabulary's ``calumma:*``
(:mod:`calumma.monitoring.vocabulary`), whoever counted them, Triton's ``nv_*``, the ``calumma_*``
of transformers, rollouts and the node, and Prometheus' own ``up``, all with ``namespace``,
``service``, ``component`` and ``revision``.
"""

from __future__ import annotations

from collections.abc import Callable

from calumma.monitoring import vocabulary

REVISION = ("revision",)
COMPONENT = ("component", "revision")
SERVICE = ("service",)


def where(**labels: str) -> str:
    """Matchers for exact label values: ``where(service="digits")`` is ``service="digits"``."""
    quoted = {
        name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        for name, value in labels.items()
    }
    return ",".join(f'{name}="{value}"' for name, value in quoted.items())


def at_the_door(query: Callable[[str], str], where: str) -> str:
    """What ``query`` says of the component that callers meet: the transformer, else the predictor.

    The query must be split by labels that are the same for both components.
    """
    doors = (f'{where},component="{component}"' for component in ("transformer", "predictor"))
    return " or ".join(f"({query(door)})" for door in doors)


def requests(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """Requests in the window, about: the edges are extrapolated from the samples inside.

    :mod:`calumma.monitoring.counting` counts exactly.
    """
    return f"sum by ({_list(by)}) ({_grown(f'{vocabulary.REQUESTS}{{{where}}}', window)})"


def errors(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """Requests in the window answered with 5xx, zero where there were requests and none failed."""
    failed = f'{vocabulary.REQUESTS}{{{where},response_code_class="{vocabulary.FAILED}"}}'
    found = f"sum by ({_list(by)}) ({_grown(failed, window)})"
    return f"({found} or 0 * {requests(where, window, by)})"


def request_rate(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """Requests a second."""
    return f"sum by ({_list(by)}) (rate({vocabulary.REQUESTS}{{{where}}}[{window}]))"


def error_ratio(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """The share of requests answered with 5xx, from 0 to 1."""
    return f"{errors(where, window, by)} / ({requests(where, window, by)} > 0)"


def availability(where: str, window: str, by: tuple[str, ...] = SERVICE) -> str:
    """The share of requests not answered with 5xx, from 0 to 1."""
    return f"1 - {error_ratio(where, window, by)}"


def latency(where: str, window: str, quantile: float, by: tuple[str, ...] = REVISION) -> str:
    """A quantile of the time to the whole answer in milliseconds, within the counter's buckets."""
    buckets = _grown(f"{vocabulary.LATENCY}{{{where}}}", window)
    return f"histogram_quantile({quantile}, sum by ({_list((*by, 'le'))}) ({buckets}))"


def share(where: str, window: str) -> str:
    """Each revision's share of its component's requests, from 0 to 1.

    ``where`` must not select revisions: the whole is all of them.
    """
    component = ("namespace", "service", "component")
    whole = f"{request_rate(where, window, component)} > 0"
    parts = request_rate(where, window, (*component, "revision"))
    return f"{parts} / on ({_list(component)}) group_left () ({whole})"


def declared_share(where: str, by: tuple[str, ...] = COMPONENT) -> str:
    """The share of its component's requests that each revision should get, from 0 to 1."""
    return f"sum by ({_list(by)}) (calumma_traffic_percent{{{where}}}) / 100"


def rollouts(where: str) -> str:
    """1 for each service's last rollout, by ``service``, ``canary`` and ``phase``."""
    phase = f"max by (namespace, service, phase) (calumma_rollout_phase{{{where}}})"
    what = f"max by (namespace, service, canary) (calumma_rollout_info{{{where}}})"
    return f"{phase} * on (namespace, service) group_left (canary) {what}"


def rollout_weight(where: str) -> str:
    """The share of the traffic that a rollout has set last, from 0 to 1."""
    return f"max by (service) (calumma_rollout_weight_percent{{{where}}}) / 100"


def rollout_metric(where: str, what: str) -> str:
    """What a rollout knows of each metric, in the metric's own unit.

    ``estimate`` is the canary's value minus stable's, positive where it is worse, between ``low``
    and ``high``; ``margin`` is by how much it may be worse.
    """
    return f"max by (service, metric) (calumma_rollout_metric_{what}{{{where}}})"


def rollout_observations(where: str) -> str:
    """What a rollout's estimate of each metric rests on, by ``arm``."""
    return f"max by (service, metric, arm) (calumma_rollout_metric_observations{{{where}}})"


def rollout_verdicts(where: str) -> str:
    """1 for what a rollout's counts say of each metric, by ``metric`` and ``verdict``."""
    return f"max by (service, metric, verdict) (calumma_rollout_metric_verdict{{{where}}})"


def active(where: str, by: tuple[str, ...] = COMPONENT) -> str:
    """Requests under way at this moment, by the one-machine cluster's gateway."""
    return f"sum by ({_list(by)}) (envoy_cluster_upstream_rq_active{{{where}}})"


def triton_queue_time(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """Mean milliseconds that a request waited in Triton for an instance or a batch."""
    return _triton_time("queue", where, window, by)


def triton_compute_time(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """Mean milliseconds of a request in the model itself."""
    return _triton_time("compute_infer", where, window, by)


def triton_input_time(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """Mean milliseconds of a request for getting its tensors to the model."""
    return _triton_time("compute_input", where, window, by)


def triton_output_time(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """Mean milliseconds of a request for getting its answer from the model."""
    return _triton_time("compute_output", where, window, by)


def triton_batch_size(where: str, window: str, by: tuple[str, ...] = REVISION) -> str:
    """Mean number of inferences that ran together."""
    count = f"sum by ({_list(by)}) (rate(nv_inference_count{{{where}}}[{window}]))"
    runs = f"sum by ({_list(by)}) (rate(nv_inference_exec_count{{{where}}}[{window}])) > 0"
    return f"{count} / ({runs})"


def triton_pending(where: str, by: tuple[str, ...] = REVISION) -> str:
    """Requests that wait in Triton at this moment."""
    return f"sum by ({_list(by)}) (nv_inference_pending_request_count{{{where}}})"


def gpu_utilisation(where: str, window: str) -> str:
    """The mean share of the GPUs' time in use, from 0 to 1, as Triton sees it."""
    return f"avg(avg_over_time(nv_gpu_utilization{{{where}}}[{window}]))"


def gpu_memory(where: str, window: str) -> str:
    """The most bytes of GPU memory in use at once, as Triton sees it."""
    return f"max(max_over_time(nv_gpu_memory_used_bytes{{{where}}}[{window}]))"


def transformer_time(part: str, where: str, window: str, by: tuple[str, ...] = SERVICE) -> str:
    """Mean milliseconds of a request in a ``part`` of its transformer, by KServe's own histograms.

    ``preprocess``, ``predict`` (which waits for the predictor) or ``postprocess``.
    """
    total = f"sum by ({_list(by)}) (rate(request_{part}_seconds_sum{{{where}}}[{window}]))"
    count = f"sum by ({_list(by)}) (rate(request_{part}_seconds_count{{{where}}}[{window}]))"
    return f"1000 * {total} / ({count} > 0)"


def machine_cpu(where: str) -> str:
    """The share of the machine's processors in use, from 0 to 1, as Triton sees it."""
    return f"max(nv_cpu_utilization{{{where}}})"


def machine_memory(where: str) -> str:
    """Bytes of the machine's memory in use, as Triton sees it."""
    return f"max(nv_cpu_memory_used_bytes{{{where}}})"


def ready(where: str) -> str:
    """1 for each pod whose metrics can be read, 0 for one that does not answer."""
    return f"min by (component, revision, pod) (up{{{where}}})"


def predictions(where: str, window: str, by: tuple[str, ...] = ("class",)) -> str:
    """Predictions a second."""
    return f"sum by ({_list(by)}) (rate(calumma_predictions_total{{{where}}}[{window}]))"


def prediction_count(where: str, window: str) -> str:
    """Predictions in the window."""
    return f"sum ({_grown(f'calumma_predictions_total{{{where}}}', window)})"


def prediction_counts(where: str, window: str) -> str:
    """Predictions in the window by class."""
    return f"sum by (class) ({_grown(f'calumma_predictions_total{{{where}}}', window)})"


def confidence_buckets(where: str, window: str) -> str:
    """Predictions in the window by the upper bound ``le`` of their confidence."""
    return f"sum by (le) ({_grown(f'calumma_prediction_confidence_bucket{{{where}}}', window)})"


def prediction_mix(where: str, window: str) -> str:
    """Each class's share of the predictions of the predictor revision that made them."""
    revision = ("predictor_revision",)
    whole = f"{predictions(where, window, revision)} > 0"
    parts = predictions(where, window, ("class", *revision))
    return f"{parts} / on (predictor_revision) group_left () ({whole})"


def mean_confidence(where: str, window: str, by: tuple[str, ...] = SERVICE) -> str:
    """The mean probability of the predicted class, from 0 to 1."""
    total = f"sum by ({_list(by)}) (rate(calumma_prediction_confidence_sum{{{where}}}[{window}]))"
    count = f"sum by ({_list(by)}) (rate(calumma_prediction_confidence_count{{{where}}}[{window}]))"
    return f"{total} / ({count} > 0)"


def low_confidence(
    where: str, window: str, threshold: str = "0.7", by: tuple[str, ...] = SERVICE
) -> str:
    """The share of predictions with a probability of at most ``threshold``, a bucket's bound."""
    bucket = f'calumma_prediction_confidence_bucket{{{where},le="{threshold}"}}'
    count = f"sum by ({_list(by)}) (rate(calumma_prediction_confidence_count{{{where}}}[{window}]))"
    return f"sum by ({_list(by)}) (rate({bucket}[{window}])) / ({count} > 0)"


def evaluated(where: str, metric: str, bound: str = "") -> str:
    """A metric of the last evaluation of each section; ``bound`` is ``low`` or ``high`` of it.

    Its name may be a regular expression, as ``where`` may have: ``accuracy|failed requests``.
    """
    name = f"calumma_evaluation_metric{bound and '_'}{bound}"
    labels = "service, section, metric, revision"
    return f'max by ({labels}) ({name}{{{where},metric=~"{metric}"}})'


def verdicts(where: str) -> str:
    """1 for the verdict of each section's last evaluation, by section and ``verdict``."""
    found = f"calumma_evaluation_verdict{{{where}}}"
    return f"max by (service, suite, section, verdict) ({found}) == 1"


def evaluation_age(where: str) -> str:
    """Seconds since each section was last evaluated."""
    found = f"calumma_evaluation_time_seconds{{{where}}}"
    return f"time() - max by (service, suite, section) ({found})"


def _triton_time(part: str, where: str, window: str, by: tuple[str, ...]) -> str:
    """Triton counts microseconds and requests; their ratio is a mean."""
    time = f"sum by ({_list(by)}) (rate(nv_inference_{part}_duration_us{{{where}}}[{window}]))"
    count = f"sum by ({_list(by)}) (rate(nv_inference_request_success{{{where}}}[{window}])) > 0"
    return f"{time} / 1000 / ({count})"


def _grown(series: str, window: str) -> str:
    """By how much counters grew in the window; one that was not there before it, from zero."""
    before = f"{series} offset {window}"
    return f"(increase({series}[{window}]) and {before}) or ({series} unless {before})"


def _list(labels: tuple[str, ...]) -> str:
    return ", ".join(labels)
