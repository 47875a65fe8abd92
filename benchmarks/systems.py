"""Served models to measure: a temporary workspace with a registry of its own, gateways and plain MLflow servers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

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
OURS_ALONE = ("NER_THREADS", "OMP_NUM_THREADS", *QUIET)


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
        languages[language] = params["languages"][language] | {"types": described["types"]}
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


@contextmanager
def plain(name: str, model: Path, log: Path) -> Iterator[Served]:
    """``mlflow models serve`` of a model's folder with MLflow's defaults, and none of our settings around it.

    Raises:
        NerError: it does not come up.
    """
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    command += ["-h", "127.0.0.1", "-p", str(port)]
    environment = {key: value for key, value in os.environ.items() if key not in OURS_ALONE}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": ""}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            tied(command), cwd=log.parent, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not answers(f"http://127.0.0.1:{port}/ping"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NerError(
                    f"{name} does not come up", where=str(log), remedy=log.read_text(errors="replace")[-2000:]
                )
            time.sleep(0.5)
        yield Served(name, f"http://127.0.0.1:{port}/invocations", "mlflow", process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
