"""For whoever runs a service: does it answer, how fast, who answers, and what is it busy with."""

from calumma.monitoring import panels, queries

WHERE, WINDOW = panels.WHERE, panels.WINDOW
BOTH = queries.COMPONENT
LEGEND = "{{component}} {{revision}}"

answers = panels.Section(
    "Answers",
    [
        panels.timeseries(
            "Requests a second",
            "Requests to each revision. A request to a service with a transformer counts twice: "
            "once for the transformer and once for the predictor behind it.",
            "reqps",
            {LEGEND: queries.request_rate(WHERE, WINDOW, BOTH)},
        ),
        panels.timeseries(
            "Errors",
            "The share of requests answered with 5xx. Answers with 4xx are the caller's mistakes "
            "and do not count.",
            "percentunit",
            {LEGEND: queries.error_ratio(WHERE, WINDOW, BOTH)},
        ),
        panels.timeseries(
            "Latency, median and 95th percentile",
            "Time to the whole answer as who counts it sees it, estimated within its buckets.",
            "ms",
            {
                f"{LEGEND} p50": queries.latency(WHERE, WINDOW, 0.5, BOTH),
                f"{LEGEND} p95": queries.latency(WHERE, WINDOW, 0.95, BOTH),
            },
        ),
        panels.timeseries(
            "Requests under way",
            "Requests that the gateway waits for. A number that only grows means that more comes "
            "in than can be answered.",
            "short",
            {LEGEND: queries.active(WHERE)},
        ),
    ],
)

rollout = panels.Section(
    "Rollout",
    [
        panels.timeseries(
            "Share of the traffic",
            "The share of its component's requests that each revision really got.",
            "percentunit",
            {LEGEND: queries.share(panels.SERVICE, WINDOW)},
            stacked=True,
            maximum=1,
            width=8,
        ),
        panels.timeseries(
            "Declared share",
            "The share that each revision should get: canaryTrafficPercent, once the gateway has "
            "taken it over. The panel beside it should show the same.",
            "percentunit",
            {LEGEND: queries.declared_share(panels.SERVICE)},
            stacked=True,
            maximum=1,
            width=8,
        ),
        panels.stat(
            "Pods that answer",
            "1 for a pod whose metrics can be read, 0 for one that does not answer.",
            "short",
            queries.ready(WHERE),
            legend=LEGEND,
            width=12,
            decimals=0,
        ),
    ],
)

METRIC = "{{service}} {{metric}}"
rollouts = panels.Section(
    "Decisions of rollouts",
    [
        panels.stat(
            "Rollouts",
            "What is or was rolled out last, and where that is. Paused waits for a person.",
            "short",
            queries.rollouts(panels.SERVICE),
            legend="{{service}}, {{canary}}: {{phase}}",
            width=12,
            names=True,
        ),
        panels.stat(
            "Verdicts so far",
            "What the counts show of each metric, however often somebody has looked: worse, not "
            "worse by more than the margin, or unclear yet.",
            "short",
            queries.rollout_verdicts(panels.SERVICE),
            legend="{{service}} {{metric}}: {{verdict}}",
            width=12,
            names=True,
        ),
        panels.timeseries(
            "Difference of each metric, its bounds and the margin",
            "The canary's value minus stable's, in the metric's own unit: above zero it is worse. "
            "It is shown to be fine once its upper bound is below the margin, and to be worse once "
            "its lower bound is above zero.",
            "short",
            {
                METRIC: queries.rollout_metric(panels.SERVICE, "estimate"),
                f"{METRIC}, low": queries.rollout_metric(panels.SERVICE, "low"),
                f"{METRIC}, high": queries.rollout_metric(panels.SERVICE, "high"),
                f"{METRIC}, margin": queries.rollout_metric(panels.SERVICE, "margin"),
            },
            minimum=None,
        ),
        panels.timeseries(
            "Share that was set",
            "The canary's share of the traffic, step by step.",
            "percentunit",
            {"{{service}}": queries.rollout_weight(panels.SERVICE)},
            width=6,
            maximum=1,
        ),
        panels.timeseries(
            "Observations",
            "How many requests, pairs or labels each metric rests on.",
            "short",
            {f"{METRIC} {{{{arm}}}}": queries.rollout_observations(panels.SERVICE)},
            width=6,
        ),
    ],
)

triton = panels.Section(
    "Triton",
    [
        panels.timeseries(
            "Waiting and computing",
            "Mean time of a request in Triton's queue and in the model. Waiting that grows while "
            "computing stays means too few instances.",
            "ms",
            {
                "{{revision}} queue": queries.triton_queue_time(WHERE, WINDOW),
                "{{revision}} compute": queries.triton_compute_time(WHERE, WINDOW),
            },
        ),
        panels.timeseries(
            "Requests waiting",
            "Requests that wait in Triton for a free instance or to be batched.",
            "short",
            {"{{revision}}": queries.triton_pending(WHERE)},
        ),
        panels.timeseries(
            "Batch size",
            "Mean number of inferences that ran together. 1 means that dynamic batching finds "
            "nothing to batch.",
            "short",
            {"{{revision}}": queries.triton_batch_size(WHERE, WINDOW)},
        ),
        panels.timeseries(
            "Processors of the machine",
            "The share of all processors that is in use, by whatever program.",
            "percentunit",
            {"in use": queries.machine_cpu(WHERE)},
            width=6,
            maximum=1,
        ),
        panels.timeseries(
            "Memory of the machine",
            "Memory that is in use, by whatever program.",
            "bytes",
            {"in use": queries.machine_memory(WHERE)},
            width=6,
        ),
    ],
)

dashboard = panels.dashboard(
    "Calumma: technical",
    "calumma-technical",
    "Requests, errors, latency, the split between revisions, rollouts, and Triton's work.",
    [answers, rollout, rollouts, triton],
)
