"""The manifests, checked against Kubernetes' schemas and against the product: nothing here needs a cluster."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from multiner.pipeline.config.settings import load_params
from multiner.serving.airflow.environment import TOKEN_SPARE_SECONDS
from multiner.serving.cli import commands
from multiner.serving.http.request_guard import allowed_hosts

VERSION = "1.33"
OTHER = {"kustomization.yaml", "airflow-values.yaml", "pod-template.yaml"}


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "docker" / "kubernetes"


@pytest.fixture(scope="module")
def kustomization(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def objects(folder: Path, kustomization: dict[str, Any]) -> list[dict[str, Any]]:
    texts = [(folder / name).read_text(encoding="utf-8") for name in kustomization["resources"]]
    return [each for text in texts for each in yaml.safe_load_all(text)]


@pytest.fixture(scope="module")
def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod templates of Deployments and Jobs, by their name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"] for each in objects if "template" in each.get("spec", {})
    }


def test_every_object_follows_the_schema(objects: list[dict[str, Any]]) -> None:
    kinds = {each["kind"] for each in objects}
    assert kinds >= {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "Job"}
    for each in objects:
        kubernetes_validate.validate(each, VERSION, strict=True)


def test_every_manifest_is_applied(folder: Path, kustomization: dict[str, Any]) -> None:
    assert {path.name for path in folder.glob("*.yaml")} - OTHER == set(kustomization["resources"])


def test_pods_are_confined(pods: dict[str, dict[str, Any]]) -> None:
    assert pods.keys() == {"gateway", "mlflow", "buckets"}
    for name, pod in pods.items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"].keys() == {"requests", "limits"}, name


def test_the_commands_exist(pods: dict[str, dict[str, Any]]) -> None:
    scripts = {entry.name for entry in entry_points(group="console_scripts")}
    for pod in pods.values():
        for container in pod["spec"]["containers"]:
            program, *arguments = container["args"]
            assert program in {*scripts, "python"}
            if program == "ner":
                assert CliRunner().invoke(commands, [*arguments, "--help"]).exit_code == 0


def test_what_a_pod_refers_to_is_there(
    folder: Path, kustomization: dict[str, Any], pods: dict[str, dict[str, Any]]
) -> None:
    maps = {each["name"] for each in kustomization["configMapGenerator"]}
    images = {each["name"] for each in kustomization["images"]}
    secrets = set(re.findall(r"-n ner create secret generic ([\w-]+)", (folder / "README.md").read_text()))
    for pod in pods.values():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert {volume["secret"]["secretName"] for volume in volumes.values() if "secret" in volume} <= secrets
        for container in pod["spec"]["containers"]:
            assert container["image"] in images
            assert {each["configMapRef"]["name"] for each in container.get("envFrom", [])} <= maps
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
            sources = [each.get("valueFrom") for each in container.get("env", [])]
            assert {source["secretKeyRef"]["name"] for source in sources if source} <= secrets


def test_what_selects_pods_finds_some(objects: list[dict[str, Any]], pods: dict[str, dict[str, Any]]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods.values()]
    selectors = []
    for each in objects:
        selector = each.get("spec", {}).get("selector", each.get("spec", {}).get("podSelector"))
        if selector and "matchExpressions" not in selector:
            selectors.append(selector.get("matchLabels", selector))
    assert len(selectors) >= 6
    for selector in selectors:
        assert any(selector.items() <= label.items() for label in labels), selector


def test_the_gateway_lives_without_a_champion_and_takes_requests_once_it_answers(
    pods: dict[str, dict[str, Any]],
) -> None:
    (container,) = pods["gateway"]["spec"]["containers"]
    probes = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/live", "liveness": "/live", "readiness": "/ready"}


def test_a_gateway_with_a_name_of_its_own_answers_the_probes(pods: dict[str, dict[str, Any]]) -> None:
    """With ``serving.expose`` or ``serving.hosts`` it refuses the pod's address, which a probe would send."""
    (container,) = pods["gateway"]["spec"]["containers"]
    for kind in ("startup", "liveness", "readiness"):
        (header,) = container[f"{kind}Probe"]["httpGet"]["httpHeaders"]
        assert header["name"] == "Host"
        assert header["value"] in allowed_hosts("0.0.0.0", ["ner.example.org"])


def test_the_autoscaler_goes_by_a_metric_that_the_gateway_shows(
    root: Path, folder: Path, objects: list[dict[str, Any]]
) -> None:
    (scaler,) = [each for each in objects if each["kind"] == "HorizontalPodAutoscaler"]
    (name,) = [metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"] if metric["type"] == "Pods"]
    assert f"`{name}`" in (root / "docs" / "api" / "state.md").read_text(encoding="utf-8")
    assert f"seriesQuery: {name}{{" in (folder / "README.md").read_text(encoding="utf-8")


def test_variables_are_documented(root: Path, folder: Path, kustomization: dict[str, Any]) -> None:
    documented = re.findall(r"(?m)^# ([A-Z][A-Z0-9_]+)=", (root / ".env.example").read_text(encoding="utf-8"))
    literals = [each for generator in kustomization["configMapGenerator"] for each in generator["literals"]]
    values = yaml.safe_load((folder / "airflow-values.yaml").read_text(encoding="utf-8"))
    used = [literal.partition("=")[0] for literal in literals] + [each["name"] for each in values["env"]]
    assert len(used) > 10
    assert set(used) <= set(documented)


def test_airflows_values_have_its_version_and_outlast_the_longest_task(root: Path, folder: Path) -> None:
    values = yaml.safe_load((folder / "airflow-values.yaml").read_text(encoding="utf-8"))
    assert f"apache-airflow=={values['airflowVersion']}" in (root / "setup.py").read_text(encoding="utf-8")
    longest = 60 * load_params(root)["airflow"]["task_timeout_minutes"]
    assert int(values["config"]["execution_api"]["jwt_expiration_time"]) == longest + TOKEN_SPARE_SECONDS
    assert int(values["config"]["celery_broker_transport_options"]["visibility_timeout"]) > 2 * longest


def test_the_template_of_tasks_is_a_confined_pod_whose_mounts_and_paths_are_there(folder: Path) -> None:
    pod = yaml.safe_load((folder / "pod-template.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(pod, VERSION, strict=True)
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert container["name"] == "base", "Airflow looks for this name"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["securityContext"]["runAsNonRoot"] is True
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in spec["volumes"]}
    written = [each["value"] for each in container["env"] if each["name"] in ("NER_WORKSPACES", "HOME", "AIRFLOW_HOME")]
    assert len(written) == 3
    assert all(path.startswith(mounts["scratch"]) for path in written), "the rest of the pod is read-only"
