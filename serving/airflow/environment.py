"""The configuration of the embedded Airflow: environment variables alone; by default SQLite, state under ``.run``."""

from __future__ import annotations

import json
import math
import os
import secrets
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import no_proxy, quiet_environment, without_secrets
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.core.secret_files import secret_of
from multiner.serving.addresses import netloc
from multiner.serving.airflow import configuration

USER = "admin"
SHARED_STATE = ("NER_STATE_URL", "NER_STATE_URL_FILE")  # for the tasks of the DAG drift
TOKEN_SPARE_SECONDS = 3600  # by which a task's token outlives the task's time limit: start, end, a slow machine
DAY = 86400  # seconds; Airflow's own default for Redis' visibility timeout


def home(workspace: Workspace) -> Path:
    """Airflow's own folder."""
    return workspace.paths.run / "airflow"


def script(name: str) -> str:
    """The path of a console script beside this interpreter."""
    return str(Path(sys.executable).parent / name)


def secret_file(path: Path, value: str) -> Path:
    """Write a secret to ``path``, readable by its owner alone; an existing file stays. Returns ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
    return path


def password_file(workspace: Workspace) -> Path:
    """The file with the password of Airflow's user; the first call makes one up."""
    return secret_file(home(workspace) / "passwords.json", json.dumps({USER: secrets.token_urlsafe(12)}) + "\n")


def password(workspace: Workspace) -> str:
    """The password of Airflow's user."""
    return json.loads(password_file(workspace).read_text(encoding="utf-8"))[USER]


def password_from_environment() -> str | None:
    """The password in ``NER_AIRFLOW_PASSWORD``, or in the file that ``NER_AIRFLOW_PASSWORD_FILE`` names, if any.

    Raises:
        NerError: both are set, or the file cannot be read or is empty.
    """
    value = os.environ.get("NER_AIRFLOW_PASSWORD")
    if value and os.environ.get("NER_AIRFLOW_PASSWORD_FILE"):
        raise NerError("NER_AIRFLOW_PASSWORD and NER_AIRFLOW_PASSWORD_FILE are both set", remedy="Set one of them.")
    return value or secret_of("NER_AIRFLOW_PASSWORD_FILE")


def update_password_file(workspace: Workspace) -> Path:
    """As :func:`password_file`, for an Airflow about to start: the environment's password replaces the file's.

    Raises:
        NerError: as :func:`password_from_environment`.
    """
    path, new = password_file(workspace), password_from_environment()
    if new and new != password(workspace):
        temporary = path.with_name("passwords.new.json")
        temporary.unlink(missing_ok=True)
        secret_file(temporary, json.dumps({USER: new}) + "\n").replace(path)
    return path


def first_start(workspace: Workspace) -> str:
    """When this workspace's Airflow was first started (ISO 8601); the schedule begins then."""
    return secret_file(home(workspace) / "since", datetime.now(UTC).isoformat(timespec="seconds")).read_text().strip()


def own_database(workspace: Workspace) -> Path | None:
    """Airflow's SQLite database; None where the environment names another one."""
    names = (f"{configuration.PREFIX}DATABASE__SQL_ALCHEMY_CONN{variant}" for variant in configuration.VARIANTS)
    return None if any(name in os.environ for name in names) else home(workspace) / "airflow.db"


def installed() -> str | None:
    """The version of Airflow that is installed; None where there is none, as in the gateway's image."""
    try:
        return version("apache-airflow")
    except PackageNotFoundError:
        return None


def _migrated(workspace: Workspace) -> Path:
    return home(workspace) / "migrated"


def note_migration(workspace: Workspace) -> None:
    """Note that Airflow's own database has the schema of the installed release."""
    with write_atomically(_migrated(workspace)) as file:
        file.write(f"{installed()}\n")


def migrated_by(workspace: Workspace) -> str | None:
    """The release of Airflow that has made or last migrated its own database; None before that is done."""
    file = _migrated(workspace)
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def older_release(workspace: Workspace) -> str | None:
    """The other release of Airflow that its own database is of; None where it is of the installed one, or not made."""
    own, before = own_database(workspace), migrated_by(workspace)
    return before if own and own.is_file() and before != installed() else None


def token_seconds(workspace: Workspace) -> int:
    """The lifetime of a task's token: longer than any task may run (``airflow.task_timeout_minutes``)."""
    return math.ceil(60 * workspace.params["airflow"]["task_timeout_minutes"]) + TOKEN_SPARE_SECONDS


def visibility_seconds(workspace: Workspace) -> int:
    """After how long Redis hands a task that is not done to another worker: never while it may still run.

    The time counts from when a worker takes the task, which may then wait behind another one.
    """
    return max(DAY, 2 * token_seconds(workspace))


def environment(
    workspace: Workspace, *, host: str, airflow_port: int, mlflow_url: str, docs_url: str
) -> dict[str, str]:
    """The environment of every Airflow process, and of the commands that the tasks run.

    What the caller's environment sets for Airflow (``AIRFLOW__…``) goes before our defaults. Secrets of ours are not in
    it: Airflow reads them from files (``*_CMD``).

    Raises:
        NerError: as :func:`password_from_environment` and :func:`.configuration.options`.
    """
    folder, root = home(workspace), workspace.root
    jwt = secret_file(folder / "jwt_secret", secrets.token_urlsafe(64))
    key = secret_file(folder / "secret_key", secrets.token_urlsafe(32))
    own = f"http://{netloc(host, airflow_port)}"
    airflow = {
        "CORE__DAGS_FOLDER": str(root / "dags"),
        "CORE__PLUGINS_FOLDER": str(root / "dags" / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "2",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(update_password_file(workspace)),
        "CORE__EXECUTION_API_SERVER_URL": f"{own}/execution/",
        "API__HOST": host,
        "API__PORT": str(airflow_port),
        "API__BASE_URL": own,
        "API__WORKERS": "1",
        "API__SECRET_KEY_CMD": shlex.join(["cat", str(key)]),
        "API_AUTH__JWT_SECRET_CMD": shlex.join(["cat", str(jwt)]),
        # a token that expires in the middle of a request is not renewed, and its task is killed for lack of heartbeats
        "EXECUTION_API__JWT_EXPIRATION_TIME": str(token_seconds(workspace)),
        "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": str(visibility_seconds(workspace)),
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "180",
        "LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return {
        **without_secrets(quiet_environment()),
        **{name: os.environ[name] for name in SHARED_STATE if name in os.environ},
        **no_proxy(host),
        **configuration.options(airflow, os.environ),
        "AIRFLOW_HOME": str(folder),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "NER_ROOT": str(root),
        "NER_SINCE": first_start(workspace),
        "NER_MLFLOW_URL": mlflow_url,
        "NER_DOCS_URL": docs_url,
    }
