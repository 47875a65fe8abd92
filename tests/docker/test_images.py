"""The images and the compose file, read and linted: nothing here needs a container engine."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner

from multiner.serving.cli import commands

ROOT = Path(__file__).resolve().parents[2]
FILES = ("Dockerfile.pipeline", "Dockerfile.serving")


def instructions(name: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions in order, continued lines joined."""
    text = (ROOT / "docker" / name).read_text(encoding="utf-8")
    text = re.sub(r"(?m)^\s*#.*\n", "", text)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split(None, 1)[0].upper(), line.split(None, 1)[1].strip()) for line in lines if line.strip()]


@pytest.fixture
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_only_known_instructions(name: str) -> None:
    known = {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD", "ARG"}
    found = [word for word, _ in instructions(name)]
    assert set(found) <= known
    assert found[0] == "FROM"


@pytest.mark.parametrize("name", FILES)
def test_the_base_is_pinned_to_a_release(name: str) -> None:
    bases = [rest for word, rest in instructions(name) if word == "FROM"]
    assert bases
    assert all(re.fullmatch(r"python:3\.1[1-3]\.\d+-slim-\w+", base) for base in bases)


@pytest.mark.parametrize("name", FILES)
def test_runs_as_another_user_than_root(name: str) -> None:
    users = [rest for word, rest in instructions(name) if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert any(f"useradd --create-home --uid 10001 {users[-1]}" in rest for word, rest in instructions(name))
    order = [word for word, _ in instructions(name)]
    assert "RUN" not in order[order.index("USER") :]


@pytest.mark.parametrize("name", FILES)
def test_python_packages_come_from_the_lock(name: str) -> None:
    installs = re.findall(
        r"pip install ([^&]*)", " && ".join(rest for word, rest in instructions(name) if word == "RUN")
    )
    assert installs
    for install in installs:
        assert "requirements.lock" in install or "--no-deps" in install


@pytest.mark.parametrize("name", FILES)
def test_copies_what_is_there_and_nothing_secret(name: str) -> None:
    for word, rest in instructions(name):
        if word != "COPY":
            continue
        *sources, _ = [part for part in shlex.split(rest) if not part.startswith("--")]
        for source in sources:
            assert source != ".", "a whole context would take in data and secrets"
            assert not re.search(r"secret|token|password|\.env|\.run|mlruns|^data(?!/(manifest|samples))", source)
            assert (ROOT / source).exists(), source


@pytest.mark.parametrize("name", FILES)
def test_the_context_holds_what_is_copied_and_no_more(name: str) -> None:
    lines = (ROOT / "docker" / f"{name}.dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {part for word, rest in instructions(name) if word == "COPY" for part in shlex.split(rest)[:-1]}
    assert copied <= allowed


@pytest.mark.parametrize("name", FILES)
def test_no_secret_is_baked_in(name: str) -> None:
    for word, rest in instructions(name):
        if word in ("ENV", "ARG"):
            assert not re.search(r"(?i)(password|secret|token|api_?key)\w*=", rest)


@pytest.mark.parametrize("name", FILES)
def test_health_is_checked_on_a_port_that_is_exposed(name: str) -> None:
    checks = [rest for word, rest in instructions(name) if word == "HEALTHCHECK"]
    ports = {port for word, rest in instructions(name) if word == "EXPOSE" for port in rest.split()}
    assert len(checks) == 1
    assert re.search(r"127\.0\.0\.1:(\d+)", checks[0]).group(1) in ports


def command_of(service: dict[str, Any]) -> list[str]:
    """The ner command of a service, without the program."""
    assert service["command"][0] == "ner"
    return service["command"][1:]


def test_the_services_are_the_parts_of_the_system(compose: dict[str, Any]) -> None:
    parts = [part for one in compose["services"].values() for part in command_of(one)[-1].split(",")]
    assert sorted(parts) == ["airflow", "mlflow", "serving"]


def test_the_commands_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        result = CliRunner().invoke(commands, [*command_of(service), "--help"])
        assert result.exit_code == 0, result.output


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in published)
    knobs = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["serving"]
    ports = {int(port.split(":")[1]) for port in published}
    assert ports == {knobs["port"], knobs["mlflow_port"], knobs["airflow_port"]}


def test_volumes_are_declared_and_the_registry_is_shared(compose: dict[str, Any]) -> None:
    named = {
        volume.split(":")[0]: name
        for name, service in compose["services"].items()
        for volume in service["volumes"]
        if not volume.startswith(("$", ".", "/"))
    }
    assert named.keys() == compose["volumes"].keys()
    for service in compose["services"].values():
        assert "registry:/app/mlruns" in service["volumes"]


def test_services_are_confined_and_built_from_files_that_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert (ROOT / "docker" / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in compose["services"][other]


def environment_of(compose: dict[str, Any], part: str) -> dict[str, str]:
    """The environment of the service that runs a part."""
    (found,) = [one for one in compose["services"].values() if part in command_of(one)[-1].split(",")]
    return found.get("environment", {})


def test_the_gateway_finds_airflow_where_it_runs(compose: dict[str, Any]) -> None:
    gateway = environment_of(compose, "serving")
    knobs = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["serving"]
    address = urlsplit(gateway["NER_AIRFLOW_URL"])
    assert "airflow" in command_of(compose["services"][address.hostname])[-1].split(",")
    assert address.port == knobs["airflow_port"]
    public = urlsplit(gateway["NER_AIRFLOW_PUBLIC_URL"])
    assert f"{public.hostname}:{public.port}:{address.port}" in compose["services"][address.hostname]["ports"]


def test_secrets_come_from_outside_and_only_to_who_needs_them(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"(?i)password|secret|token|key", name):
                assert value == f"${{{name}:-}}", "from the shell or docker/.env, empty where it is not set"
    assert environment_of(compose, "serving")["NER_AIRFLOW_PASSWORD"]
    assert environment_of(compose, "airflow")["NER_AIRFLOW_PASSWORD"], "both know the same"
    assert "NER_AIRFLOW_PASSWORD" not in environment_of(compose, "mlflow")


def test_the_example_of_the_environment_names_what_compose_reads_and_no_secret(compose: dict[str, Any]) -> None:
    example = (ROOT / "docker" / "env.example").read_text(encoding="utf-8")
    named = dict(re.findall(r"(?m)^#? ?([A-Z_]+)=(.*)$", example))
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")))
    assert named.keys() == asked
    assert named["NER_AIRFLOW_PASSWORD"] == ""
    assert "/docker/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_docker_is_no_package() -> None:
    assert not list((ROOT / "docker").glob("*.py")), "it would hide the installed package of that name"


def test_the_image_of_the_gateway_has_what_the_gateway_imports() -> None:
    code = (
        "import sys, multiner.serving.gateway.app, multiner.serving.matching, multiner.serving.system.running\n"
        "from importlib.metadata import packages_distributions\n"
        "names = packages_distributions()\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*{each.lower() for top in tops for each in names.get(top, ())})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.replace("_", "-") for name in done.stdout.split()}
    text = (ROOT / "setup.py").read_text(encoding="utf-8").partition("REQUIRED = [")[2].partition("\n]")[0]
    required = {re.split(r"[<>=]", name)[0] for name in re.findall(r'(?m)^    "([^"]+)"', text)}
    image = (ROOT / "docker" / "Dockerfile.serving").read_text(encoding="utf-8")
    installed = set(
        image.partition("--constraint requirements.lock")[2].partition("\n\n")[0].replace("\\", " ").split()
    )
    assert {"fastapi", "rapidfuzz", "prometheus-client"} <= loaded & required
    assert loaded & required <= installed
