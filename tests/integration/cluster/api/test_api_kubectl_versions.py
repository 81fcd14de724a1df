"""The same session with every kubectl that this machine has: they ask in different ways.

Looked for are ``kubectl.1.N`` beside the installed kubectl, where Google's package puts them, and
in the folder ``$CALUMMA_KUBECTLS``. 1.27 to 1.29 ask for OpenAPI v2, 1.32 and later send protobuf,
1.36 asks a watch for its initial events.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from support.api_server import KUBECTL, ApiServer, Object, config_map, isvc, pod, write_log

Kubectl = Callable[..., str]


def programs() -> list[Path]:
    """Every kubectl with its version in its name, else the installed one."""
    folders = [Path(KUBECTL).resolve().parent] if KUBECTL else []
    if named := os.environ.get("CALUMMA_KUBECTLS"):
        folders.append(Path(named))
    found = {path.name: path for folder in folders for path in folder.glob("kubectl.1.*")}
    return [found[name] for name in sorted(found)] or ([Path(KUBECTL)] if KUBECTL else [])


@pytest.fixture(params=programs(), ids=lambda path: path.name)
def kubectl(request: pytest.FixtureRequest, server: ApiServer, namespace: str) -> Kubectl:
    """Run one version in the test's namespace; returns what it prints, and expects success."""
    program = str(request.param)

    def run(*words: str, code: int = 0, document: Object | None = None) -> str:
        text = json.dumps(document) if document else None
        answer = server.run(program, "-n", namespace, *words, text=text)
        assert answer.code == code, answer
        return answer.output + answer.error if code else answer.output

    return run


def test_objects_come_change_and_go(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl("create", "ns", f"{namespace}-x") == f"namespace/{namespace}-x created\n"
    assert kubectl("create", "cm", "c", "--from-literal=a=ü") == "configmap/c created\n"
    assert kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}") == "ü"
    kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
    assert kubectl("get", "secret", "s", "-o", "jsonpath={.data.a} {.type}") == "Yg== Opaque"
    kubectl("create", "serviceaccount", "me")
    assert re.search(r"^me +0 +\d+s$", kubectl("get", "sa", "--no-headers"), re.MULTILINE)
    kubectl("create", "token", "me", code=1)
    name = "inferenceservice.serving.kserve.io/digits"
    first, second = isvc("digits"), isvc("digits", minReplicas=2)
    assert kubectl("apply", "-f", "-", document=first) == f"{name} created\n"
    assert kubectl("apply", "-f", "-", document=first) == f"{name} unchanged\n"
    assert "+    minReplicas: 2" in kubectl("diff", "-f", "-", document=second, code=1)
    dry = kubectl("apply", "--dry-run=server", "-f", "-", document=second)
    assert dry == f"{name} configured (server dry run)\n"
    assert kubectl("diff", "-f", "-", document=first) == ""
    assert kubectl("apply", "-f", "-", document=second) == f"{name} configured\n"
    owned = kubectl("apply", "--server-side", "-f", "-", document=second)
    assert owned == f"{name} serverside-applied\n"
    assert kubectl("label", "isvc", "digits", "a=b") == f"{name} labeled\n"
    kubectl("patch", "cm", "c", "-p", '{"data":{"b":"2"}}')
    stale = '[{"op":"test","path":"/metadata/name","value":"other"}]'
    kubectl("patch", "isvc", "digits", "--type=json", "-p", stale, code=1)
    kubectl("delete", "isvc", "digits", "--timeout=20s")
    assert "not found" in kubectl("get", "isvc", "digits", code=1)


def test_unknown_fields_are_refused(kubectl: Kubectl) -> None:
    wrong = isvc("digits", bogus=1)
    text = kubectl("create", "-f", "-", document=wrong, code=1)
    assert 'strict decoding error: unknown field "spec.predictor.bogus"' in text
    kubectl("create", "--validate=ignore", "-f", "-", document=wrong)
    kubectl("create", "--dry-run=server", "-f", "-", document=isvc("other"))
    assert "not found" in kubectl("get", "isvc", "other", code=1)


