"""The compose files, checked against the schema and against the product: nothing here needs a container engine."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner

from multiner.pipeline.config.settings import load_params
from multiner.serving.airflow.environment import TOKEN_SPARE_SECONDS
from multiner.serving.cli import commands

COMPOSE = ("compose.yaml", "compose.cluster.yaml")
OURS = ("ner-pipeline", "ner-pipeline-cluster", "ner-serving", "ner-serving-cluster")
THIRD_PARTY = ("AWS_", "POSTGRES_")  # read by the object store's clients and by PostgreSQL's image


@pytest.fixture(params=COMPOSE)
def compose(root: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(root, request.param)


@pytest.fixture
def cluster(root: Path) -> dict[str, Any]:
    return read(root, "compose.cluster.yaml")


@pytest.fixture
def one_host(root: Path) -> dict[str, Any]:
    return read(root, "compose.yaml")


def read(root: Path, name: str) -> dict[str, Any]:
    return yaml.safe_load((root / "docker" / name).read_text(encoding="utf-8"))


def environments(compose: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for name, service in compose["services"].items():
        yield name, service.get("environment", {})


def example(root: Path) -> dict[str, str]:
    """The variables of .env.example, with their values."""
    return dict(re.findall(r"(?m)^# ([A-Z][A-Z0-9_]+)=(.*)$", (root / ".env.example").read_text(encoding="utf-8")))


def commands_of(service: dict[str, Any]) -> list[list[str]]:
    """The programs that one of our images runs, those of a shell's line one by one."""
    command = service["command"] if service["image"] in OURS else ["another image"]
    if command[:2] != ["sh", "-ec"]:
        return [command]
    lines = re.split(r";|&&", re.sub(r"\$\$\(.*?\)", "value", command[2]))
    words = [[word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word)] for line in lines]
    return [line[1:] if line[0] == "exec" else line for line in words if line and line[0] not in ("umask", "printf")]


