"""Every verb over HTTP: what it does, what it answers, what it refuses and with which words."""

from __future__ import annotations

import httpx
import pytest

from support.api_server import MERGE, config_map, isvc


def created(client: httpx.Client, path: str, body: object, **query: str) -> dict[str, object]:
    response = client.post(path, json=body, params=query)
    assert response.status_code == 201, response.text
    found: dict[str, object] = response.json()
    return found


def refusal(response: httpx.Response, code: int) -> str:
    assert response.status_code == code, response.text
    status = response.json()
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", code)
    return str(status["message"])


def test_an_object_lives_from_creation_to_deletion(client: httpx.Client, config_maps: str) -> None:
    path = f"{config_maps}/a"
    first = client.post(config_maps, json=config_map("a", {"x": "1"})).json()
    assert first["metadata"]["uid"]
    assert client.get(path).json() == first
    second = client.put(path, json={**first, "data": {"x": "2"}}).json()
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    gone = client.delete(path).json()
    assert gone["status"] == "Success"
    assert gone["details"]["uid"] == first["metadata"]["uid"]
    assert refusal(client.get(path), 404) == 'configmaps "a" not found'
    assert refusal(client.delete(path), 404) == 'configmaps "a" not found'


def test_a_write_that_changes_nothing_keeps_the_version(
    client: httpx.Client, config_maps: str
) -> None:
    first = client.post(config_maps, json=config_map("a", {"x": "1"})).json()
    again = client.put(f"{config_maps}/a", json=config_map("a", {"x": "1"})).json()
    assert again == first


def test_a_stale_update_is_a_conflict(client: httpx.Client, config_maps: str) -> None:
    first = client.post(config_maps, json=config_map("a")).json()
    client.put(f"{config_maps}/a", json=config_map("a", {"x": "1"}))
    assert refusal(client.put(f"{config_maps}/a", json={**first, "data": {"x": "2"}}), 409) == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_a_name_is_taken_once(client: httpx.Client, config_maps: str) -> None:
    created(client, config_maps, config_map("a"))
    message = refusal(client.post(config_maps, json=config_map("a")), 409)
    assert message == 'configmaps "a" already exists'


