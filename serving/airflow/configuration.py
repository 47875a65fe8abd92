"""Airflow's options: our defaults, those of the caller's environment, and the few that must stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from multiner.pipeline.core.errors import NerError

PREFIX = "AIRFLOW__"
EXECUTOR = "CORE__EXECUTOR"
PARALLELISM = f"{PREFIX}CORE__PARALLELISM"
VARIANTS = ("", "_CMD", "_SECRET")  # of an option's variable: the value, a command that prints it, a secret's name

FIXED = {
    "CORE__DAGS_FOLDER": "the DAGs are those of the workspace, which NER_ROOT names",
    "CORE__PLUGINS_FOLDER": "the DAGs' buttons come from the workspace's own plugins folder",
    "CORE__AUTH_MANAGER": "ner logs in through Airflow's simple auth manager",
    "CORE__SIMPLE_AUTH_MANAGER_USERS": "ner logs in as the user admin",
    "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "give the password in NER_AIRFLOW_PASSWORD or …_PASSWORD_FILE",
    "API__HOST": "give the address in serving.host of params.yaml, or NER_BIND",
    "API__PORT": "give the port in serving.airflow_port of params.yaml",
}
"""Options whose change would break the system, each with what to do in its place."""

PROVIDERS = {
    "CeleryExecutor": ("airflow.providers.celery", "celery"),
    "KubernetesExecutor": ("airflow.providers.cncf.kubernetes", "kubernetes"),
    "EdgeExecutor": ("airflow.providers.edge3", "edge"),
}
"""The package that an executor comes from, and the extra of ours that installs it."""

EDGE_EXECUTOR = "airflow.providers.edge3.executors.EdgeExecutor"  # Airflow knows the others by their short names


def options(defaults: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables ``AIRFLOW__…`` of a process: those of ``environ``, and ``defaults`` for what it does not set.

    Args:
        defaults: by the name after ``AIRFLOW__``.
        environ: the caller's environment.

    Raises:
        NerError: ``environ`` sets an option that must stay, or an executor whose provider is not installed.
    """
    own = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    for name, reason in FIXED.items():
        if PREFIX + name in own and own[PREFIX + name] != defaults.get(name):
            raise NerError(
                "this option of Airflow cannot be changed", where=PREFIX + name, remedy=f"Unset it: {reason}."
            )
    merged = {PREFIX + name: value for name, value in defaults.items() if not _is_set(name, own)} | own
    executors = [name.strip() for name in merged[PREFIX + EXECUTOR].split(",")]
    merged[PREFIX + EXECUTOR] = ",".join(map(_executor, executors))
    if executors != ["LocalExecutor"] and PARALLELISM not in own:
        del merged[PARALLELISM]  # our default is for one machine's cores; Airflow's counts tasks of all machines
    if "EdgeExecutor" in executors:
        merged.setdefault(f"{PREFIX}EDGE__API_ENABLED", "True")
    return merged


def _is_set(name: str, own: Mapping[str, str]) -> bool:
    """Whether the environment sets an option in one of Airflow's three ways; the variable with the value goes first."""
    option = name.removesuffix("_CMD")
    return any(f"{PREFIX}{option}{variant}" in own for variant in VARIANTS)


def _executor(name: str) -> str:
    """An executor as Airflow takes it.

    Raises:
        NerError: its provider is not installed.
    """
    package, extra = PROVIDERS.get(name, ("airflow", ""))
    if not _installed(package):
        raise NerError(
            f"{name} needs a package that is not installed",
            where=PREFIX + EXECUTOR,
            remedy=f"Install it on every machine of this Airflow: pip install 'ner-pipeline[{extra}]'",
        )
    return f"{name}:{EDGE_EXECUTOR}" if name == "EdgeExecutor" else name


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False
