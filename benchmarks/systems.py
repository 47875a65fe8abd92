"""Served models to measure: a temporary workspace with a registry of its own, gateways and plain MLflow servers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from clients import ask_alone
from rivals.environment import python_of

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import QUIET
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.processes import tied, tree
from multiner.pipeline.registry.lineage import MODEL_CODE
from multiner.serving.backends.local_server import free_port
from multiner.serving.gateway import state
from multiner.serving.system import deployment as deploy

PROFILE = "cpu"  # a name without a suffix in the registry
READY_SECONDS = 300
NOTHING: Mapping[str, str] = {}
OURS_ALONE = ("NER_THREADS", "OMP_NUM_THREADS", *QUIET)


@dataclass(frozen=True)
class RivalServer:
    """A framework that serves our model by ``rivals/with_<key>.py``, in an environment of its own."""

    key: str
    name: str
    path: str
    protocol: str
    """See :class:`clients.Plan`."""


RIVALS = {
    rival.key: rival
    for rival in (
        RivalServer("mlserver", "MLServer", "/v2/models/ner/infer", "v2"),
        RivalServer("bentoml", "BentoML", "/entities", "texts"),
        RivalServer("litserve", "LitServe", "/predict", "text"),
        RivalServer("ray", "Ray Serve", "/", "text"),
    )
}


@dataclass(frozen=True)
class Served:
    """A system that answers: where, how it is asked (see :class:`clients.Plan`), and its first process."""

    name: str
    url: str
    protocol: str
    pid: int

    def resident_mb(self) -> dict[int, float]:
        """MB of memory of each of its processes, by number."""
        return {each.pid: each.memory_info().rss / 1e6 for each in tree(self.pid)}

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        times = [each.cpu_times() for each in tree(self.pid)]
        return sum(each.user + each.system for each in times)


def make_workspace(
    root: Path, ensembles: Mapping[str, Path], serving: Mapping[str, Any], trained: Mapping[str, Path] | None = None
) -> Workspace:
    """A workspace at ``root`` that holds nothing but these ensembles, ready to be registered.

    Args:
        root: an empty folder.
        ensembles: by language, folders with ensemble.json and legs.
        serving: of its parameters, those that differ from the defaults.
        trained: by language, the trained transformer to put in the place of the exported leg.

    Raises:
        NerError: a folder holds no ensemble.
    """
    params = deepcopy(Workspace.load(root=Path(__file__).resolve().parents[1]).params)
    languages, names = {}, []
    for language, folder in ensembles.items():
        if not (folder / "ensemble.json").is_file():
            raise NerError("no ensemble here", where=str(folder), remedy="Make it: dvc repro")
        described = read_json(folder / "ensemble.json")
        alone = params["languages"][language]["transformer"] | {"start": None}  # that language may not be here
        languages[language] = params["languages"][language] | {"types": described["types"], "transformer": alone}
        names = [member["name"] for member in described["members"]]
        out = root / "data" / "out" / PROFILE / language
        (out / "legs").mkdir(parents=True)
        shutil.copyfile(folder / "ensemble.json", out / "ensemble.json")  # MLflow follows no link out of a folder
        for name in names:
            source = (trained or {}).get(language) if name == "transformer" else None
            shutil.copytree(source or folder / "legs" / name, out / "legs" / name)
    params |= {"profile": PROFILE, "languages": languages, "ensemble": params["ensemble"] | {"legs": names}}
    params["serving"] |= {"port": free_port(), **serving}
    (root / "params").mkdir()
    (root / "params" / f"{PROFILE}.yaml").write_text("{}\n", encoding="utf-8")
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    return Workspace.load(root=root)


def crown_all(workspace: Workspace, code: Path = MODEL_CODE) -> dict[str, Path]:
    """Register each language's ensemble as champion, served by ``code``; the MLflow models' folders, by language."""
    from multiner.pipeline.registry import champion, model_name, open_store
    from multiner.pipeline.registry.champions import model_folder, set_champion
    from multiner.pipeline.registry.packaging import log_model
    from multiner.pipeline.registry.store import open_experiment

    client, folders = open_store(workspace), {}
    for language in workspace.languages:
        run = client.create_run(open_experiment(client, workspace, language))
        name = model_name(workspace, language)
        set_champion(client, name, log_model(run.info.run_id, name, workspace, language, code))
        folders[language] = model_folder(champion(workspace, language))
    return folders


@contextmanager
def gateway(name: str, workspace: Workspace) -> Iterator[Served]:
    """The workspace's gateway with its champions behind it, as ``ner deploy`` brings it up."""
    try:
        deploy.deploy(workspace, announce=lambda line: None)
        found = state.read_state(workspace)
        if found is None:
            raise NerError("the gateway has ended", where=str(workspace.paths.run / "logs"))
        yield Served(name, f"{found.url}/v1/entities", "gateway", found.pid)
    finally:
        deploy.stop(workspace)


def plain(name: str, model: Path, log: Path) -> AbstractContextManager[Served]:
    """``mlflow models serve`` of a model's folder with MLflow's defaults, and none of our settings around it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    return started(name, [*command, "-h", "127.0.0.1", "-p", str(port)], f":{port}/invocations", "mlflow", log)


def rival(server: RivalServer, model: Path, log: Path) -> AbstractContextManager[Served]:
    """A model's folder behind a rival, by the code that is part of the model."""
    port, rivals = free_port(), Path(__file__).resolve().parent / "rivals"
    environment = {
        "NER_MODEL": str(model),
        "PORT": str(port),
        "PYTHONPATH": f"{model / 'code'}{os.pathsep}{rivals}",
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # else it writes a token into the home folder
    }
    command = [str(python_of(server.key)), str(rivals / f"with_{server.key}.py")]
    return started(server.name, command, f":{port}{server.path}", server.protocol, log, environment)


@contextmanager
def started(
    name: str, command: Sequence[str], where: str, protocol: str, log: Path, environment: Mapping[str, str] = NOTHING
) -> Iterator[Served]:
    """A server on loopback, once it answers; it ends with the context.

    Args:
        name: of the system.
        command: starts it.
        where: its port and path.
        protocol: see :class:`clients.Plan`.
        log: what it prints; its current folder is that of this file.
        environment: variables besides this process's own, less our settings.

    Raises:
        NerError: it does not come up.
    """
    url = f"http://127.0.0.1{where}"
    variables = {key: value for key, value in os.environ.items() if key not in OURS_ALONE}
    variables |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": "", **environment}
    variables["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{variables.get('PATH', os.defpath)}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            tied(command), cwd=log.parent, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not finds_entities(url, protocol):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NerError(
                    f"{name} does not come up", where=str(log), remedy=log.read_text(errors="replace")[-2000:]
                )
            time.sleep(0.5)
        yield Served(name, url, protocol, process.pid)
    finally:
        members = tree(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for member in members:  # some have groups of their own
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def finds_entities(url: str, protocol: str) -> bool:
    """Whether a server answers a text already."""
    try:
        return len(list(ask_alone(url, protocol, "en", ["Ada Lovelace"]))) == 1
    except httpx.HTTPError:
        return False
