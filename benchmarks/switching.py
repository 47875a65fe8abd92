"""Switches and kills under load: what clients notice of them.

    python benchmarks/switching.py --requests 20000

The gateway as it is shipped, a process with the settings of params.yaml and a registry of its own, serves a small model
whose labels tell its version, by real `mlflow models serve` processes. Eight clients ask without pause while twenty
switches of the alias `champion` and five kills (SIGKILL of the process group) go on; every answer is checked: offsets,
text, and that one version gave it. Prints a table; exits with 1 if anything was lost or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.champions import set_champion
from multiner.pipeline.registry.store import model_name, open_experiment, open_store
from multiner.serving.backends.local_server import free_port
from multiner.serving.gateway.state import GatewayState, read_state
from multiner.serving.system.deployment import deploy, stop

ROOT = Path(__file__).resolve().parents[1]
CLIENTS, SWITCHES, KILLS = 8, 20, 5
START_SECONDS = 180
GENTLE = 0.25  # seconds between a client's requests while a process starts, which needs the processors
NAMES = ("Anna", "Ингрид", "Bo", "Мария", "Cleo", "Zoë")
WORD = r"[A-ZА-Я]\w+"
MODEL = f'''
import re
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Capitals(PythonModel):
    """Marks capitalised words; the label is the version, so that an answer tells who gave it."""

    def load_context(self, context):
        self.label = open(context.artifacts["label"]).read()

    def predict(self, context, model_input: pd.DataFrame, params=None):
        return [
            {{"entities": [
                {{"start": m.start(), "end": m.end(), "text": m.group(), "label": self.label}}
                for m in re.finditer(r"{WORD}", text)
            ]}}
            for text in model_input["text"]
        ]

set_model(Capitals())
'''


def make_workspace(folder: Path) -> Workspace:
    """A workspace with the shipped parameters, and a registry that holds three versions of an English model."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "params", folder / "params")
    workspace = Workspace.load(root=folder)
    register_versions(workspace, "123")
    return workspace


def register_versions(workspace: Workspace, versions: str) -> None:
    """Register a model a version, which marks capitalised words with the version's number as label."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    client, code, label = open_store(workspace), workspace.root / "capitals.py", workspace.root / "label.txt"
    code.write_text(MODEL, encoding="utf-8")
    for version in versions:
        label.write_text(version)
        run = client.create_run(open_experiment(client, workspace, "en"))
        with mlflow.start_run(run_id=run.info.run_id):
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code),
                artifacts={"label": str(label)},
                signature=ModelSignature(Schema([ColSpec("string", "text")])),
                pip_requirements=["mlflow"],
                registered_model_name=model_name(workspace, "en"),
            )


@dataclass
class Outcome:
    """What clients saw. ``refused`` are 503s while no process was left, ``excess`` those while one was."""

    answered: int = 0
    refused: int = 0
    excess: int = 0
    wrong: Counter[str] = field(default_factory=Counter)  # kind of fault → requests
    versions: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # of the answers
    switches: list[float] = field(default_factory=list)  # seconds from the order until it was carried out
    restarts: list[float] = field(default_factory=list)  # seconds from a kill until the version was live again
    kills: int = 0

    @property
    def requests(self) -> int:
        """Requests that have ended, one way or another."""
        return self.answered + self.refused + self.excess + self.wrong.total()


class Load:
    """Eight clients and what they see.

    Args:
        url: the gateway's address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.outcome = Outcome()
        self.none_left = False  # no process is left: 503 is right
        self.pause = 0.0  # seconds that a client waits between requests
        self.done = False

    async def client(self, seed: int) -> None:
        """Ask until it is done."""
        draw = random.Random(seed)
        async with httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False) as http:
            while not self.done:
                names = [draw.sample(NAMES, 3) for _ in range(draw.randint(1, 3))]
                texts = [f"{one}{draw.randint(0, 999)} met 🙂 {two}\r\nin {three}" for one, two, three in names]
                await self._ask(http, texts)
                await asyncio.sleep(self.pause)

    async def _ask(self, http: httpx.AsyncClient, texts: list[str]) -> None:
        outcome, allowed, begun = self.outcome, self.none_left, time.perf_counter()
        try:
            response = await http.post("/v1/entities", json={"text": texts, "language": "en"})
        except httpx.HTTPError as error:
            outcome.wrong[type(error).__name__] += 1
            return
        if response.status_code == 503 and int(response.headers.get("retry-after", 0)) > 0:
            if allowed or self.none_left:
                outcome.refused += 1
            else:
                outcome.excess += 1
        elif fault := check(texts, response):
            outcome.wrong[fault] += 1
        else:
            outcome.answered += 1
            outcome.versions[response.json()["results"][0]["model"]["version"]] += 1
            outcome.seconds.append(time.perf_counter() - begun)


def check(texts: list[str], response: httpx.Response) -> str:
    """What is wrong with an answer; empty where nothing is."""
    if response.status_code != 200:
        return f"status {response.status_code}"
    results = response.json()["results"]
    if len(results) != len(texts):
        return "results missing"
    said = {result["model"]["version"] for result in results}
    said |= {entity["label"] for result in results for entity in result["entities"]}
    if len(said) != 1:
        return "versions mixed"
    for text, result in zip(texts, results, strict=True):
        expected = [(found.start(), found.end(), found.group()) for found in re.finditer(WORD, text)]
        if [(entity["start"], entity["end"], entity["text"]) for entity in result["entities"]] != expected:
            return "entities wrong"
    return ""


