"""What a rollout asks of the gateway: mirrored requests, and users who stay where they are."""

from __future__ import annotations

import base64
import json
from collections import Counter

import httpx

from calumma.load import users
from calumma.rollout import names, routing
from support.cluster import Cluster, image, shares

STABLE, CANARY = "digits-predictor-00001", "digits-predictor-00002"


def ask(cluster: Cluster, content: str) -> None:
    """Write the ConfigMap of a rollout."""
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": names.config_map("digits"), "namespace": "default"},
        "data": {routing.KEY: content},
    }
    answer = cluster.kubectl("apply", "-f", "-", document=document)
    assert answer.code == 0, answer.error


def counted(cluster: Cluster, revision: str) -> float:
    """The requests to a revision that Envoy has counted, by Prometheus."""
    url = f"http://127.0.0.1:{cluster.settings()['prometheus_port']}/api/v1/query"
    query = f'sum(envoy_cluster_upstream_rq_total{{revision="{revision}"}})'
    found = httpx.get(url, params={"query": query}).json()["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


def test_a_canary_without_a_share_gets_what_users_send_and_nobody_notices(
    digits_service: Cluster,
) -> None:
    cluster = digits_service
    with users.Users(cluster.get()["status"]["url"], "digits", rate=40.0) as live:
        cluster.canary("v2", 0)
        before = counted(cluster, CANARY)
        mirror = routing.Mirror(percent=100, revisions=(CANARY,))
        ask(cluster, routing.Routing(mirror=mirror).text())
        cluster.until("mirrored", lambda: counted(cluster, CANARY) >= before + 100)
        assert shares(cluster.get()) == {"00002": 0, "00001": 100}
        cluster.kill(CANARY)
        dead = live.count
        cluster.until("more traffic", lambda: live.count > dead + 100)
        ask(cluster, "{")
        cluster.until("told", lambda: "RoutingNotPossible" in cluster.kubectl("events").output)
        again = counted(cluster, CANARY)
        cluster.until("as before", lambda: counted(cluster, CANARY) >= again + 50)
        ask(cluster, "{}")
        settled = live.count
        cluster.until("the end", lambda: live.count > settled + 40)
    assert live.summary.failures == {}
    assert {outcome.answer.revision for outcome in live.outcomes} == {STABLE}


def test_users_stay_with_their_revision_behind_a_transformer(digits_service: Cluster) -> None:
    cluster = digits_service
    assigned = routing.Routing(assignment=routing.Assignment(header="x-user"))
    ask(cluster, assigned.text())
    body = json.dumps({"instances": [{"image": {"b64": base64.b64encode(image()[0]).decode()}}]})
    seen: dict[int, dict[str, str]] = {}
    for percent in (30, 60):
        cluster.canary("v2", percent)
        found: dict[str, set[str]] = {}
        with httpx.Client(base_url=cluster.gateway, headers={"host": "digits.default"}) as client:
            for _ in range(3):
                for user in map(str, range(300)):
                    answer = client.post(
                        "/v1/models/digits:predict", content=body, headers={"x-user": user}
                    )
                    assert answer.status_code == 200
                    revision = answer.headers["x-calumma-predictor-revision"]
                    found.setdefault(user, set()).add(revision)
        assert all(len(revisions) == 1 for revisions in found.values())
        seen[percent] = {user: revisions.pop() for user, revisions in found.items()}
        count = Counter(seen[percent].values())[CANARY]
        assert abs(count / 300 - percent / 100) < 0.12
    assert all(seen[60][user] == CANARY for user in seen[30] if seen[30][user] == CANARY)
