"""A cluster on one machine, each part a process: databases, broker, object store, MLflow, Airflow, two Celery workers.

Nothing but these servers is common to the workers: each has a clone, a home, and a folder for temporary files.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from multiner.pipeline.config.settings import overlay
from multiner.pipeline.core import processes
from multiner.pipeline.core.environment import quiet_environment
from multiner.serving.addresses import listening
from multiner.serving.airflow.api import AirflowClient
from multiner.serving.backends.local_server import free_port
from tests.e2e.conftest import copy_working_tree

BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
S3_PORTS = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
WORKERS = ("worker-1", "worker-2")
START_SECONDS = 300
LOCAL = ("AIRFLOW", "AWS", "MLFLOW", "NER", "CI")  # what of the caller's environment is not handed on


class Cluster:
    """The processes of a cluster, from :meth:`start` to :meth:`close`.

    Args:
        source: the working tree that is cloned.
        mirror: where ``ner pull`` finds the corpora.
        profile: of the parameters.
    """

    def __init__(self, source: Path, mirror: Path, profile: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ner-integration-"))
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self.ports = {part: free_port() for part in ("postgres", "redis", "mlflow", "airflow", "gateway", *S3_PORTS)}
        self.database = f"postgresql+psycopg2://ner@{HOST}:{self.ports['postgres']}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        inherited = {name: value for name, value in quiet_environment().items() if not name.startswith(LOCAL)}
        self.environment = inherited | processes.mark(self.folder) | {"NER_CORPORA_MIRROR": str(mirror)}
        self.keys = {"AWS_ACCESS_KEY_ID": "ner", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
        self.keys |= {"AWS_ENDPOINT_URL": self.url("s3.port"), "AWS_DEFAULT_REGION": "us-east-1"}
        self.password = secrets.token_urlsafe(12)
        self.airflow_settings = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": self.url("airflow") + "/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{self.database}/airflow",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://{HOST}:{self.ports['redis']}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self.database}/airflow",
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "NER_LOCK_DATABASE": f"{self.database}/mlflow",
            "NER_GATEWAY_URL": self.url("gateway"),
            "NER_WORKSPACE": "own",
            "NER_STORE": "s3://dvc/ner",
        }
        self._clone(source, profile)

    def _clone(self, source: Path, profile: str) -> None:
        origin = self.folder / "origin"
        origin.mkdir()
        copy_working_tree(source, origin)
        ports = {"port": self.ports["gateway"]} | {f"{part}_port": self.ports[part] for part in ("mlflow", "airflow")}
        values = {"profile": profile, "serving": ports, "airflow": {"schedule": None}}
        path = origin / "params.yaml"
        params = overlay(yaml.safe_load(path.read_text(encoding="utf-8")), values)
        path.write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True), encoding="utf-8")
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run([*git, "commit", "-qam", "Parameters"], cwd=origin, check=True)
        for name in ("main", *WORKERS):
            subprocess.run(["git", "clone", "-q", "--no-hardlinks", origin, self.clone(name)], check=True)

    def url(self, part: str) -> str:
        """The address of a part."""
        return f"http://{HOST}:{self.ports[part]}"

    def clone(self, name: str) -> Path:
        """The clone of ``main`` or of a worker."""
        return self.folder / name / "clone"

    def start(self) -> None:
        """Start all parts, each once those that it needs answer."""
        self.start_postgres()
        self.start_redis()
        self.start_s3()
        self._wait("SeaweedFS", self._make_buckets)
        self._wait("PostgreSQL", lambda: listening(HOST, self.ports["postgres"]))
        self._wait("databases", self._make_databases)
        self.start_mlflow()
        self._wait("MLflow", lambda: answers(self.url("mlflow") + "/health"))
        command = [BIN / "ner", "up", "--foreground", "--no-trigger", "--parts", "airflow,serving"]
        settings = self.own("main") | self.airflow_settings | {"NER_AIRFLOW_PASSWORD": self.password}
        self.launch("main", command, cwd=self.clone("main"), **settings)
        log = self.logs / "main.log"
        self._wait("Airflow", lambda: "ready" in log.read_text().splitlines())
        for name in WORKERS:
            self.start_worker(name)

    def start_postgres(self) -> None:
        """Start PostgreSQL; it refuses to run as root, so it gets a user of its own then."""
        installed = [Path("/usr/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
        programs = next(folder for folder in reversed(installed) if (folder / "initdb").exists())
        data = self.folder / "postgres"
        user = "postgres" if os.getuid() == 0 else None
        if not data.exists():
            self.folder.chmod(0o711)
            data.mkdir(mode=0o700)
            if user:
                os.chown(data, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
            command = [programs / "initdb", "-D", data, "-U", "ner", "-A", "trust", "-E", "UTF8", "--no-sync"]
            with (self.logs / "initdb.log").open("w") as log:
                subprocess.run(command, user=user, cwd="/", stdout=log, stderr=log, check=True)
        command = [
            programs / "postgres",
            "-D",
            data,
            "-h",
            HOST,
            "-p",
            self.ports["postgres"],
            "-F",
            "-c",
            "max_connections=200",
        ]
        self.launch("postgres", [*command, "-c", "unix_socket_directories="], user=user)

    def start_redis(self) -> None:
        """Start Redis; with what it had, when it was ended before."""
        data = self.folder / "redis"
        data.mkdir(exist_ok=True)
        self.launch(
            "redis",
            ["redis-server", "--port", self.ports["redis"], "--bind", HOST, "--dir", data, "--appendonly", "yes"],
        )

    def start_s3(self) -> None:
        """Start SeaweedFS."""
        data, config = self.folder / "s3", self.folder / "s3.json"
        data.mkdir(exist_ok=True)
        credentials = [{"accessKey": self.keys["AWS_ACCESS_KEY_ID"], "secretKey": self.keys["AWS_SECRET_ACCESS_KEY"]}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "ner", "credentials": credentials, "actions": actions}
        config.write_text(json.dumps({"identities": [identity]}))
        ports = [f"-{option}={self.ports[option]}" for option in S3_PORTS]
        command = [BIN / "weed", "server", f"-dir={data}", f"-ip={HOST}", "-ip.bind=" + HOST, *ports]
        command += [
            "-volume.max=100",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=256",
            "-s3",
            f"-s3.config={config}",
        ]
        self.launch("s3", command)

    def start_mlflow(self) -> None:
        """Start MLflow's server: its clients need no keys of the object store."""
        command = [BIN / "mlflow", "server", "--host", HOST, "--port", self.ports["mlflow"], "--workers", "1"]
        command += ["--backend-store-uri", f"{self.database}/mlflow", "--artifacts-destination", "s3://mlflow"]
        more = {"MLFLOW_S3_ENDPOINT_URL": self.keys["AWS_ENDPOINT_URL"], "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.launch("mlflow", command, **self.keys, **more)

    def start_worker(self, name: str) -> None:
        """Start a Celery worker, which works on one task at a time."""
        command = [BIN / "ner", "airflow", "celery", "worker", "--queues", "default", "--concurrency", "1"]
        command += ["--celery-hostname", f"{name}@%h", "--skip-serve-logs"]
        self.launch(name, command, cwd=self.clone(name), **self.own(name), **self.airflow_settings, **self.keys)

    def own(self, name: str) -> dict[str, str]:
        """The environment that ``main`` and each worker have for themselves."""
        folders = {"HOME": "home", "TMPDIR": "tmp", "NER_WORKSPACES": "workspaces"}
        for folder in folders.values():
            (self.folder / name / folder).mkdir(exist_ok=True)
        paths = {variable: str(self.folder / name / folder) for variable, folder in folders.items()}
        return paths | {"NER_ROOT": str(self.clone(name)), "PYTHONPATH": str(self.clone(name))}

    def launch(
        self, name: str, command: list[Any], *, user: str | None = None, cwd: Path | None = None, **more: str
    ) -> None:
        """Start a process; its output goes to ``logs/NAME.log``."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                processes.tied(map(str, command)) if user is None else list(map(str, command)),
                cwd=cwd or "/",
                env=self.environment | more,
                user=user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """End a process and all that it has started, as a machine ends whose power fails."""
        tree = processes.tree(self.running[name].pid)
        for process in tree:
            process.suspend()
        for process in {*tree, *processes.tree(self.running[name].pid)}:
            process.kill()
        self.running[name].wait()

    def restart(self, name: str, away: float) -> None:
        """Stop a server in good order, and start it again ``away`` seconds later."""
        self.running[name].send_signal(signal.SIGINT)  # PostgreSQL then ends its clients' connections at once
        self.running[name].wait(60)
        time.sleep(away)  # the fault itself: so long nobody answers
        starts = {"postgres": self.start_postgres, "redis": self.start_redis, "s3": self.start_s3}
        starts[name]()
        port = self.ports["s3.port" if name == "s3" else name]
        self._wait(f"{name} again", lambda: listening(HOST, port))

    def close(self) -> None:
        """End all processes, and remove the folder."""
        if main := self.running.pop("main", None):
            main.terminate()
            main.wait(120)
        trees = [each for process in self.running.values() for each in processes.tree(process.pid)]

        def left() -> list[psutil.Process]:  # some write over their environment, and with it over the mark
            marked = (processes.marked(root) for root in (self.clone("main"), self.folder))
            return list({*processes.running(trees), *chain.from_iterable(marked)})

        processes.end(left, patience=3)  # a worker would end its training first
        for process in self.running.values():
            process.wait()
        if not os.environ.get("NER_INTEGRATION_KEEP"):
            shutil.rmtree(self.folder)

    def client(self) -> AirflowClient:
        """A client of Airflow's API."""
        return AirflowClient(self.url("airflow"), "admin", self.password)

    def s3(self) -> Any:
        """A client of the object store."""
        import boto3  # as psycopg2 below only in the environment of `make integration`

        return boto3.client(
            "s3",
            endpoint_url=self.keys["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys["AWS_SECRET_ACCESS_KEY"],
            region_name=self.keys["AWS_DEFAULT_REGION"],
        )

    def tries(self, name: str) -> dict[tuple[str, str], int]:
        """The tasks whose logs a worker has, by DAG and task, with the number of the last try there."""
        logs = (self.clone(name) / ".run" / "airflow" / "logs").glob("dag_id=*/run_id=*/task_id=*/attempt=*.log")
        tries: dict[tuple[str, str], int] = {}
        for log in logs:
            dag, _, task, attempt = (part.partition("=")[2] for part in log.parts[-4:])
            tries[dag, task] = max(tries.get((dag, task), 0), int(attempt.removesuffix(".log")))
        return tries

    def trains(self, name: str) -> bool:
        """Whether a stage of DVC's runs under a worker, in its working copy."""
        return any("train" in process.cmdline() for process in processes.tree(self.running[name].pid))

    def log_lines(self, dag: str, task: str) -> list[str]:
        """The last lines of a task's logs, of all tries on all workers."""
        pattern = f".run/airflow/logs/dag_id={dag}/run_id=*/task_id={task}/attempt=*.log"
        logs = [log for name in WORKERS for log in self.clone(name).glob(pattern)]
        return [line for log in logs for line in [str(log), *log.read_text(errors="replace").splitlines()[-40:]]]

    def _make_buckets(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            present = {bucket["Name"] for bucket in self.s3().list_buckets()["Buckets"]}
            for name in {"dvc", "mlflow"} - present:
                self.s3().create_bucket(Bucket=name)
        except (BotoCoreError, ClientError):
            return False
        return True

    def _make_databases(self) -> bool:
        import psycopg2

        try:
            connection = psycopg2.connect(host=HOST, port=self.ports["postgres"], user="ner", dbname="postgres")
        except psycopg2.OperationalError:
            return False
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name in ("airflow", "mlflow"):
                cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return True

    def _wait(self, what: str, ready: Callable[[], Any]) -> None:
        wait_for(ready, START_SECONDS, what, self)


def wait_for(condition: Callable[[], Any], seconds: float, what: str, cluster: Cluster) -> Any:
    """What ``condition`` returns once that is true.

    Raises:
        AssertionError: it is not after so many seconds, or a process has ended; with the ends of the logs.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        ended = [name for name, process in cluster.running.items() if process.poll() not in (None, -9)]
        if ended or time.monotonic() > deadline:
            logs = {log.name: log.read_text(errors="replace")[-3000:] for log in cluster.logs.iterdir()}
            text = "\n".join(f"--- {name}\n{tail}" for name, tail in logs.items())
            raise AssertionError(f"{what}: {'ended: ' + ', '.join(ended) if ended else 'it does not come'}\n{text}")
        time.sleep(0.5)
    return value


def answers(url: str) -> bool:
    """Whether a server answers with success."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