@pytest.mark.parametrize("name", COMPOSE)
def test_it_follows_the_compose_specification(root: Path, name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(root / "docker" / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_service_refers_to_is_declared(root: Path, compose: dict[str, Any]) -> None:
    volumes, secrets = set(), set()
    for service in compose["services"].values():
        secrets |= set(service.get("secrets", []))
        for volume in service.get("volumes", []):
            source, _, target = volume.partition(":")
            if target and not source.startswith(("$", ".", "/")):
                volumes.add(source)
            if source.startswith("./"):
                assert (root / "docker" / source).is_file(), source
        for other, condition in service.get("depends_on", {}).items():
            target = compose["services"][other]
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in target or target["image"] in OURS
            else:
                assert condition["condition"] == "service_completed_successfully"
                assert target["restart"] == "no"
    assert volumes == compose["volumes"].keys()
    assert secrets == compose["secrets"].keys()


def test_services_are_confined(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert {"max-size", "max-file"} == service["logging"]["options"].keys(), name
        if service["image"] in OURS:
            assert "/tmp" in service["tmpfs"], name
        else:
            assert re.fullmatch(r"[\w/.-]+:[\w.-]+@sha256:[0-9a-f]{64}", service["image"]), name
            assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name


def test_our_images_are_built_from_files_that_exist(
    root: Path, compose: dict[str, Any], packaging: dict[str, Any]
) -> None:
    for service in compose["services"].values():
        if service["image"] in OURS:
            build = service["build"]
            assert (root / "docker" / build["context"]).resolve() == root
            arguments = re.findall(r"(?m)^ARG (\w+)", (root / build["dockerfile"]).read_text(encoding="utf-8"))
            assert build["args"].keys() <= set(arguments)
            assert build["args"]["COMMIT"] == "${COMMIT:-}"
            assert set(build["args"].get("EXTRAS", "serve").split(",")) <= packaging["extras_require"].keys()


def test_the_commands_exist(compose: dict[str, Any]) -> None:
    scripts = {entry.name for entry in entry_points(group="console_scripts")}
    ours = [service for service in compose["services"].values() if service["image"] in OURS]
    assert len(ours) >= 3
    for program, *arguments in [command for service in ours for command in commands_of(service)]:
        assert program in {*scripts, "python"}, program
        if program == "ner":
            result = CliRunner().invoke(commands, [*arguments, "--help"])
            assert result.exit_code == 0, result.output


def test_airflows_commands_exist(cluster: dict[str, Any]) -> None:
    """Celery's worker is a provider's command, which is not installed here."""
    from airflow.cli.cli_parser import get_parser

    lines = [line for service in cluster["services"].values() for line in commands_of(service) if line[0] == "airflow"]
    assert [line[1:3] for line in lines].count(["celery", "worker"]) == 2
    checks = [shlex.split(service["healthcheck"]["test"][1]) for service in cluster["services"].values()
              if service.get("healthcheck", {}).get("test", [""])[-1].startswith("airflow ")]  # fmt: skip
    assert len(checks) == 2
    for line in lines + checks:
        if line[1] != "celery":
            assert get_parser().parse_args(line[1:]), line


def test_ports_are_published_on_loopback_only(root: Path, compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in published)
    knobs = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["serving"]
    ports = {int(port.split(":")[1]) for port in published}
    assert ports == {knobs["port"], knobs["mlflow_port"], knobs["airflow_port"]}


def test_the_parts_of_one_host_are_those_of_the_system(one_host: dict[str, Any]) -> None:
    parts = [commands_of(service)[0][-1] for service in one_host["services"].values()]
    assert sorted(parts) == ["airflow", "mlflow", "serving"]
    for service in one_host["services"].values():
        assert "registry:/app/mlruns" in service["volumes"]


def test_each_part_of_the_system_is_there_in_a_cluster(cluster: dict[str, Any]) -> None:
    lines = [line for service in cluster["services"].values() for line in commands_of(service)]
    airflow = {line[1] for line in lines if line[0] == "airflow"}
    assert airflow >= {"api-server", "scheduler", "dag-processor", "triggerer", "celery"}
    assert sum(line[-1] == "serving" for line in lines) == 2
    (mlflow,) = [line for line in lines if line[0] == "mlflow"]
    assert mlflow[mlflow.index("--artifacts-destination") + 1].startswith("s3://"), "clients need no keys"


def test_two_workers_share_no_folder_that_is_written_to(cluster: dict[str, Any]) -> None:
    for worker in ("worker-1", "worker-2"):
        for volume in cluster["services"][worker]["volumes"]:
            assert ":" not in volume or volume.endswith(":ro"), "a volume without a name is one container's own"


def test_workers_and_gateways_of_a_cluster_exclude_each_other(cluster: dict[str, Any]) -> None:
    """They share no folder for lock files, and MLflow's server has no locks."""
    for name in ("worker-1", "worker-2", "gateway-1", "gateway-2"):
        service = cluster["services"][name]
        assert service["environment"]["NER_LOCK_DATABASE_FILE"] == "/run/secrets/gateway_state", name
        assert "gateway_state" in service["secrets"], name


def test_addresses_are_those_of_services(cluster: dict[str, Any], one_host: dict[str, Any]) -> None:
    for compose in (cluster, one_host):
        for _, environment in environments(compose):
            for name, value in environment.items():
                host = urlsplit(re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", value)).hostname
                if host and value.partition("://")[0].endswith("http"):
                    assert host in {*compose["services"], "127.0.0.1"}, name


def test_the_gateways_proxy_knows_both_gateways(root: Path, cluster: dict[str, Any]) -> None:
    text = (root / "docker" / "cluster" / "nginx.conf").read_text(encoding="utf-8")
    gateways = {name for name in cluster["services"] if name.startswith("gateway")}
    for upstream in re.findall(r"upstream \w+ \{(.*?)\n    \}", text, flags=re.S):
        assert set(re.findall(r"server ([\w-]+):8000", upstream)) == gateways


def test_secrets_are_files_that_only_who_needs_them_gets(compose: dict[str, Any]) -> None:
    for name, environment in environments(compose):
        mounted = set(compose["services"][name].get("secrets", []))
        line = json.dumps([environment, compose["services"][name].get("command", []),
                           compose["services"][name].get("healthcheck", {})])  # fmt: skip
        assert set(re.findall(r"/run/secrets/([\w.]+)", line)) == mounted, name
        for variable, value in environment.items():
            if re.search(r"(?i)password|secret|token|_key|sql_alchemy|broker_url|backend|credentials", variable):
                assert "/run/secrets/" in value or variable.endswith("PASSWORDS_FILE"), variable


def test_the_script_makes_every_secret_once(root: Path, compose: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "docker" / "secrets.sh"
    script.parent.mkdir()
    script.write_text((root / "docker" / "secrets.sh").read_text(encoding="utf-8"))
    for _ in range(2):
        subprocess.run(["sh", str(script)], check=True)
        contents = {file.name: file.read_text() for file in (tmp_path / "docker" / "secrets").iterdir()}
        assert (tmp_path / "docker" / "secrets").stat().st_mode & 0o077 == 0
    assert {"secrets/" + name for name in contents} >= {each["file"] for each in compose["secrets"].values()}
    assert all(contents.values())
    assert json.loads(contents["s3.json"])["identities"][0]["credentials"][0]["accessKey"] in contents["s3_credentials"]
    before = dict(contents)
    subprocess.run(["sh", str(script)], check=True)
    assert {file.name: file.read_text() for file in (tmp_path / "docker" / "secrets").iterdir()} == before


def test_times_outlast_the_longest_task(root: Path, cluster: dict[str, Any]) -> None:
    longest = 60 * load_params(root)["airflow"]["task_timeout_minutes"]
    settings = cluster["services"]["airflow-scheduler"]["environment"]
    assert int(settings["AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME"]) == longest + TOKEN_SPARE_SECONDS
    assert int(settings["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) > 2 * longest


def test_every_variable_is_documented_and_read(root: Path, compose: dict[str, Any]) -> None:
    documented, code = example(root), source(root)
    for _, environment in environments(compose):
        for name in environment:
            if name.startswith("AIRFLOW__"):
                _, section, option = name.lower().split("__")
                option = option.removesuffix("_cmd")
                assert section.startswith("celery") or option in airflow_options()[section], name
            elif name.startswith("MLFLOW_") and name not in code:
                assert name in mlflow_variables(), name
            elif name != "AIRFLOW_HOME" and not name.startswith(THIRD_PARTY):
                assert name in code, name
            assert name in documented or name.startswith("AIRFLOW_"), name
    used = set(re.findall(r"\$\{(\w+)", json.dumps(compose)))
    assert used <= documented.keys()


def test_the_example_names_what_the_product_reads_and_no_secret(root: Path) -> None:
    documented, code = example(root), source(root)
    own = {"NER_DVC_PULL", "NER_LOCK_FOLDER", "NER_OWN_STAGE", "NER_SINCE", "NER_SYSTEM"}  # the first is refused
    ours = set(re.findall(r"\bNER_[A-Z_]+\b", code)) - own
    assert {name for name in documented if name.startswith("NER_")} == ours
    assert documented["NER_AIRFLOW_PASSWORD"] == ""
    ignored = (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/docker/.env", "/docker/secrets/", "/.env"} <= set(ignored)


def source(root: Path) -> str:
    """All modules of the product and the DAGs."""
    folders = ("pipeline", "serving", "dags")
    return "\n".join(path.read_text(encoding="utf-8") for name in folders for path in (root / name).rglob("*.py"))


@cache
def airflow_options() -> dict[str, set[str]]:
    text = (files("airflow") / "config_templates" / "config.yml").read_text(encoding="utf-8")
    return {section: set(settings["options"]) for section, settings in yaml.load(text, yaml.CSafeLoader).items()}


def mlflow_variables() -> set[str]:
    """MLflow's variables, and those of the options of `mlflow server`."""
    from mlflow import environment_variables
    from mlflow.cli import server

    options = {name for option in server.params for name in [option.envvar] if isinstance(name, str)}
    return options | {name for name in vars(environment_variables) if name.startswith("MLFLOW_")}