def test_a_name_is_generated(client: httpx.Client, config_maps: str) -> None:
    body = {"metadata": {"generateName": "x-"}}
    names = {client.post(config_maps, json=body).json()["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("x-") and len(name) == 7 for name in names)


@pytest.mark.parametrize("verb", ["create", "update", "patch", "delete"])
def test_a_dry_run_stores_nothing(client: httpx.Client, config_maps: str, verb: str) -> None:
    path = f"{config_maps}/a"
    query = {"dryRun": "All"}
    if verb == "create":
        answer = client.post(config_maps, json=config_map("a"), params=query)
        assert answer.status_code == 201
        assert client.get(path).status_code == 404
        return
    before = client.post(config_maps, json=config_map("a")).json()
    changed = {"data": {"x": "1"}}
    if verb == "update":
        answer = client.put(path, json=before | changed, params=query)
    elif verb == "patch":
        answer = client.patch(path, json=changed, params=query, headers={"content-type": MERGE})
    else:
        answer = client.delete(path, params=query)
    assert answer.status_code == 200
    assert (answer.json().get("data") == {"x": "1"}) is (verb != "delete")
    assert client.get(path).json() == before


def test_unknown_fields_are_refused_warned_about_or_ignored(
    client: httpx.Client, services: str
) -> None:
    body = isvc("a")
    body["spec"]["predictor"]["colour"] = "green"
    strict = client.post(services, json=body, params={"fieldValidation": "Strict"})
    assert refusal(strict, 400) == (
        'InferenceService in version "v1beta1" cannot be handled as a InferenceService: '
        'strict decoding error: unknown field "spec.predictor.colour"'
    )
    warned = client.post(services, json=body)
    assert warned.headers["warning"] == '299 - "unknown field \\"spec.predictor.colour\\""'
    assert "colour" not in warned.json()["spec"]["predictor"]
    body["metadata"]["name"] = "b"
    ignored = client.post(services, json=body, params={"fieldValidation": "Ignore"})
    assert ignored.status_code == 201
    assert "warning" not in ignored.headers


def test_a_wrong_type_is_refused_with_its_cause(client: httpx.Client, services: str) -> None:
    body = isvc("a", minReplicas="two")
    response = client.post(services, json=body)
    assert refusal(response, 422) == (
        'InferenceService.serving.kserve.io "a" is invalid: spec.predictor.minReplicas: Invalid '
        'value: "string": spec.predictor.minReplicas in body must be of type integer: "string"'
    )
    (cause,) = response.json()["details"]["causes"]
    assert (cause["reason"], cause["field"]) == (
        "FieldValueTypeInvalid",
        "spec.predictor.minReplicas",
    )


def test_generation_counts_changes_of_the_specification(
    client: httpx.Client, services: str
) -> None:
    path = f"{services}/a"
    first = client.post(services, json=isvc("a")).json()
    assert first["metadata"]["generation"] == 1
    merge = {"content-type": MERGE}
    labelled = client.patch(path, json={"metadata": {"labels": {"a": "b"}}}, headers=merge)
    assert labelled.json()["metadata"]["generation"] == 1
    scaled = client.patch(path, json={"spec": {"predictor": {"minReplicas": 2}}}, headers=merge)
    assert scaled.json()["metadata"]["generation"] == 2


def test_status_is_written_by_its_own_endpoint_only(client: httpx.Client, services: str) -> None:
    path, merge = f"{services}/a", {"content-type": MERGE}
    client.post(services, json={**isvc("a"), "status": {"url": "http://one"}})
    assert "status" not in client.get(path).json()
    status = client.patch(f"{path}/status", json={"status": {"url": "http://x"}}, headers=merge)
    assert status.json()["status"] == {"url": "http://x"}
    assert status.json()["metadata"]["generation"] == 1
    both = {"spec": {"predictor": {"minReplicas": 3}}, "status": {"url": "http://y"}}
    assert client.patch(path, json=both, headers=merge).json()["status"] == {"url": "http://x"}
    through_status = client.patch(f"{path}/status", json=both, headers=merge).json()
    assert through_status["status"] == {"url": "http://y"}
    assert through_status["metadata"]["generation"] == 2
    wrong = client.patch(f"{path}/status", json={"status": {"conditions": 1}}, headers=merge)
    assert refusal(wrong, 422).endswith('conditions in body must be of type array: "integer"')


def test_lists_are_selected_and_come_in_pages(client: httpx.Client, config_maps: str) -> None:
    for number in range(5):
        labels = {"even": str(number % 2 == 0).lower()}
        created(client, config_maps, config_map(f"c{number}", labels=labels))
    even = client.get(config_maps, params={"labelSelector": "even in (true)"}).json()
    assert [item["metadata"]["name"] for item in even["items"]] == ["c0", "c2", "c4"]
    one = client.get(config_maps, params={"fieldSelector": "metadata.name=c3"}).json()
    assert [item["metadata"]["name"] for item in one["items"]] == ["c3"]
    first = client.get(config_maps, params={"limit": "2"}).json()
    assert first["metadata"]["remainingItemCount"] == 3
    created(client, config_maps, config_map("c2b"))
    names = [item["metadata"]["name"] for item in first["items"]]
    token = first["metadata"]["continue"]
    while token:
        page = client.get(config_maps, params={"limit": "2", "continue": token}).json()
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue")
    assert names == ["c0", "c1", "c2", "c3", "c4"]


def test_a_list_of_the_past_is_exact(client: httpx.Client, config_maps: str) -> None:
    first = client.post(config_maps, json=config_map("a")).json()
    created(client, config_maps, config_map("b"))
    at = {
        "resourceVersion": first["metadata"]["resourceVersion"],
        "resourceVersionMatch": "Exact",
    }
    assert len(client.get(config_maps, params=at).json()["items"]) == 1
    future = {"resourceVersion": "999999999"}
    assert "Too large resource version" in refusal(client.get(config_maps, params=future), 504)
    assert "Too large resource version" in refusal(
        client.get(f"{config_maps}/a", params=future), 504
    )


def test_a_collection_is_deleted_by_its_labels(client: httpx.Client, config_maps: str) -> None:
    for name, team in (("a", "x"), ("b", "y"), ("c", "x")):
        created(client, config_maps, config_map(name, labels={"team": team}))
    deleted = client.delete(config_maps, params={"labelSelector": "team=x"}).json()
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["a", "c"]
    left = client.get(config_maps).json()["items"]
    assert [item["metadata"]["name"] for item in left] == ["b"]


def test_a_deletion_may_name_the_object_that_it_means(
    client: httpx.Client, config_maps: str
) -> None:
    first = client.post(config_maps, json=config_map("a")).json()
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}}
    wrong = client.request("DELETE", f"{config_maps}/a", json=options)
    assert "does not match the UID in record" in refusal(wrong, 409)
    options["preconditions"] = {"uid": first["metadata"]["uid"]}
    assert client.request("DELETE", f"{config_maps}/a", json=options).status_code == 200


def test_a_finalizer_holds_an_object_until_it_is_taken_away(
    client: httpx.Client, config_maps: str
) -> None:
    path = f"{config_maps}/a"
    created(client, config_maps, config_map("a", finalizers=["calumma.test/hold"]))
    held = client.delete(path).json()
    assert held["metadata"]["deletionTimestamp"]
    assert client.get(path).status_code == 200
    merge = {"content-type": MERGE}
    more = {"metadata": {"finalizers": ["calumma.test/hold", "calumma.test/more"]}}
    assert "no new finalizers can be added" in refusal(
        client.patch(path, json=more, headers=merge), 422
    )
    assert client.patch(path, json={"metadata": {"finalizers": None}}, headers=merge).is_success
    assert client.get(path).status_code == 404


JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def test_patches_of_all_kinds(client: httpx.Client, config_maps: str) -> None:
    path = f"{config_maps}/a"
    created(client, config_maps, config_map("a", {"x": "1", "y": "2"}))
    merged = client.patch(path, json={"data": {"x": None}}, headers={"content-type": MERGE})
    assert merged.json()["data"] == {"y": "2"}
    operations = [{"op": "test", "path": "/data/y", "value": "2"}]
    operations += [{"op": "move", "from": "/data/y", "path": "/data/z"}]
    moved = client.patch(path, json=operations, headers={"content-type": JSON_PATCH})
    assert moved.json()["data"] == {"z": "2"}
    replacing = {"data": {"$patch": "replace", "q": "3"}}
    strategic = client.patch(path, json=replacing, headers={"content-type": STRATEGIC})
    assert strategic.json()["data"] == {"q": "3"}
    failing = client.patch(path, json=operations, headers={"content-type": JSON_PATCH})
    assert failing.status_code == 422
    unknown = client.patch(path, json={}, headers={"content-type": "text/plain"})
    assert "accepted media types include" in refusal(unknown, 415)


def test_custom_resources_take_no_strategic_merge(client: httpx.Client, services: str) -> None:
    created(client, services, isvc("a"))
    answer = client.patch(f"{services}/a", json={}, headers={"content-type": STRATEGIC})
    assert refusal(answer, 415) == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


def test_nothing_is_created_without_its_namespace(client: httpx.Client) -> None:
    answer = client.post("/api/v1/namespaces/nosuch/configmaps", json=config_map("a"))
    assert refusal(answer, 404) == 'namespaces "nosuch" not found'


def test_kinds_that_nothing_runs_are_listed_and_refused(
    client: httpx.Client, namespace: str
) -> None:
    path = f"/apis/serving.kserve.io/v1alpha1/namespaces/{namespace}/trainedmodels"
    assert client.get(path).json()["items"] == []
    body = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": "m"},
    }
    assert "nothing runs this kind" in refusal(client.post(path, json=body), 403)


def test_yaml_is_understood_and_spoken(client: httpx.Client, config_maps: str) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {when: 2001-01-01}\n"
    headers = {"content-type": "application/yaml", "accept": "application/yaml"}
    answer = client.post(config_maps, content=text, headers=headers)
    assert answer.status_code == 201
    assert "\nkind: ConfigMap\n" in answer.text
    assert "when: '2001-01-01'" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "code", "text"),
    [
        ("GET", "/nothing", 404, "404 page not found"),
        ("GET", "/apis/nosuch.io/v1/things", 404, "404 page not found"),
        ("GET", "/api/v1/nosuch", 404, "the server could not find the requested resource"),
        ("DELETE", "/api/v1/configmaps", 405, "the server does not allow this method"),
        ("POST", "/api/v1/namespaces/default/pods/x/status", 405, "does not allow this method"),
        ("GET", "/apis/serving.kserve.io/v1beta1/inferenceservices/x", 404, "404 page not found"),
        ("POST", "/version", 405, "the server does not allow this method"),
        ("GET", "/version/", 200, "gitVersion"),
        ("GET", "/readyz", 200, "ok"),
    ],
)
def test_paths_and_methods(
    client: httpx.Client, method: str, path: str, code: int, text: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == code
    assert text in answer.text


def test_an_unacceptable_form_is_refused_before_anything_is_written(
    client: httpx.Client, config_maps: str
) -> None:
    answer = client.post(config_maps, json=config_map("a"), headers={"accept": "text/html"})
    assert "only the following media types are accepted" in refusal(answer, 406)
    assert client.get(f"{config_maps}/a").status_code == 404


def test_a_table_has_the_columns_of_its_kind(client: httpx.Client, services: str) -> None:
    created(client, services, isvc("a"))
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = client.get(services, headers={"accept": accept}).json()
    assert [column["name"] for column in table["columnDefinitions"]] == [
        "Name",
        "URL",
        "Ready",
        "Prev",
        "Latest",
        "PrevRolledoutRevision",
        "LatestReadyRevision",
        "Age",
    ]
    (row,) = table["rows"]
    assert row["cells"][:3] == ["a", None, None]
    assert row["object"]["kind"] == "PartialObjectMetadata"


def test_metadata_alone_can_be_asked_for(client: httpx.Client, config_maps: str) -> None:
    created(client, config_maps, config_map("a", {"x": "1"}))
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    listing = client.get(config_maps, headers={"accept": accept}).json()
    (item,) = listing["items"]
    assert "data" not in item
    assert item["metadata"]["name"] == "a"
