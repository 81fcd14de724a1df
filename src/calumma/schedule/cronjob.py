"""The same document for a cluster: a CronJob and what it needs, for ``kubectl apply``. Pure.

The words of the document are the CronJob's own and go there as they are. An evaluation runs from
the image of ``evaluation/Dockerfile``, which holds the notebooks, with the suite of this moment
from a ConfigMap, as a user with one right: to read the InferenceService that it evaluates. Its runs
stay on a claim. Exit statuses 1 and 2 are verdicts and fail the Job at once; only errors are
tried again. Alerts are not part of it: a pod that has ended remembers nothing, so on a cluster
Prometheus tells, by the rules in ``dashboards/schedules.rules.yaml``.
"""

from __future__ import annotations

from calumma.evaluation import workload
from calumma.evaluation.suite import Suite
from calumma.evaluation.workload import Object
from calumma.schedule.definition import RUNS, Schedule

_KEY = "suite.yaml"
text = workload.text


def objects(schedule: Schedule, suite: Suite, content: str) -> list[Object]:
    """What to apply, in order; ``content`` is that of the suite's file."""
    name = f"evaluation-{schedule.name}"
    about = workload.metadata(name, suite.namespace, "calumma-evaluation", schedule.name)
    rule = workload.rule("serving.kserve.io", "inferenceservices", ["get"], suite.service)
    asked = schedule.cluster
    return [
        *workload.account(about, [rule]),
        workload.made("v1", "ConfigMap", about, data={_KEY: content}),
        workload.claim(about, asked.storage, asked.storageClassName),
        workload.made("batch/v1", "CronJob", about, spec=_cron_job(schedule, about)),
    ]


def image(schedule: Schedule) -> str:
    """The image that runs the evaluation."""
    return workload.image(schedule.cluster.image)


def _cron_job(schedule: Schedule, about: Object) -> Object:
    spec: Object = {
        "schedule": schedule.schedule,
        "timeZone": schedule.timeZone,
        "concurrencyPolicy": schedule.concurrencyPolicy,
        "suspend": schedule.suspend,
        "successfulJobsHistoryLimit": schedule.successfulJobsHistoryLimit,
        "failedJobsHistoryLimit": schedule.failedJobsHistoryLimit,
        "jobTemplate": {"spec": _job(schedule, about)},
    }
    if schedule.startingDeadlineSeconds is not None:
        spec["startingDeadlineSeconds"] = schedule.startingDeadlineSeconds
    return spec


def _job(schedule: Schedule, about: Object) -> Object:
    gateway = schedule.cluster.pushgateway
    command = (*schedule.argv, *(("--pushgateway", gateway) if gateway else ()))
    suite = workload.File(_KEY, workload.FOLDER / schedule.suite)
    container = workload.container("evaluate", image(schedule), command, RUNS, suite)
    verdicts = {"containerName": "evaluate", "operator": "In", "values": [1, 2]}
    return {
        "activeDeadlineSeconds": schedule.activeDeadlineSeconds,
        "backoffLimit": schedule.backoffLimit,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": verdicts}]},
        "template": workload.pod(about, [container], suite, restart="Never"),
    }
