"""Server-side apply over HTTP: ownership, conflicts, force, and what clients see of it."""

from __future__ import annotations

from typing import Any

import httpx

from support.api_server import MERGE, Object, config_map, isvc

APPLY = "application/apply-patch+yaml"


def applied(
    client: httpx.Client, path: str, config: Object, manager: str, **query: str
) -> httpx.Response:
    return client.patch(
        path,
        json=config,
        params={"fieldManager": manager, **query},
        headers={"content-type": APPLY},
    )


def owners(obj: Object) -> dict[tuple[str, str], Any]:
    entries = obj["metadata"]["managedFields"]
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


def test_applying_creates_and_then_changes(client: httpx.Client, config_maps: str) -> None:
    path = f"{config_maps}/a"
    first = applied(client, path, config_map("a", {"x": "1", "y": "2"}), "one")
    assert first.status_code == 201
    second = applied(client, path, config_map("a", {"x": "1"}), "one")
    assert second.status_code == 200
    assert second.json()["data"] == {"x": "1"}
    assert owners(second.json()) == {("one", "Apply"): {"f:data": {"f:x": {}}}}
    assert applied(client, path, config_map("a", {"x": "1"}), "one").json() == second.json()


def test_a_conflict_names_the_owner_and_force_takes_the_field(
    client: httpx.Client, config_maps: str
) -> None:
    path = f"{config_maps}/a"
    applied(client, path, config_map("a", {"x": "1"}), "one")
    refused = applied(client, path, config_map("a", {"x": "2"}), "two")
    assert refused.status_code == 409
    body = refused.json()
    assert body["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.x'
    assert body["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "one"',
            "field": ".data.x",
        }
    ]
    forced = applied(client, path, config_map("a", {"x": "2"}), "two", force="true").json()
    assert forced["data"] == {"x": "2"}
    assert owners(forced) == {("two", "Apply"): {"f:data": {"f:x": {}}}}


def test_appliers_share_what_they_agree_on(client: httpx.Client, config_maps: str) -> None:
    path = f"{config_maps}/a"
    applied(client, path, config_map("a", {"x": "1"}), "one")
    applied(client, path, config_map("a", {"x": "1", "y": "2"}), "two")
    left = applied(client, path, config_map("a"), "one").json()
    assert left["data"] == {"x": "1", "y": "2"}
    empty = applied(client, path, config_map("a"), "two").json()
    assert "data" not in empty or empty["data"] == {}


def test_an_update_takes_what_it_changes(client: httpx.Client, config_maps: str) -> None:
    path = f"{config_maps}/a"
    applied(client, path, config_map("a", {"x": "1", "y": "2"}), "one")
    patched = client.patch(
        path,
        json={"data": {"x": "3"}},
        params={"fieldManager": "three"},
        headers={"content-type": MERGE},
    ).json()
    assert owners(patched) == {
        ("one", "Apply"): {"f:data": {"f:y": {}}},
        ("three", "Update"): {"f:data": {"f:x": {}}},
    }
    refused = applied(client, path, config_map("a", {"x": "1", "y": "2"}), "one")
    assert refused.json()["message"] == (
        'Apply failed with 1 conflict: conflict with "three" using v1: .data.x'
    )


def test_lists_are_merged_by_their_keys(client: httpx.Client, services: str) -> None:
    def config(*names: str) -> Object:
        found = isvc("a")
        env = [{"name": name, "value": "1"} for name in names]
        return found | {"spec": {"predictor": {"model": {"env": env}}}}

    path = f"{services}/a"
    assert applied(client, path, isvc("a"), "one").status_code == 201
    assert applied(client, path, config("B", "A"), "two").status_code == 200
    both = applied(client, path, config("C"), "three").json()
    assert [each["name"] for each in both["spec"]["predictor"]["model"]["env"]] == ["B", "A", "C"]
    left = applied(client, path, config("B"), "two").json()
    assert [each["name"] for each in left["spec"]["predictor"]["model"]["env"]] == ["B", "C"]
    twice = applied(client, path, config("D", "D"), "four")
    assert twice.status_code == 500
    assert 'duplicate entries for key [name="D"]' in twice.json()["message"]


def test_a_field_that_no_schema_declares_is_refused(client: httpx.Client, services: str) -> None:
    config = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "a"},
        "spec": {"predictor": {}, "nosuch": 1},
    }
    answer = applied(client, f"{services}/a", config, "one")
    assert answer.status_code == 500
    assert ".spec.nosuch: field not declared in schema" in answer.json()["message"]


def test_applying_needs_a_manager(client: httpx.Client, config_maps: str) -> None:
    answer = applied(client, f"{config_maps}/a", config_map("a"), "")
    assert answer.status_code == 422
    assert "fieldManager: Required value: is required for apply patch" in answer.json()["message"]


def test_managed_fields_can_be_cleared(client: httpx.Client, config_maps: str) -> None:
    path = f"{config_maps}/a"
    applied(client, path, config_map("a", {"x": "1"}), "one")
    cleared = client.patch(
        path, json={"metadata": {"managedFields": [{}]}}, headers={"content-type": MERGE}
    ).json()
    assert "managedFields" not in cleared["metadata"]
    again = applied(client, path, config_map("a", {"x": "1"}), "one").json()
    assert set(owners(again)) == {("before-first-apply", "Update"), ("one", "Apply")}


def test_status_is_owned_through_its_endpoint(client: httpx.Client, services: str) -> None:
    client.post(services, json=isvc("a"), params={"fieldManager": "one"})
    status = client.patch(
        f"{services}/a/status",
        json={"status": {"url": "http://x"}},
        params={"fieldManager": "node"},
        headers={"content-type": MERGE},
    ).json()
    (entry,) = [each for each in status["metadata"]["managedFields"] if each["manager"] == "node"]
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"] == {"f:status": {".": {}, "f:url": {}}}
