"""Revisions: their names, their templates, and when they count as ready."""

from __future__ import annotations

import pytest

from calumma.cluster import conditions, objects
from calumma.cluster.knative import revision
from calumma.cluster.objects import Object

SERVICE: Object = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Service",
    "metadata": {"name": "digits-predictor", "namespace": "default", "uid": "u"},
    "spec": {
        "template": {
            "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"containers": [{"name": "kserve-container", "image": "i"}]},
        }
    },
}


def made(number: int = 1) -> Object:
    return revision.make(SERVICE, number)


def judged(scale: revision.Scale, before: Object | None = None) -> Object:
    each = made()
    each["status"] = before or {}
    return revision.status(each, scale, "t")


def ready(status: Object) -> tuple[str, str, str]:
    condition = conditions.find(status["conditions"], "Ready") or {}
    return condition["status"], condition.get("reason", ""), condition.get("message", "")


def test_a_revision_belongs_to_its_service() -> None:
    new = made(12)
    assert objects.name(new) == "digits-predictor-00012"
    assert revision.generation(new) == 12
    assert new["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert objects.labels_of(new)["serving.knative.dev/service"] == "digits-predictor"


def test_a_name_fits_a_dns_label() -> None:
    name = objects.child_name("a" * 70, "-00001")
    assert len(name) == 63
    assert name.endswith("-00001")
    assert objects.child_name("b" * 70, "-00001") != name


def test_the_template_is_recognized_and_any_difference_too() -> None:
    template = SERVICE["spec"]["template"]
    assert revision.has_template(made(), template)
    for changed in (
        {**template, "metadata": {**template["metadata"], "labels": {"a": "c"}}},
        {**template, "metadata": {**template["metadata"], "annotations": {}}},
        {**template, "spec": {"containers": [{"name": "kserve-container", "image": "j"}]}},
    ):
        assert not revision.has_template(made(), changed)


def test_without_pods_it_is_deploying() -> None:
    assert ready(judged(revision.Scale(1)))[:2] == ("Unknown", "Deploying")


def test_one_ready_pod_makes_it_ready() -> None:
    assert ready(judged(revision.Scale(2, 1)))[0] == "True"


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (revision.exited(3, "no"), ("False", "ExitCode3", "Container failed with: no")),
        (
            revision.exited(0, ""),
            ("False", "ExitCode0", "Container failed with: container exited with no error"),
        ),
        (
            revision.image_missing("i:1", "unknown"),
            ("False", "ContainerMissing", 'Unable to fetch image "i:1": unknown'),
        ),
        (
            revision.never_scaled(revision.make(SERVICE, 1)),
            ("False", "ProgressDeadlineExceeded", "Initial scale was never achieved"),
        ),
    ],
)
def test_a_problem_makes_it_fail(problem: revision.Problem, expected: tuple[str, str, str]) -> None:
    assert ready(judged(revision.Scale(1, 0, problem))) == expected


def test_it_recovers() -> None:
    failed = judged(revision.Scale(1, 0, revision.exited(1, "x")))
    assert ready(judged(revision.Scale(1, 1), failed))[0] == "True"


def test_scaled_to_zero_it_stays_ready_and_is_not_active() -> None:
    status = judged(revision.Scale(0), judged(revision.Scale(1, 1)))
    assert ready(status)[0] == "True"
    active = conditions.find(status["conditions"], "Active") or {}
    assert (active["status"], active["reason"]) == ("False", "NoTraffic")


def test_a_pod_that_restarts_without_having_failed_keeps_it_ready() -> None:
    assert ready(judged(revision.Scale(1, 0), judged(revision.Scale(1, 1))))[0] == "True"


CREATED = "2026-01-01T00:00:00Z"


def young(**annotations: str) -> Object:
    """A revision that was made at CREATED and judged once, with no pod ready."""
    revised = made()
    revised["metadata"]["creationTimestamp"] = CREATED
    revised["metadata"]["annotations"].update(annotations)
    revised["status"] = revision.status(revised, revision.Scale(1), CREATED)
    return revised


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 600.0),
        ("45s", 45.0),
        ("20m", 1200.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("500ms", 0.5),
        ("soon", 600.0),
        ("10", 600.0),
    ],
)
def test_the_progress_deadline_is_a_duration_of_go(text: str, seconds: float) -> None:
    assert revision.progress_deadline(young(**{revision.PROGRESS_DEADLINE: text})) == seconds


@pytest.mark.parametrize(
    ("now", "status", "left"),
    [
        ("2026-01-01T00:00:29Z", "Unknown", 1.0),
        ("2026-01-01T00:00:30Z", "False", None),
        ("2026-01-02T00:00:00Z", "False", None),
    ],
)
def test_a_revision_that_was_never_ready_fails_at_its_deadline(
    now: str, status: str, left: float | None
) -> None:
    late = young(**{revision.PROGRESS_DEADLINE: "30s", revision.MIN_SCALE: "1"})
    late["status"] = revision.status(late, revision.Scale(1), now)
    assert ready(late["status"])[0] == status
    assert revision.time_left(late, now) == left
    if status == "False":
        assert ready(late["status"])[1:] == (
            "ProgressDeadlineExceeded",
            'ReplicaSet "digits-predictor-00001-deployment" has timed out progressing.',
        )
        late["status"] = revision.status(late, revision.Scale(1, 1), now)
        assert ready(late["status"])[0] == "True"


def test_one_that_was_ready_once_has_no_deadline() -> None:
    old = young()
    old["status"] = revision.status(old, revision.Scale(1, 1), CREATED)
    restarted = revision.status(old, revision.Scale(1), "2026-01-02T00:00:00Z")
    assert ready(restarted)[0] == "True"
    assert revision.time_left(old, "2026-01-02T00:00:00Z") is None


def test_one_that_needs_no_pod_has_no_deadline() -> None:
    assert ready(revision.status(young(), revision.Scale(0), "2026-01-02T00:00:00Z"))[0] == (
        "Unknown"
    )
