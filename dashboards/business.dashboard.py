"""For whoever answers for the service: is it used, can users rely on it, what does it say."""

from calumma.monitoring import panels, queries

# Users meet a service and not its revisions: the revision chosen at the top is for the mix only.
WHERE, WINDOW, RANGE = panels.SERVICE, panels.WINDOW, panels.RANGE
CHOSEN = f'{WHERE},predictor_revision=~"$revision"'
SERVICE = queries.SERVICE

availability = queries.at_the_door(lambda where: queries.availability(where, RANGE), WHERE)
failing = queries.at_the_door(lambda where: queries.error_ratio(where, RANGE, SERVICE), WHERE)

usage = panels.Section(
    "Use",
    [
        panels.timeseries(
            "Requests of users",
            "Requests a second that reach each service from outside.",
            "reqps",
            {
                "{{service}}": queries.at_the_door(
                    lambda where: queries.request_rate(where, WINDOW, SERVICE), WHERE
                )
            },
            width=12,
        ),
        panels.stat(
            "Predictions",
            "Images classified in the time range that is shown.",
            "short",
            queries.prediction_count(WHERE, RANGE),
            decimals=0,
        ),
        panels.stat(
            "Estimated hours saved",
            "Predictions in the time range, times the seconds that a person would need for one "
            "(the assumption at the top: change it to yours), in hours.",
            "h",
            f"{queries.prediction_count(WHERE, RANGE)} * $seconds_saved / 3600",
            decimals=1,
        ),
    ],
)

reliability = panels.Section(
    "Reliability",
    [
        panels.stat(
            "Availability",
            "The share of users' requests in the time range that did not fail (5xx).",
            "percentunit",
            availability,
            legend="{{service}}",
            decimals=3,
            width=8,
        ),
        panels.stat(
            "Objective",
            "The availability that was promised: change it at the top.",
            "percentunit",
            "vector($objective)",
            legend="objective",
            decimals=3,
            width=8,
        ),
        panels.stat(
            "Error budget left",
            "Of the failures that the objective allows in the time range, the share not yet used. "
            "Below zero the promise is broken.",
            "percentunit",
            f"1 - ({failing}) / (1 - $objective)",
            legend="{{service}}",
            decimals=1,
            width=8,
        ),
    ],
)

quality = panels.Section(
    "What the service says",
    [
        panels.timeseries(
            "Predictions by class",
            "How often each class is the answer. A class that swells or vanishes is a reason to "
            "look at images.",
            "reqps",
            {"{{class}}": queries.predictions(WHERE, WINDOW)},
            stacked=True,
        ),
        panels.timeseries(
            "Mix of classes by model version",
            "Each class's share of the answers of each predictor revision. During a canary, two "
            "revisions that see the same traffic should give about the same mix.",
            "percentunit",
            {"{{class}} {{predictor_revision}}": queries.prediction_mix(CHOSEN, WINDOW)},
        ),
        panels.timeseries(
            "Mean confidence",
            "How sure the model is of its answers on average. It says nothing about whether they "
            "are right: only labels do.",
            "percentunit",
            {"{{service}}": queries.mean_confidence(WHERE, WINDOW)},
            maximum=1,
        ),
        panels.timeseries(
            "Answers that the model is unsure of",
            "The share of answers with a confidence of at most 0.7: candidates for a person to "
            "look at.",
            "percentunit",
            {"{{service}}": queries.low_confidence(WHERE, WINDOW)},
            maximum=1,
        ),
    ],
)

evaluated = panels.Section(
    "How good it is, by the last evaluations",
    [
        panels.timeseries(
            "Accuracy",
            "The share of right answers that `calumma evaluate` measured on labelled images, with "
            "its 95% interval. It changes with each evaluation, not with traffic.",
            "percentunit",
            {
                "{{section}} {{revision}}": queries.evaluated(WHERE, "accuracy"),
                "{{section}} {{revision}}, low": queries.evaluated(WHERE, "accuracy", "low"),
                "{{section}} {{revision}}, high": queries.evaluated(WHERE, "accuracy", "high"),
            },
            maximum=1,
        ),
        panels.stat(
            "Verdict",
            "What the gates of the suite said to each section's last evaluation: pass, fail, "
            "inconclusive (the data could not tell) or error (there was no evaluation).",
            "short",
            queries.verdicts(WHERE),
            legend="{{section}}: {{verdict}}",
            names=True,
        ),
        panels.stat(
            "Last evaluated",
            "The time since each section was last evaluated. Older than its schedule means that "
            "evaluations have stopped.",
            "s",
            queries.evaluation_age(WHERE),
            legend="{{section}}",
            decimals=0,
        ),
    ],
)

worth = panels.Section(
    "What it is worth, by the last business evaluation",
    [
        panels.timeseries(
            "Economic effect of a day",
            "What the service gains or costs a day against a person alone, by the assumptions in "
            "the suite, with its 95% interval. Below zero it costs more than it saves.",
            "short",
            {
                "{{revision}}": queries.evaluated(WHERE, "economic effect per day"),
                "{{revision}}, low": queries.evaluated(WHERE, "economic effect per day", "low"),
                "{{revision}}, high": queries.evaluated(WHERE, "economic effect per day", "high"),
            },
        ),
        panels.timeseries(
            "Missed findings in 1000 cases",
            "What is overlooked with the service's help, and by a person alone.",
            "short",
            {
                "{{metric}} {{revision}}": queries.evaluated(
                    WHERE, "missed findings per 1000(, person alone)?"
                )
            },
        ),
        panels.stat(
            "Hours saved a day",
            "Against a person alone, by the assumptions in the suite.",
            "h",
            queries.evaluated(WHERE, "hours saved per day"),
            legend="{{revision}}",
            decimals=1,
        ),
        panels.stat(
            "Break-even accuracy",
            "Below it the service costs more than it saves.",
            "percentunit",
            queries.evaluated(WHERE, "break-even accuracy"),
            legend="{{revision}}",
            decimals=3,
        ),
    ],
)

dashboard = panels.dashboard(
    "Calumma: business",
    "calumma-business",
    "Use, reliability against the objective, what the service answers, and how good that is.",
    [usage, reliability, quality, evaluated, worth],
    [
        panels.number("objective", "Availability objective", "0.99"),
        panels.number("seconds_saved", "Seconds a person needs for one", "20"),
    ],
)
