"""A rollout's process on a cluster: a Job and what it needs, for ``kubectl apply``. Pure.

It runs from the image of ``evaluation/Dockerfile``, which holds the notebooks of gates and
evidence, with the policy of this moment from a ConfigMap. Its rights are those of a rollout of this
one service: to read and patch the InferenceService, to keep the ConfigMap with its state
(Kubernetes cannot bind a right to create to a name) and to record Events. A process that ended is
started again and goes on where the last one was; evidence stays on a claim. With a new model an
init container begins the rollout first. Variables that the policy names for secrets come from a
Secret with the Job's name.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from calumma.cluster.objects import child_name
from calumma.evaluation import workload
from calumma.evaluation.workload import Object
from calumma.rollout import names
from calumma.rollout.policy import Policy
from calumma.schedule.definition import RUNS, Secret

text = workload.text

_FILE = workload.File("policy.yaml", workload.FOLDER / "rollout/policy.yaml")
_RETRIES = 20


def name_of(service: str) -> str:
    """The name of the Job and of all that belongs to it."""
    return child_name(names.config_map(service), "-driver")


def objects(
    policy: Policy,
    to: str | None = None,
    *,
    image: str | None = None,
    storage: str = "1Gi",
    storage_class: str | None = None,
) -> list[Object]:
    """What to apply, in order.

    ``to`` is the new model's storageUri; without it the Job carries out what was begun, or what
    the annotation ``rollout.calumma.dev/policy`` asks for. ``storage`` is the size of the claim.
    """
    service, name = policy.service, name_of(policy.service)
    about = workload.metadata(name, policy.namespace, "calumma-rollout", service)
    there = policy.model_copy(update={"project": str(workload.FOLDER)})
    content = yaml.safe_dump(
        there.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True
    )
    job = {"backoffLimit": _RETRIES, "template": _pod(policy, about, to, workload.image(image))}
    return [
        *workload.account(about, _rights(service, name)),
        workload.made("v1", "ConfigMap", about, data={_FILE.key: content}),
        workload.claim(about, storage, storage_class),
        workload.made("batch/v1", "Job", about, spec=job),
    ]


def _rights(service: str, name: str) -> list[Object]:
    return [
        workload.rule("serving.kserve.io", "inferenceservices", ["get", "patch"], service),
        workload.rule("", "configmaps", ["get", "update", "patch"], names.config_map(service)),
        workload.rule("", "configmaps", ["get"], name),
        workload.rule("", "configmaps", ["create"]),
        workload.rule("", "events", ["create", "get", "patch"]),
    ]


def _pod(policy: Policy, about: Object, to: str | None, image: str) -> Object:
    secret = about["name"]
    service = ("--service", policy.service, "--namespace", policy.namespace)
    drive = ("python", "-m", "calumma.rollout", *service, "--once-ended")
    driver = workload.container("rollout", image, drive, RUNS, _FILE)
    driver["env"] += [
        {"name": each, "valueFrom": {"secretKeyRef": {"name": secret, "key": each}}}
        for each in sorted(set(_variables(policy)))
    ]
    before = []
    if to is not None:
        start = ("calumma", "rollout", "start", str(_FILE.path), "--to", to)
        before.append(workload.container("begin", image, start, RUNS, _FILE))
    return workload.pod(about, [driver], _FILE, restart="OnFailure", before=before)


def _variables(policy: Policy) -> Iterator[str]:
    """The variables of the environment in which the policy has secrets."""
    alerts, gates = policy.notify, [gate for step in policy.steps for gate in step.gates]
    secrets: list[Secret | None] = [gate.webhook for gate in gates]
    if alerts is not None:
        secrets += [alerts.webhook, alerts.command]
    for secret in secrets:
        if secret is not None and secret.environment is not None:
            yield secret.environment
