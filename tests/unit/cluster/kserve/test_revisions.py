"""What makes a new revision, of which components, and how it is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from calumma.cluster import objects
from calumma.cluster.knative import revision
from calumma.cluster.objects import Object
from support.simulation import Simulation, digits

Edit = Callable[[Object], None]


def fields_of(*path: str | int, **fields: object) -> Edit:
    """An edit of the fields at a path below the object."""

    def edit(isvc: Object) -> None:
        place: Any = isvc
        for key in path:
            place = place.setdefault(key, {}) if isinstance(key, str) else place[key]
        place.update(fields)

    return edit


def predictor(**fields: object) -> Edit:
    return fields_of("spec", "predictor", **fields)


def model(**fields: object) -> Edit:
    return fields_of("spec", "predictor", "model", **fields)


def transformer(**fields: object) -> Edit:
    return fields_of("spec", "transformer", **fields)


def container(**fields: object) -> Edit:
    return fields_of("spec", "transformer", "containers", 0, **fields)


def annotation(key: str, value: str = "x") -> Edit:
    return fields_of("metadata", "annotations", **{key: value})


def label(key: str, value: str = "x") -> Edit:
    return fields_of("metadata", "labels", **{key: value})


def made(cluster: Simulation) -> set[str]:
    """The components that have a second revision."""
    return {
        objects.labels_of(each)["component"]
        for each in cluster.revisions.values()
        if revision.generation(each) == 2
    }


BOTH = {"predictor", "transformer"}


@pytest.mark.parametrize(
    ("edit", "components"),
    [
        (model(storageUri="pvc://models/digits/v2"), {"predictor"}),
        (model(args=["--log-verbose=1"]), {"predictor"}),
        (model(env=[{"name": "A", "value": "1"}]), {"predictor"}),
        (model(image="nvcr.io/nvidia/tritonserver:24.10-py3"), {"predictor"}),
        (model(runtimeVersion="24.10-py3"), {"predictor"}),
        (model(resources={"limits": {"cpu": "2"}}), {"predictor"}),
        (predictor(minReplicas=2), {"predictor"}),
        (predictor(maxReplicas=3), {"predictor"}),
        (predictor(scaleTarget=3), {"predictor"}),
        (predictor(scaleMetric="rps"), {"predictor"}),
        (predictor(timeout=30), {"predictor"}),
        (predictor(containerConcurrency=3), {"predictor"}),
        (predictor(labels={"a": "b"}), {"predictor"}),
        (predictor(annotations={"a": "b"}), {"predictor"}),
        (predictor(serviceAccountName="reader"), {"predictor"}),
        (container(image="calumma/digits:2"), {"transformer"}),
        (container(args=["--predictor_protocol", "v2"]), {"transformer"}),
        (transformer(containerConcurrency=3), {"transformer"}),
        (annotation("mine"), BOTH),
        (annotation("serving.kserve.io/enable-tag-routing", "true"), BOTH),
        (label("mine"), BOTH),
        (predictor(canaryTrafficPercent=10), set()),
        (transformer(canaryTrafficPercent=10), set()),
        (annotation("autoscaling.knative.dev/min-scale", "3"), set()),
        (annotation("autoscaling.knative.dev/max-scale", "3"), set()),
        (annotation("internal.serving.kserve.io/storage-initializer-sourceuri"), set()),
        (annotation("kubectl.kubernetes.io/last-applied-configuration"), set()),
        (annotation("modelFormat", "mine"), set()),
        (annotation("serving.knative.dev/rollout-duration", "10s"), set()),
        (label("networking.knative.dev/visibility", "cluster-local"), set()),
    ],
)
def test_what_makes_a_revision(serving: Simulation, edit: Edit, components: set[str]) -> None:
    serving.change(edit)
    assert made(serving) == components


def test_an_earlier_template_is_a_new_revision_all_the_same(serving: Simulation) -> None:
    for version in ("v2", "v1"):
        serving.change(model(storageUri=f"pvc://models/digits/{version}"))
    predictors = [name for name in serving.revisions if "predictor" in name]
    assert predictors == [f"digits-predictor-{number:05d}" for number in (1, 2, 3)]


def test_a_rollout_duration_is_the_services_own(serving: Simulation) -> None:
    key = "serving.knative.dev/rollout-duration"
    serving.change(annotation(key, "10s"))
    service = serving.services["predictor"]
    assert objects.annotations_of(service)[key] == "10s"
    assert key not in service["spec"]["template"]["metadata"]["annotations"]


def test_what_a_revision_is_labelled_with(serving: Simulation) -> None:
    assert objects.labels_of(serving.revisions["digits-predictor-00001"]) == {
        "serving.kserve.io/inferenceservice": "digits",
        "component": "predictor",
        "serving.knative.dev/service": "digits-predictor",
        "serving.knative.dev/configuration": "digits-predictor",
        "serving.knative.dev/configurationGeneration": "1",
    }


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (57, "a" * 57 + "-00001"),
        (58, "a" * 25 + "dc2f2f2462a0d72358b2f99389458606-00001"),
        (63, "a" * 25 + "b06521f39153d618550606be297466d5-00001"),
    ],
)
def test_names_that_are_too_long_end_in_a_hash(length: int, expected: str) -> None:
    """As Knative's ``kmeta.ChildName``: the parent's MD5 sum takes the place of what is cut."""
    found = objects.child_name("a" * length, "-00001")
    assert len(found) <= objects.LONGEST_NAME
    assert found == expected


def test_a_long_name_still_works(simulation: Simulation) -> None:
    isvc = digits()
    isvc["metadata"]["name"] = "a" * 51
    simulation.apply(isvc)
    hashed = [name for name in simulation.revisions if len(name) == objects.LONGEST_NAME]
    assert len(hashed) == 2
    simulation.become_ready(*hashed)
    assert simulation.condition("Ready")[0] == "True"
    assert simulation.traffic == "L:1=100"