class Plan:
    """The switches and kills, one after the other, with a share of the requests between them.

    Args:
        workspace: whose registry says which version is champion.
        gateway: the running gateway.
        load: the clients.
        share: requests between two steps, at least.
    """

    def __init__(self, workspace: Workspace, gateway: GatewayState, load: Load, share: int) -> None:
        self.registry, self.model = open_store(workspace), model_name(workspace, "en")
        self.gateway, self.load, self.share = gateway, load, share
        headers = {"Authorization": f"Bearer {Path(gateway.token_file).read_text()}"}
        self.http = httpx.AsyncClient(base_url=load.url, timeout=START_SECONDS, trust_env=False, headers=headers)

    async def run(self) -> None:
        """Twenty switches and five kills: two with a warm version behind, two of that version, one of the last."""
        for version in "21212121":
            await self.switch(version)
        await self.kill("1")
        for version in "2121":
            await self.switch(version)
        await self.kill_the_warm("2")
        for version in "3131313":
            await self.switch(version)
        await self.kill("3")
        await self.switch("1")
        await self.kill_the_warm("3")
        await self.kill("1", last=True)
        await self.http.aclose()

    async def switch(self, version: str) -> None:
        """Make a version champion and have the gateway follow, as ``ner deploy`` does."""
        set_champion(self.registry, self.model, version)
        begun, self.load.pause = time.perf_counter(), 0.0 if self._find(version) else GENTLE
        answer = await self.http.post("/admin/reconcile", json={"language": "en"})
        self.load.pause = 0.0
        if answer.status_code != 200 or answer.json()["version"] != version:
            raise RuntimeError(f"the switch to version {version} failed: {answer.text}")
        self.load.outcome.switches.append(time.perf_counter() - begun)
        await self.let_ask()

    async def kill(self, version: str, *, last: bool = False) -> None:
        """Kill the live version, and wait until it is live again."""
        self.load.none_left = last
        begun = time.perf_counter()
        self._kill(version)
        await until(self._is("state", "restarting"))
        self.load.pause = GENTLE
        await until(self._is("state", "live"))
        self.load.pause, self.load.none_left = 0.0, False
        self.load.outcome.restarts.append(time.perf_counter() - begun)
        await self.let_ask()

    async def kill_the_warm(self, version: str) -> None:
        """Kill the version behind the live one, and wait until the gateway knows."""
        self._kill(version)
        await until(self._is("previous", None))
        await self.let_ask()

    def _kill(self, version: str) -> None:
        os.killpg(self._find(version).pid, signal.SIGKILL)
        self.load.outcome.kills += 1

    def _find(self, version: str) -> psutil.Process | None:
        """The process that serves a version, at the head of its group."""
        alive = (each for each in psutil.Process(self.gateway.pid).children() if each.status() != psutil.STATUS_ZOMBIE)
        return next((each for each in alive if f"models:/{self.model}/{version}" in each.cmdline()), None)

    def _is(self, name: str, value: Any) -> Callable[[], Awaitable[bool]]:
        async def holds() -> bool:
            return (await self.http.get("/health")).json()["languages"]["en"][name] == value

        return holds

    async def let_ask(self) -> None:
        """Let the clients ask their share."""
        goal = self.load.outcome.requests + self.share
        while self.load.outcome.requests < goal:
            await asyncio.sleep(0.01)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it does not come.
    """
    async with asyncio.timeout(START_SECONDS):
        while not await holds():
            await asyncio.sleep(0.05)


async def drive(workspace: Workspace, gateway: GatewayState, requests: int) -> Outcome:
    """Run the clients beside the plan."""
    load = Load(gateway.url)
    clients = [asyncio.create_task(load.client(seed)) for seed in range(CLIENTS)]
    try:
        await Plan(workspace, gateway, load, requests // (SWITCHES + KILLS) + 1).run()
    finally:
        load.done = True
        await asyncio.gather(*clients)
    return load.outcome


def measure(folder: Path, requests: int) -> Outcome:
    """Make a workspace in ``folder``, which is empty, start its gateway and drive it with at least so many requests."""
    workspace = make_workspace(folder)
    set_champion(open_store(workspace), model_name(workspace, "en"), "1")
    os.environ["NER_GATEWAY_PORT"] = str(free_port())
    try:
        deploy(workspace, ["en"], announce=print)
        return asyncio.run(drive(workspace, read_state(workspace), requests))
    finally:
        del os.environ["NER_GATEWAY_PORT"]
        stop(workspace)


def table(outcome: Outcome) -> str:
    """The outcome in Markdown."""
    ordered = sorted(outcome.seconds)
    warm = sorted(outcome.switches)[: SWITCHES - 2]  # two of them start a version first
    rows = {
        "requests": outcome.requests,
        "answered, each by one version": outcome.answered,
        "503 with Retry-After while no process was left": outcome.refused,
        "503 while one was": outcome.excess,
        "dropped, wrong or mixed": json.dumps(outcome.wrong) if outcome.wrong else 0,
        "switches, slowest to a warm version": f"{len(outcome.switches)}, {1000 * warm[-1]:.0f} ms",
        "kills, slowest restart": f"{outcome.kills}, {max(outcome.restarts):.1f} s",
        "answer, median / 99 % / slowest": " / ".join(
            f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.0f} ms" for share in (0.5, 0.99, 1)
        ),
    }
    return "\n".join(["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Switches and kills under load.")
    parser.add_argument("--requests", type=int, default=20_000, help="at least so many")
    options = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # the registry is the benchmark's own
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure(Path(folder), options.requests)
    print(table(outcome))
    return 1 if outcome.wrong or outcome.excess else 0


if __name__ == "__main__":
    sys.exit(main())
