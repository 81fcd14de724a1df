"""What a person does with kubectl, with the real kubectl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support.api_server import KUBECTL, ApiServer, Object, config_map, isvc, pod, write_log

Kubectl = Callable[..., str]


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_apply_get_diff_edit_and_delete(kubectl: Kubectl, tmp_path: Path) -> None:
    path = tmp_path / "isvc.yaml"
    path.write_text(yaml.safe_dump(isvc("digits")))
    made = kubectl("apply", "-f", str(path))
    assert made == "inferenceservice.serving.kserve.io/digits created\n"
    assert kubectl("diff", "-f", str(path)) == ""
    same = kubectl("apply", "-f", str(path))
    assert same == "inferenceservice.serving.kserve.io/digits unchanged\n"
    path.write_text(yaml.safe_dump(isvc("digits", minReplicas=2)))
    assert kubectl("diff", "-f", str(path), fails=True) == ""
    changed = kubectl("apply", "-f", str(path))
    assert changed == "inferenceservice.serving.kserve.io/digits configured\n"
    header, row = lines(kubectl("get", "isvc"))
    assert header[:3] == ["NAME", "URL", "READY"]
    assert row[0] == "digits"
    assert kubectl("get", "isvc", "digits", "-o", "jsonpath={.spec.predictor.minReplicas}") == "2"
    assert "Min Replicas:  2" in kubectl("describe", "isvc", "digits")
    gone = kubectl("delete", "-f", str(path))
    assert gone.startswith('inferenceservice.serving.kserve.io "digits" deleted')
    assert kubectl("get", "isvc", "digits", fails=True) == (
        'Error from server (NotFound): inferenceservices.serving.kserve.io "digits" not found\n'
    )


def test_server_side_apply_takes_over_from_client_side_apply(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", document=config_map("a", {"x": "1"}))
    taken = kubectl("apply", "--server-side", "-f", "-", document=config_map("a", {"x": "2"}))
    assert taken == "configmap/a serverside-applied\n"
    found = json.loads(kubectl("get", "cm", "a", "-o", "json", "--show-managed-fields"))
    managers = [(each["manager"], each["operation"]) for each in found["metadata"]["managedFields"]]
    assert set(managers) == {("kubectl", "Apply"), ("kubectl-last-applied", "Apply")}
    back = kubectl("apply", "-f", "-", document=config_map("a", {"x": "3"}))
    assert back == "configmap/a configured\n"


def test_objects_that_kubectl_creates_as_protobuf(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl("create", "configmap", "c", "--from-literal=a=b") == "configmap/c created\n"
    assert kubectl("create", "secret", "generic", "s", "--from-literal=a=b") == "secret/s created\n"
    assert kubectl("create", "serviceaccount", "bot") == "serviceaccount/bot created\n"
    made = kubectl("create", "namespace", f"{namespace}-more")
    assert made == f"namespace/{namespace}-more created\n"
    found = json.loads(kubectl("get", "cm/c", "secret/s", "sa/bot", "-o", "json"))["items"]
    assert [item.get("data") for item in found] == [{"a": "b"}, {"a": "Yg=="}, None]
    assert kubectl("delete", "ns", f"{namespace}-more").startswith("namespace ")


def test_label_annotate_and_patch(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "c", "--from-literal=a=b")
    assert kubectl("label", "cm", "c", "team=x") == "configmap/c labeled\n"
    assert kubectl("annotate", "cm", "c", "note=y") == "configmap/c annotated\n"
    assert kubectl("patch", "cm", "c", "-p", '{"data":{"a":"z"}}') == "configmap/c patched\n"
    again = kubectl("patch", "cm", "c", "-p", '{"data":{"a":"z"}}')
    assert again == "configmap/c patched (no change)\n"
    found = json.loads(kubectl("get", "cm", "-l", "team=x", "-o", "json"))["items"]
    assert [item["data"] for item in found] == [{"a": "z"}]


def test_strict_fields(kubectl: Kubectl) -> None:
    wrong = isvc("digits", colour="green")
    refused = kubectl("apply", "-f", "-", document=wrong, fails=True)
    assert 'unknown field "spec.predictor.colour"' in refused
    bad = isvc("digits", minReplicas="two")
    text = kubectl("apply", "--validate=false", "-f", "-", document=bad, fails=True)
    assert text.startswith('The InferenceService "digits" is invalid: spec.predictor.minReplicas')


def test_explain_knows_the_fields(kubectl: Kubectl) -> None:
    text = kubectl("explain", "isvc.spec.predictor.canaryTrafficPercent")
    assert "FIELD: canaryTrafficPercent <integer>" in text
    assert "name\t<string> -required-" in kubectl("explain", "cm.metadata.ownerReferences")
    assert "does not exist" in kubectl("explain", "isvc.spec.nosuch", fails=True)


def test_wait_for_a_condition(kubectl: Kubectl, node: httpx.Client, services: str) -> None:
    kubectl("create", "-f", "-", document=isvc("digits"))
    late = kubectl("wait", "--for=condition=Ready", "isvc/digits", "--timeout=1s", fails=True)
    assert "timed out waiting for the condition on inferenceservices/digits" in late
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T10:00:00Z"}
    current = node.get(f"{services}/digits").json() | {"status": {"conditions": [condition]}}
    assert node.put(f"{services}/digits/status", json=current).is_success
    met = kubectl("wait", "--for=condition=Ready", "isvc/digits", "--timeout=5s")
    assert met == "inferenceservice.serving.kserve.io/digits condition met\n"


def test_watching_shows_each_change(server: ApiServer, kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "configmap", "c")
    command = [str(KUBECTL), "--kubeconfig", str(server.home.kubeconfig), "-n", namespace]
    command += ["get", "cm", "-w", "--no-headers", "--output-watch-events"]
    environment = server.environment | {"HOME": f"{server.home.path}.user"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[:2] == ["ADDED", "c"]
        kubectl("patch", "cm", "c", "-p", '{"data":{"a":"z"}}')
        assert watching.stdout.readline().split()[:3] == ["MODIFIED", "c", "1"]
        kubectl("delete", "cm", "c")
        assert watching.stdout.readline().split()[:2] == ["DELETED", "c"]
        watching.terminate()


def test_pods_and_their_logs(
    server: ApiServer, kubectl: Kubectl, node: httpx.Client, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    made = node.post(path, json=pod("p", "kserve-container")).json()
    ready = {"name": "kserve-container", "ready": True, "restartCount": 2}
    ready["state"] = {"running": {"startedAt": "2026-11-21T10:00:00Z"}}
    made["status"] = {"phase": "Running", "podIP": "127.0.0.1", "containerStatuses": [ready]}
    assert node.put(f"{path}/p/status", json=made).is_success
    write_log(server.home.pod_log(namespace, "p", "kserve-container"), "one", "two")
    header, row = lines(kubectl("get", "pods"))
    assert header == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row[:4] == ["p", "1/1", "Running", "2"]
    assert kubectl("get", "pods", "-o", "wide", "--no-headers").split()[5] == "127.0.0.1"
    assert kubectl("logs", "p") == "one\ntwo\n"
    assert kubectl("logs", "p", "--tail=1") == "two\n"
    refused = kubectl("delete", "pod", "p", fails=True)
    assert refused.startswith('Error from server (Forbidden): pods "p" is forbidden: User')


def event(about: Object, reason: str, message: str) -> Object:
    meta = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{reason.lower()}"},
        "involvedObject": {
            "kind": about["kind"],
            "apiVersion": about["apiVersion"],
            **{key: meta[key] for key in ("name", "namespace", "uid")},
        },
        "type": "Normal",
        "reason": reason,
        "message": message,
        "firstTimestamp": "2026-11-21T10:00:00Z",
        "lastTimestamp": "2026-11-21T10:00:00Z",
        "count": 1,
        "source": {"component": "v1beta1Controllers"},
    }


def test_events_of_an_object(
    kubectl: Kubectl, node: httpx.Client, namespace: str, services: str
) -> None:
    kubectl("create", "-f", "-", document=isvc("digits"))
    about = node.get(f"{services}/digits").json()
    made = event(about, "InferenceServiceReady", "InferenceService [digits] is Ready")
    answer = node.post(f"/api/v1/namespaces/{namespace}/events", json=made)
    assert answer.status_code == 201, answer.text
    for command in (["events", "--for", "isvc/digits"], ["get", "events"]):
        row = lines(kubectl(*command, "--no-headers"))[0]
        assert "InferenceServiceReady" in row
    assert "InferenceService [digits] is Ready" in kubectl("describe", "isvc", "digits")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("create", "isvc"), "yes"),
        (("get", "pods"), "yes"),
        (("create", "pods"), "no"),
        (("delete", "ksvc"), "no"),
    ],
)
def test_what_a_person_may_do(
    server: ApiServer, kubectl: Kubectl, words: tuple[str, ...], answer: str
) -> None:
    assert server.kubectl("auth", "can-i", *words).output.split()[0] == answer
    assert ["Username", "calumma-admin"] in lines(kubectl("auth", "whoami"))


def test_what_is_served(kubectl: Kubectl) -> None:
    listed = lines(kubectl("api-resources", "--api-group=serving.kserve.io", "--no-headers"))
    assert [
        "inferenceservices",
        "isvc",
        "serving.kserve.io/v1beta1",
        "true",
        "InferenceService",
    ] in listed
    assert len(listed) == 12
    names = [row[0] for row in lines(kubectl("get", "crd", "--no-headers"))]
    assert "inferenceservices.serving.kserve.io" in names
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert "is running at https://" in kubectl("cluster-info")
    assert kubectl("get", "nosuch", fails=True) == (
        'error: the server doesn\'t have a resource type "nosuch"\n'
    )


def test_kinds_that_do_not_exist_are_named(kubectl: Kubectl) -> None:
    body: dict[str, Any] = isvc("digits") | {"kind": "NoSuch"}
    text = kubectl("apply", "-f", "-", document=body, fails=True)
    assert 'no matches for kind "NoSuch" in version "serving.kserve.io/v1beta1"' in text


def test_replace_and_dry_runs(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", document=isvc("digits"))
    dry = kubectl("apply", "--dry-run=server", "-f", "-", document=isvc("digits", minReplicas=3))
    assert "configured (server dry run)" in dry
    assert kubectl("get", "isvc", "digits", "-o", "jsonpath={.spec.predictor.minReplicas}") != "3"
    replaced = kubectl("replace", "-f", "-", document=isvc("digits", minReplicas=3))
    assert replaced == "inferenceservice.serving.kserve.io/digits replaced\n"
    assert kubectl("get", "isvc", "digits", "-o", "jsonpath={.metadata.generation}") == "2"


def test_edit_opens_what_is_stored_and_stores_what_is_saved(
    server: ApiServer, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    kubectl("create", "configmap", "c", "--from-literal=a=before")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/before/after/ "$1"\n')
    editor.chmod(0o700)
    edit = [str(KUBECTL), "-n", namespace, "edit", "cm", "c"]
    answer = server.run("env", f"KUBE_EDITOR={editor}", *edit)
    assert answer.output == "configmap/c edited\n", answer.error
    assert kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}") == "after"