def test_what_is_served_and_allowed(kubectl: Kubectl) -> None:
    assert re.search(r"^inferenceservices +isvc ", kubectl("api-resources"), re.MULTILINE)
    assert "serving.kserve.io/v1beta1\n" in kubectl("api-versions")
    assert "canaryTrafficPercent" in kubectl("explain", "isvc.spec.predictor")
    assert "maxReplicas" in kubectl("explain", "hpa.spec", "--recursive")
    assert kubectl("auth", "can-i", "create", "isvc") == "yes\n"
    assert json.loads(kubectl("version", "-o", "json"))["serverVersion"]["minor"] == "36"
    assert "the server doesn't have a resource type" in kubectl("get", "nosuch", code=1)


def test_lists_watches_and_waits(kubectl: Kubectl, node: httpx.Client, services: str) -> None:
    for number in range(3):
        kubectl("create", "-f", "-", document=config_map(f"c{number}"))
    listed = kubectl("get", "cm", "--chunk-size=2", "--sort-by=.metadata.name", "-o", "name")
    assert listed.split() == [f"configmap/c{number}" for number in range(3)]
    kubectl("create", "-f", "-", document=isvc("digits"))
    assert kubectl("get", "isvc").split()[:3] == ["NAME", "URL", "READY"]
    kubectl("wait", "--for=condition=Ready", "isvc/digits", "--timeout=1s", code=1)
    found = node.get(f"{services}/digits").json()
    found["status"] = {"conditions": [{"type": "Ready", "status": "True"}], "observedGeneration": 1}
    assert node.put(f"{services}/digits/status", json=found).is_success
    met = kubectl("wait", "--for=condition=Ready", "isvc/digits", "--timeout=20s")
    assert met == "inferenceservice.serving.kserve.io/digits condition met\n"
    url = kubectl(
        "get", "isvc", "digits", "-o", "custom-columns=READY:.status.conditions[0].status"
    )
    assert url.split() == ["READY", "True"]


def test_a_watch_shows_what_happens(
    request: pytest.FixtureRequest, kubectl: Kubectl, server: ApiServer, namespace: str
) -> None:
    kubectl("create", "cm", "c")
    program = str(request.node.callspec.params["kubectl"])
    command = [program, "--kubeconfig", str(server.home.kubeconfig), "-n", namespace]
    command += ["get", "cm", "-w", "--no-headers", "--output-watch-events"]
    environment = server.environment | {"HOME": f"{server.home.path}.user"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[:2] == ["ADDED", "c"]
        kubectl("delete", "cm", "c")
        assert watching.stdout.readline().split()[:2] == ["DELETED", "c"]
        watching.terminate()


def test_logs_and_what_pods_do_not_offer(
    kubectl: Kubectl, server: ApiServer, node: httpx.Client, namespace: str
) -> None:
    node.post(f"/api/v1/namespaces/{namespace}/pods", json=pod("p", "main"))
    log = server.home.pod_log(namespace, "p", "main")
    write_log(log, "one", at="2026-11-21T10:00:00.000000001Z")
    write_log(log, "two", at="2026-11-21T10:00:01.000000001Z")
    assert kubectl("logs", "p", "--tail=1") == "two\n"
    stamped = kubectl("logs", "p", "--timestamps", "--since-time=2026-11-21T10:00:01Z")
    assert stamped == "2026-11-21T10:00:01.000000001Z two\n"
    running = node.get(f"/api/v1/namespaces/{namespace}/pods/p").json()
    running["status"] = {"phase": "Running"}
    node.put(f"/api/v1/namespaces/{namespace}/pods/p/status", json=running)
    assert "cannot be entered from the API" in kubectl("exec", "p", "--", "ls", code=1)
    assert "the gateway, at its status.url" in kubectl("port-forward", "p", ":80", code=1)
    assert "Metrics API not available" in kubectl("top", "pods", code=1)
