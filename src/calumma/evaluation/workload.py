"""What runs from the image of ``evaluation/Dockerfile`` on a cluster: its Kubernetes objects. Pure.

A schedule's CronJob and a rollout's Job are made of the same parts: a ServiceAccount with the least
rights, a claim that keeps what is left behind, and a pod without privileges on a read-only root.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

import calumma

Object = dict[str, Any]

FOLDER = PurePosixPath("/app")
"""The project's place in the image."""
_RBAC = "rbac.authorization.k8s.io"
_USER = 1000
_GRACE = 60


class File(NamedTuple):
    """A key of the workload's ConfigMap, and the path in the image at which it is read."""

    key: str
    path: PurePosixPath

    @property
    def volume(self) -> str:
        """The name of its volume."""
        return self.key.partition(".")[0]


def image(named: str | None = None) -> str:
    """The image: the one that is named, else Calumma's of this version."""
    return named or f"calumma/evaluation:{calumma.__version__}"


def metadata(name: str, namespace: str, application: str, instance: str) -> Object:
    """The metadata of all objects of one workload."""
    return {
        "name": name,
        "namespace": namespace,
        "labels": {
            "app.kubernetes.io/name": application,
            "app.kubernetes.io/instance": instance,
            "app.kubernetes.io/managed-by": "calumma",
        },
    }


def made(version: str, kind: str, about: Object, **content: Any) -> Object:
    """One object."""
    return {"apiVersion": version, "kind": kind, "metadata": about, **content}


def account(about: Object, rules: Sequence[Object]) -> list[Object]:
    """A ServiceAccount with these rights, in its namespace."""
    subject = {key: about[key] for key in ("name", "namespace")} | {"kind": "ServiceAccount"}
    role = {"apiGroup": _RBAC, "kind": "Role", "name": about["name"]}
    version = f"{_RBAC}/v1"
    return [
        made("v1", "ServiceAccount", about),
        made(version, "Role", about, rules=list(rules)),
        made(version, "RoleBinding", about, roleRef=role, subjects=[subject]),
    ]


def rule(group: str, resource: str, verbs: Sequence[str], *names: str) -> Object:
    """A right to do something with objects of a kind, only with those of these names if any."""
    found: Object = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return {**found, "resourceNames": list(names)} if names else found


def claim(about: Object, size: str, storage_class: str | None) -> Object:
    """What keeps files."""
    spec: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return made("v1", "PersistentVolumeClaim", about, spec=spec)


def pod(
    about: Object,
    containers: Sequence[Object],
    given: File,
    *,
    restart: str,
    before: Sequence[Object] = (),
) -> Object:
    """A pod template with the volumes of :func:`container`; ``before`` are init containers."""
    name = about["name"]
    spec: Object = {
        "serviceAccountName": name,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": list(containers),
        "volumes": [
            {"name": "runs", "persistentVolumeClaim": {"claimName": name}},
            {"name": given.volume, "configMap": {"name": name}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    if before:
        spec["initContainers"] = list(before)
    return {"metadata": {"labels": about["labels"]}, "spec": spec}


def container(name: str, image: str, command: Sequence[str], runs: str, given: File) -> Object:
    """A container of such a pod; ``runs`` is the folder in the project that the claim keeps."""
    return {
        "name": name,
        "image": image,
        "command": list(command),
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
            {"name": "runs", "mountPath": str(FOLDER / runs)},
            {
                "name": given.volume,
                "mountPath": str(given.path),
                "subPath": given.key,
                "readOnly": True,
            },
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def text(found: Sequence[Object]) -> str:
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
