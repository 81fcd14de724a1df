"""The same document for a cluster: a CronJob and what it needs, for ``kubectl apply``. Pure.

The words of the document are the CronJob's own and go there as they are. An evaluation runs from
the image of ``evaluation/Dockerfile``, which holds the notebooks, with the suite of this moment
from a ConfigMap, as a user with one right: to read the InferenceService that it evaluates. Its runs
stay on a claim. Exit statuses 1 and 2 are verdicts and fail the Job at once; only errors are
tried again. Alerts are not part of it: a pod that has ended remembers nothing, so on a cluster
Prometheus tells, by the rules in ``dashboards/schedules.rules.yaml``.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import yaml

import calumma
from calumma.evaluation.suite import Suite
from calumma.schedule.definition import RUNS, Schedule

Object = dict[str, Any]

FOLDER = PurePosixPath("/app")
"""The project's place in the image."""
_KEY = "suite.yaml"
_USER = 1000
_GRACE = 60


def objects(schedule: Schedule, suite: Suite, content: str) -> list[Object]:
    """What to apply, in order; ``content`` is that of the suite's file."""
    name = f"evaluation-{schedule.name}"
    metadata = {
        "name": name,
        "namespace": suite.namespace,
        "labels": {
            "app.kubernetes.io/name": "calumma-evaluation",
            "app.kubernetes.io/instance": schedule.name,
            "app.kubernetes.io/managed-by": "calumma",
        },
    }
    subject = {"kind": "ServiceAccount", "name": name, "namespace": suite.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "resources": ["inferenceservices"],
        "resourceNames": [suite.service],
        "verbs": ["get"],
    }
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        _object("v1", "ServiceAccount", metadata),
        _object(rbac, "Role", metadata, rules=[rule]),
        _object(rbac, "RoleBinding", metadata, roleRef=role, subjects=[subject]),
        _object("v1", "ConfigMap", metadata, data={_KEY: content}),
        _object("v1", "PersistentVolumeClaim", metadata, spec=_claim(schedule)),
        _object("batch/v1", "CronJob", metadata, spec=_cron_job(schedule, metadata)),
    ]


def text(found: list[Object]) -> str:
    """Objects as YAML documents that people can read and compare."""
    return yaml.dump_all(found, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Without anchors, and with text of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represented(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represented)


def image(schedule: Schedule) -> str:
    """The image that runs the evaluation."""
    return schedule.cluster.image or f"calumma/evaluation:{calumma.__version__}"


def _object(version: str, kind: str, metadata: Object, **content: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _claim(schedule: Schedule) -> Object:
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": schedule.cluster.storage}},
    }
    if schedule.cluster.storageClassName is not None:
        claim["storageClassName"] = schedule.cluster.storageClassName
    return claim


def _cron_job(schedule: Schedule, metadata: Object) -> Object:
    spec: Object = {
        "schedule": schedule.schedule,
        "timeZone": schedule.timeZone,
        "concurrencyPolicy": schedule.concurrencyPolicy,
        "suspend": schedule.suspend,
        "successfulJobsHistoryLimit": schedule.successfulJobsHistoryLimit,
        "failedJobsHistoryLimit": schedule.failedJobsHistoryLimit,
        "jobTemplate": {"spec": _job(schedule, metadata)},
    }
    if schedule.startingDeadlineSeconds is not None:
        spec["startingDeadlineSeconds"] = schedule.startingDeadlineSeconds
    return spec


def _job(schedule: Schedule, metadata: Object) -> Object:
    verdicts = {"containerName": "evaluate", "operator": "In", "values": [1, 2]}
    return {
        "activeDeadlineSeconds": schedule.activeDeadlineSeconds,
        "backoffLimit": schedule.backoffLimit,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": verdicts}]},
        "template": {
            "metadata": {"labels": metadata["labels"]},
            "spec": _pod(schedule, metadata["name"]),
        },
    }


def _pod(schedule: Schedule, name: str) -> Object:
    return {
        "serviceAccountName": name,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(schedule)],
        "volumes": [
            {"name": "runs", "persistentVolumeClaim": {"claimName": name}},
            {"name": "suite", "configMap": {"name": name}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(schedule: Schedule) -> Object:
    suite = {"name": "suite", "mountPath": str(FOLDER / schedule.suite), "subPath": _KEY}
    gateway = schedule.cluster.pushgateway
    return {
        "name": "evaluate",
        "image": image(schedule),
        "command": [*schedule.argv, *(("--pushgateway", gateway) if gateway else ())],
        "workingDir": str(FOLDER),
        # Jupyter and matplotlib write into the home of their user.
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "runs", "mountPath": str(FOLDER / RUNS)},
            {**suite, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
