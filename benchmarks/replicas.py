"""Two gateways behind the documented proxy, under load: what clients notice when one is killed or started anew.

    python benchmarks/replicas.py --requests 20000

Two gateways as they are shipped, each a process with a workspace of its own, share a registry, a database and a token.
nginx stands in front with the configuration of docs/operations/proxy.md. Eight clients ask without pause while one
gateway is killed (SIGKILL) and started again, a new champion whose answers differ is a canary until it is rolled back,
an operator deploys it by hand, and the other gateway is ended (SIGTERM) and started again. Every answer is checked.
Prints a table; exits with 1 if a request was lost or answered wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from switching import CLIENTS, START_SECONDS, Load, Outcome, make_workspace, until

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import processes
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.champions import set_champion
from multiner.pipeline.registry.store import model_name, open_store
from multiner.serving import executors
from multiner.serving.backends.local_server import free_port
from multiner.serving.gateway.state import read_state
from multiner.serving.system.deployment import deploy, stop

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {  # of `serving`
    "reconcile_seconds": 2,  # between two looks of a gateway at the registry, when orders at one reach the other
    "canary_share": 0.5,
}


class Replica:
    """A gateway in a workspace of its own."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.port = workspace, free_port()

    def start(self) -> None:
        """Start it as ``ner up`` does, and return when the champion, or the version of an order, is live."""
        os.environ["NER_GATEWAY_PORT"] = str(self.port)
        deploy(self.workspace, ["en"], if_any=True, insist=False, announce=lambda _: None)

    def kill(self) -> None:
        """Kill it; its models end with it."""
        gateway = read_state(self.workspace)
        assert gateway is not None
        family = processes.tree(gateway.pid)
        family[0].kill()
        processes.end(lambda: processes.running(family))

    def stop(self) -> None:
        """End it as a service manager does."""
        stop(self.workspace)


def nginx_configuration(ports: list[int], port: int, folder: Path) -> str:
    """The configuration in docs/operations/proxy.md, with these gateways, without TLS, in a process of its own."""
    page = (ROOT / "docs" / "operations" / "proxy.md").read_text(encoding="utf-8")
    block = page.partition("```nginx\n")[2].partition("```")[0]
    servers = "\n".join(f"    server 127.0.0.1:{each} max_fails=0;" for each in ports)
    block = re.sub(r"^    server 127\.0\.0\.1:8000 .*$", servers, block, flags=re.M)
    block = re.sub(r"^    ssl_.*\n", "", block, flags=re.M).replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    block = block.replace("server_name ner.example.org;", "server_name _;")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    head = f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
    return f"{head}http {{\naccess_log off;\n{paths}\n{block}\n}}\n"


@contextmanager
def proxy(ports: list[int], folder: Path) -> Iterator[str]:
    """nginx in front of the gateways; gives its address.

    Raises:
        NerError: nginx is not installed, or refuses the configuration.
    """
    if not (program := shutil.which("nginx") or shutil.which("/usr/sbin/nginx")):
        raise NerError("there is no nginx", remedy="apt-get install nginx")
    folder.mkdir()
    port, file = free_port(), folder / "nginx.conf"
    file.write_text(nginx_configuration(ports, port, folder), encoding="utf-8")
    command = [program, "-e", str(folder / "error.log"), "-c", str(file)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    if checked.returncode:
        raise NerError("nginx refuses the configuration of docs/operations/proxy.md", remedy=checked.stderr)
    running = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait()


def make_replicas(folder: Path) -> list[Replica]:
    """Two workspaces with the shipped parameters; the registry, of three versions, is the first one's."""
    first = make_workspace(folder_of(folder, "one"))
    set_champion(open_store(first), model_name(first, "en"), "1")
    second = folder_of(folder, "two")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, second / name)
    shutil.copytree(ROOT / "params", second / "params")
    for place in (first.root, second):
        text = (place / "params.yaml").read_text(encoding="utf-8")
        for name, value in SETTINGS.items():
            text, changes = re.subn(rf"^  {name}: \d+", f"  {name}: {value}", text, flags=re.M)
            assert changes == 1
        (place / "params.yaml").write_text(text, encoding="utf-8")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{first.root}/mlruns/mlflow.db"
    os.environ["NER_STATE_URL"] = f"sqlite:///{folder}/state.db"
    token = folder / "token"
    token.write_text(secrets.token_urlsafe(32), encoding="utf-8")
    os.environ["NER_GATEWAY_TOKEN_FILE"] = str(token)
    return [Replica(Workspace.load(root=root)) for root in (first.root, second)]


