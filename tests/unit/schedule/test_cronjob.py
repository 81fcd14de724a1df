"""The same document for a cluster, judged by the schemas of the installed Kubernetes client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import cli
from calumma.cluster.api import names
from calumma.evaluation import document, suite
from calumma.schedule import cronjob
from calumma.schedule.definition import Schedule
from support import manifests
from support.schedules import schedule

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "evaluation/schedules/nightly.yaml"
MODELS = {
    "ServiceAccount": "V1ServiceAccount",
    "Role": "V1Role",
    "RoleBinding": "V1RoleBinding",
    "ConfigMap": "V1ConfigMap",
    "PersistentVolumeClaim": "V1PersistentVolumeClaim",
    "CronJob": "V1CronJob",
}
SUITE = suite.Suite.model_validate({"name": "digits", "service": "digits", "namespace": "team"})
CONTENT = "name: digits\nservice: digits\n"
FULL = schedule(
    name="n" * 40,
    timeZone="Europe/Zurich",
    parameters={"seed": 1},
    concurrencyPolicy="Replace",
    startingDeadlineSeconds=600,
    activeDeadlineSeconds=1200,
    backoffLimit=2,
    successfulJobsHistoryLimit=5,
    failedJobsHistoryLimit=0,
    suspend=True,
    alerts={"webhook": {"environment": "URL"}},
    cluster={
        "image": "registry/evaluation:1",
        "storage": "10Gi",
        "storageClassName": "fast",
        "pushgateway": "http://pushgateway:9091",
    },
)


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> manifests.Schemas:
    """The strict schemas that the API server would have if it served these kinds."""
    return manifests.Schemas(tmp_path_factory.mktemp("schemas"), MODELS)


def rendered(asked: Schedule = FULL) -> dict[str, dict[str, Any]]:
    """What a person would apply, by kind, after it was text."""
    text = cronjob.text(cronjob.objects(asked, SUITE, CONTENT))
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("asked", [FULL, schedule()], ids=["everything", "the least"])
def test_it_passes_strict_validation(
    schemas: manifests.Schemas, kind: str, asked: Schedule
) -> None:
    found = rendered(asked)[kind]
    assert schemas.objections(found) == []
    assert found["metadata"]["namespace"] == "team"
    assert names.dns_subdomain(found["metadata"]["name"]) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.timezone", "Etc/UTC"),
        ("spec.suspend", "no"),
        ("spec.startingDeadlineSeconds", "600"),
        ("spec.jobTemplate.spec.retries", 1),
        ("spec.jobTemplate.spec.template.spec.containers", {"name": "evaluate"}),
        ("spec.jobTemplate.spec.template.spec.securityContext.runAsUser", "1000"),
        ("spec.schedule", None),
    ],
)
def test_the_validation_would_notice(schemas: manifests.Schemas, path: str, value: Any) -> None:
    found = rendered()["CronJob"]
    *folders, field = path.split(".")
    inner = found
    for each in folders:
        inner = inner[each]
    inner[field] = value
    if value is None:
        del inner[field]
    assert schemas.objections(found) != []


def test_the_words_are_those_of_the_document() -> None:
    spec = rendered()["CronJob"]["spec"]
    shared = set(Schedule.model_fields) & set(spec)
    assert shared >= {"schedule", "timeZone", "concurrencyPolicy", "suspend"}
    assert {field: spec[field] for field in shared} == {
        field: getattr(FULL, field) for field in shared
    }
    job = spec["jobTemplate"]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (1200, 2)
    assert "startingDeadlineSeconds" not in rendered(schedule())["CronJob"]["spec"]


def test_what_schemas_cannot_say_of_a_cron_job() -> None:
    """The rules of Kubernetes' own validation of CronJobs, Jobs and what belongs to them."""
    found = rendered()
    cron_job = found["CronJob"]
    assert len(cron_job["metadata"]["name"]) <= 52
    spec = cron_job["spec"]
    assert not spec["schedule"].startswith(("TZ=", "CRON_TZ="))
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    # a podFailurePolicy needs Never, and names a container that is there
    assert pod["restartPolicy"] == "Never"
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["containerName"] in [each["name"] for each in pod["containers"]]
    assert rule["onExitCodes"]["values"] == [1, 2]  # sorted, without 0
    volumes = {each["name"] for each in pod["volumes"]}
    assert {each["name"] for each in pod["containers"][0]["volumeMounts"]} == volumes


def test_everything_refers_to_what_is_there() -> None:
    found = rendered()
    pod = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    claim = found["PersistentVolumeClaim"]
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert volumes["suite"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    assert pod["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
    mounts = {each["name"]: each for each in pod["containers"][0]["volumeMounts"]}
    assert found["ConfigMap"]["data"] == {mounts["suite"]["subPath"]: CONTENT}
    assert mounts["suite"]["mountPath"] == f"{pod['containers'][0]['workingDir']}/suites/a.yaml"
    assert pod["containers"][0]["image"] == "registry/evaluation:1"
    command = pod["containers"][0]["command"]
    assert command == [*FULL.argv, "--pushgateway", "http://pushgateway:9091"]


def test_it_may_do_as_little_as_possible() -> None:
    found = rendered()
    assert found["Role"]["rules"] == [
        {
            "apiGroups": ["serving.kserve.io"],
            "resources": ["inferenceservices"],
            "resourceNames": ["digits"],
            "verbs": ["get"],
        }
    ]
    pod = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    own = pod["containers"][0]["securityContext"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False


def test_no_secret_is_rendered() -> None:
    text = cronjob.text(cronjob.objects(FULL, SUITE, CONTENT))
    assert "URL" not in text and "alert" not in text


def test_the_command_writes_what_kubectl_applies(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schedule", "render", str(EXAMPLE), "--project", str(ROOT)]) == 0
    text = capsys.readouterr().out
    assert "docker build -f evaluation/Dockerfile -t calumma/evaluation:" in text
    asked = document.read(EXAMPLE, Schedule)
    path = ROOT / asked.suite
    expected = cronjob.objects(asked, suite.read(path), path.read_text())
    assert list(yaml.safe_load_all(text)) == expected
