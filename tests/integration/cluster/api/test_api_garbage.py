"""Namespaces that end, dependents that follow their owners, and service accounts that come."""

from __future__ import annotations

import httpx

from support.api_server import MERGE, ApiServer, Object, config_map, until


def owned(name: str, owner: Object, **meta: object) -> Object:
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    return config_map(name, None, ownerReferences=[reference], **meta)


def is_gone(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code == 404


def test_a_namespace_has_its_service_account(client: httpx.Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    until("account", lambda: client.get(path).is_success)


def test_a_namespace_is_labelled_with_its_name(client: httpx.Client, namespace: str) -> None:
    found = client.get(f"/api/v1/namespaces/{namespace}").json()
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": namespace}
    assert found["spec"] == {"finalizers": ["kubernetes"]}
    assert found["status"] == {"phase": "Active"}


def test_an_ending_namespace_takes_its_content_along(
    client: httpx.Client, namespace: str, config_maps: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    client.post(config_maps, json=config_map("a"))
    client.post(config_maps, json=config_map("held", finalizers=["calumma.test/hold"]))
    assert client.delete(path).json()["status"]["phase"] == "Terminating"
    until("emptied", lambda: is_gone(client, f"{config_maps}/a"))
    late = client.post(config_maps, json=config_map("late"))
    assert late.status_code == 403
    assert late.json()["message"] == (
        f'configmaps "late" is forbidden: unable to create new content in namespace {namespace} '
        "because it is being terminated"
    )
    released = {"metadata": {"finalizers": None}}
    client.patch(f"{config_maps}/held", json=released, headers={"content-type": MERGE})
    until("gone", lambda: is_gone(client, path))


def test_the_systems_namespaces_stay(client: httpx.Client) -> None:
    answer = client.delete("/api/v1/namespaces/kube-system")
    assert answer.status_code == 403
    assert answer.json()["message"] == (
        'namespaces "kube-system" is forbidden: this namespace may not be deleted'
    )


def test_dependents_follow_their_owner(client: httpx.Client, config_maps: str) -> None:
    owner = client.post(config_maps, json=config_map("owner")).json()
    child = client.post(config_maps, json=owned("child", owner)).json()
    client.post(config_maps, json=owned("grandchild", child))
    client.delete(f"{config_maps}/owner")
    until("gone", lambda: is_gone(client, f"{config_maps}/grandchild"))
    assert is_gone(client, f"{config_maps}/child")


def test_dependents_of_what_never_was_go(client: httpx.Client, config_maps: str) -> None:
    owner = {"metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"}}
    client.post(config_maps, json=owned("child", owner, finalizers=["calumma.test/hold"]))
    other = client.post(config_maps, json=config_map("other")).json()
    client.delete(f"{config_maps}/other")
    client.post(config_maps, json=owned("late", other))
    client.delete(f"{config_maps}/child")
    assert client.get(f"{config_maps}/child").json()["metadata"]["deletionTimestamp"]


def test_orphans_stay(client: httpx.Client, config_maps: str) -> None:
    owner = client.post(config_maps, json=config_map("owner")).json()
    client.post(config_maps, json=owned("child", owner))
    client.delete(f"{config_maps}/owner", params={"propagationPolicy": "Orphan"})
    until("gone", lambda: is_gone(client, f"{config_maps}/owner"))
    assert "ownerReferences" not in client.get(f"{config_maps}/child").json()["metadata"]


def test_an_owner_in_the_foreground_waits_for_its_dependents(
    client: httpx.Client, config_maps: str
) -> None:
    owner = client.post(config_maps, json=config_map("owner")).json()
    client.post(config_maps, json=owned("child", owner, finalizers=["calumma.test/hold"]))
    client.post(config_maps, json=owned("other", owner))
    answer = client.delete(f"{config_maps}/owner", params={"propagationPolicy": "Foreground"})
    assert answer.json()["metadata"]["finalizers"] == ["foregroundDeletion"]
    until("gone", lambda: is_gone(client, f"{config_maps}/other"))
    assert client.get(f"{config_maps}/owner").is_success
    released = {"metadata": {"finalizers": None}}
    client.patch(f"{config_maps}/child", json=released, headers={"content-type": MERGE})
    until("gone", lambda: is_gone(client, f"{config_maps}/owner"))


def test_what_a_crash_left_undone_is_done_after_it(own_server: ApiServer) -> None:
    path = "/api/v1/namespaces/ending"
    with own_server.client() as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": "ending"}})
        for number in range(20):
            client.post(f"{path}/configmaps", json=config_map(f"c{number}"))
        client.delete(path)
    own_server.end(9)
    own_server.restart()
    with own_server.client() as client:
        until("gone", lambda: is_gone(client, path))
        assert client.get("/api/v1/namespaces/default").is_success