def folder_of(folder: Path, name: str) -> Path:
    """A new folder in ``folder``."""
    (folder / name).mkdir()
    return folder / name


class Plan:
    """What happens to the gateways, with a share of the requests between two steps.

    Args:
        replicas: the gateways, which run.
        load: the clients.
        requests: in all, at least.
    """

    def __init__(self, replicas: list[Replica], load: Load, requests: int) -> None:
        self.first, self.second = replicas
        self.replicas, self.load, self.share = replicas, load, requests // 6 + 1
        self.seconds: dict[str, float] = {}
        token = Path(os.environ["NER_GATEWAY_TOKEN_FILE"]).read_text(encoding="utf-8")
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(base_url=load.url, timeout=START_SECONDS, trust_env=False, headers=headers)

    async def run(self) -> None:
        """Every step once."""
        await self.let_ask()
        await executors.run(executors.FILES, self.second.kill)
        await self.let_ask()
        await executors.run(executors.FILES, self.second.start)
        await self.let_ask()
        workspace = self.first.workspace
        set_champion(open_store(workspace), model_name(workspace, "en"), "2")
        await self.timed("canary rolled back at both gateways", self.both_serve("1", canary="rolled_back"))
        await self.let_ask()
        answer = await self.http.post("/admin/deploy", json={"language": "en", "version": "2"})
        answer.raise_for_status()
        await self.timed("order at one gateway live at the other", self.both_serve("2"))
        await executors.run(executors.FILES, self.first.stop)
        await self.let_ask()
        await executors.run(executors.FILES, self.first.start)
        await self.timed("the version of the order live again", self.both_serve("2"))
        await self.let_ask()
        await self.http.aclose()

    def both_serve(self, version: str, canary: str | None = None) -> Callable[[], Awaitable[bool]]:
        """Whether both gateways serve the version, and have a canary in the state ``canary``, if that is given."""

        async def holds() -> bool:
            addresses = [f"http://127.0.0.1:{replica.port}/health" for replica in self.replicas]
            answers: list[Any] = await asyncio.gather(*map(self.http.get, addresses))
            languages = [answer.json()["languages"]["en"] for answer in answers]
            served = all(language["version"] == version for language in languages)
            return served and all(canary in (None, (language["canary"] or {}).get("state")) for language in languages)

        return holds

    async def timed(self, name: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a condition, and note how long."""
        begun = time.perf_counter()
        await until(holds)
        self.seconds[name] = time.perf_counter() - begun

    async def let_ask(self) -> None:
        """Let the clients ask their share."""
        goal = self.load.outcome.requests + self.share
        while self.load.outcome.requests < goal:
            await asyncio.sleep(0.01)


async def drive(replicas: list[Replica], url: str, requests: int) -> tuple[Outcome, dict[str, float]]:
    """Run the clients beside the plan."""
    load = Load(url)
    plan = Plan(replicas, load, requests)
    clients = [asyncio.create_task(load.client(seed)) for seed in range(CLIENTS)]
    try:
        await plan.run()
    finally:
        load.done = True
        await asyncio.gather(*clients)
    return load.outcome, plan.seconds


def measure(folder: Path, requests: int) -> tuple[Outcome, dict[str, float]]:
    """Make two gateways in ``folder``, which is empty, start them and drive them."""
    replicas = make_replicas(folder)
    try:
        for replica in replicas:
            replica.start()
        with proxy([replica.port for replica in replicas], folder / "nginx") as url:
            return asyncio.run(drive(replicas, url, requests))
    finally:
        for replica in replicas:
            replica.stop()


def table(outcome: Outcome, seconds: dict[str, float]) -> str:
    """The outcome in Markdown."""
    ordered = sorted(outcome.seconds)
    lost = outcome.refused + outcome.excess + outcome.wrong.total()
    kinds = {"503": outcome.refused + outcome.excess, **outcome.wrong}
    rows: dict[str, Any] = {
        "requests": outcome.requests,
        "answered, each by one version": outcome.answered,
        "lost or wrong": f"{lost} {kinds}" if lost else 0,
        **{name: f"{value:.1f} s" for name, value in seconds.items()},
        "answer, median / 99 % / slowest": " / ".join(
            f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.0f} ms" for share in (0.5, 0.99, 1)
        ),
    }
    return "\n".join(["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Two gateways behind a proxy, under load.")
    parser.add_argument("--requests", type=int, default=20_000, help="at least so many")
    options = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # the registry is the benchmark's own
    with tempfile.TemporaryDirectory() as folder:
        outcome, seconds = measure(Path(folder), options.requests)
    print(table(outcome, seconds))
    return 1 if outcome.refused or outcome.excess or outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
