"""A Knative Service's decision: order, and what is reported when."""

from __future__ import annotations

import copy

from calumma.cluster import conditions, objects
from calumma.cluster.knative import revision, route, service
from calumma.cluster.objects import Object

DOMAIN = "localhost:8080"


def ksvc(*targets: Object, image: str = "a", status: Object | None = None) -> Object:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "generation": 4},
        "spec": {
            "template": {"metadata": {}, "spec": {"containers": [{"image": image}]}},
            "traffic": list(targets) or [{"latestRevision": True, "percent": 100}],
        },
        "status": status or {},
    }


def ready(of: Object, number: int) -> Object:
    made = revision.make(of, number)
    made["status"] = revision.status(made, revision.Scale(1, 1), "t")
    return made


def decide(
    of: Object, *revisions: Object, programmed: list[Object] | None = None
) -> service.Decision:
    return service.decide(of, list(revisions), programmed, DOMAIN, "t")


def condition(decision: service.Decision, kind: str) -> tuple[str, str]:
    found = conditions.find(decision.status["conditions"], kind) or {}
    return found["status"], found.get("reason", "")


def test_the_first_pass_makes_a_revision() -> None:
    decision = decide(ksvc())
    assert decision.revision is not None
    assert decision.status["latestCreatedRevisionName"] == "p-00001"
    assert decision.traffic is None
    assert condition(decision, "RoutesReady") == ("Unknown", "RevisionMissing")
    assert decision.status["observedGeneration"] == 4


def test_traffic_is_reported_only_once_it_is_in_effect() -> None:
    of = ksvc()
    one = ready(of, 1)
    before = decide(of, one)
    assert before.traffic == [{"latestRevision": True, "percent": 100, "revisionName": "p-00001"}]
    assert "traffic" not in before.status
    assert condition(before, "RoutesReady") == ("Unknown", "IngressNotConfigured")
    after = decide(of, one, programmed=before.traffic)
    assert after.status["traffic"] == before.traffic
    assert condition(after, "Ready") == ("True", "")


def test_the_latest_ready_revision_never_goes_back() -> None:
    of = ksvc(image="b")
    one, two = ready(ksvc(), 1), ready(of, 2)
    failed = copy.deepcopy(two)
    failed["status"] = revision.status(two, revision.Scale(1, 0, revision.exited(1, "x")), "t")
    status = {**decide(of, one, two).status}
    assert status["latestReadyRevisionName"] == "p-00002"
    again = decide({**of, "status": status}, one, failed)
    assert again.status["latestReadyRevisionName"] == "p-00002"
    assert condition(again, "ConfigurationsReady") == ("False", "RevisionFailed")
    assert again.traffic is None


def test_a_target_that_is_missing_or_failed_leaves_traffic_alone() -> None:
    target = {"latestRevision": False, "revisionName": "p-00009", "percent": 100}
    of = ksvc(target, status={"traffic": [{"old": True}]})
    decision = decide(of, ready(of, 1))
    assert decision.traffic is None
    assert decision.status["traffic"] == [{"old": True}]
    assert condition(decision, "RoutesReady") == ("False", "RevisionMissing")


def test_an_older_ready_revision_serves_while_a_newer_one_is_not() -> None:
    of = ksvc(image="b")
    one = ready(ksvc(), 1)
    two = revision.make(of, 2)
    decision = decide({**of, "status": {"latestReadyRevisionName": "p-00001"}}, one, two)
    assert decision.traffic is not None
    assert decision.traffic[0]["revisionName"] == "p-00001"
    assert decision.status["latestCreatedRevisionName"] == "p-00002"


def test_deciding_again_changes_nothing() -> None:
    of = ksvc()
    one = ready(of, 1)
    first = decide(of, one)
    of["status"] = decide(of, one, programmed=first.traffic).status
    second = service.decide(of, [one], first.traffic, DOMAIN, "later")
    assert second.status == of["status"]
    assert second.revision is None


def test_percentages_are_checked_in_knatives_words() -> None:
    assert route.percent_errors([{"percent": 60}, {"percent": 60}]) == [
        "Traffic targets sum to 120, want 100: spec.traffic"
    ]
    assert route.percent_errors([{"percent": 100}]) == []


def test_urls() -> None:
    decision = decide(ksvc())
    assert decision.status["url"] == "http://p.ns.localhost:8080"
    assert decision.status["address"] == {"url": "http://p.ns.svc.cluster.local"}
    assert objects.name(ksvc()) == "p"
