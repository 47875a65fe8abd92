"""``ner deploy``, also a DAG task: bring the registry's champions live at a gateway, here or elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

import multiner
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import processes
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError, joined
from multiner.pipeline.registry.failures import RegistryUnavailable
from multiner.serving import addresses
from multiner.serving.addresses import try_to_bind
from multiner.serving.gateway import state
from multiner.serving.logs import open_log
from multiner.serving.system import gateway_client as client
from multiner.serving.system.components import launch, tail

if TYPE_CHECKING:
    from multiner.pipeline.registry.champions import ModelVersionInfo


@dataclass(frozen=True, slots=True)
class Deployment:
    """The outcome for a language: ``action`` is ``started``, or as in :meth:`Reconciler.reconcile`.

    ``name`` and ``version`` are of the model that answers, None while it restarts; ``before`` answered before it.
    ``canary`` is the version that is tried out.
    """

    language: str
    name: str | None
    version: str | None
    action: str
    endpoint: str
    before: str | None = None
    canary: str | None = None

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.language}: no version is live at {self.endpoint}: {self.action}"
        if self.action == "unloaded":
            return f"{self.language}: memory is short; the next request loads {self.name} version {self.version}"
        if self.canary:
            trial = f"version {self.canary} is tried out before it takes over"
            return f"{self.language}: {self.name} version {self.version} is live at {self.endpoint}; {trial}"
        before = f" (version {self.before} before)" if self.before and self.before != self.version else ""
        return f"{self.language}: {self.name} version {self.version} is live at {self.endpoint}: {self.action}{before}"


def deploy(
    workspace: Workspace,
    languages: Sequence[str] | None = None,
    *,
    if_any: bool = False,
    if_running: bool = False,
    insist: bool = True,
    start: bool = False,
    announce: Callable[[str], None] = print,
) -> list[Deployment]:
    """Bring the champions live at the workspace's gateway, which is started if none runs.

    Args:
        workspace: its registry and gateway.
        languages: by default all with a champion, or with an endpoint elsewhere.
        if_any: do nothing without a champion.
        if_running: do nothing without a gateway.
        insist: as in :meth:`Reconciler.reconcile`.
        start: start the gateway even if there is nothing to bring live yet.
        announce: gets a line about each step.

    Raises:
        RegistryUnavailable: the registry cannot be read.
        NerError: no champion, the port is occupied, or a version does not come up (the version before stays live);
            the other languages are deployed all the same.
    """
    if if_running and state.read_state(workspace) is None:
        announce("no gateway runs: nothing to do; the next gateway starts with the registry's champions")
        return []
    endpoints = workspace.params["serving"]["endpoints"]
    names = languages or workspace.languages
    champions, failures = _champions(workspace, [name for name in names if name not in endpoints])
    present = [name for name in names if name in endpoints or champions.get(name)]
    if failures and not present:
        raise joined(failures)
    if not if_any and (languages or not present):
        _require_champions(champions)
    if not present and not start:
        announce("no champion yet: nothing to do")
        return []
    with FileLock(workspace.paths.run / "deploy.lock"):  # one start at a time
        gateway = state.read_state(workspace)
        new = gateway is None
        if gateway is None:
            gateway = start_gateway(workspace, announce)
    _require_profile(workspace, gateway)
    deployments = []
    for language in present:
        try:
            deployment = _bring_live(gateway, language, new=new, insist=insist)
        except NerError as error:
            failures.append(error)
            continue
        announce(str(deployment))
        deployments.append(deployment)
    if failures:
        raise joined(failures)
    return deployments


def await_live(
    workspace: Workspace,
    gateway: str,
    languages: Sequence[str] | None = None,
    *,
    patience: float = 600,
    if_any: bool = False,
    if_running: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Wait until a gateway elsewhere, which follows the registry by itself, serves the champions or tries them out.

    Args:
        workspace: its registry.
        gateway: the gateway's address.
        languages: by default all with a champion; those with an endpoint elsewhere are left out.
        patience: seconds to wait.
        if_any: do nothing without a champion.
        if_running: do nothing if the gateway does not answer.
        announce: gets a line about each step.

    Raises:
        RegistryUnavailable: the registry cannot be read.
        NerError: no champion, or one is not live in time.
    """
    running = bool(client.served_versions(gateway))
    if if_running and not running:
        announce(f"no gateway answers at {gateway}: nothing to do; it starts with the registry's champions")
        return
    endpoints = workspace.params["serving"]["endpoints"]  # others decide on the versions there
    here = [code for code in languages or workspace.languages if code not in endpoints]
    champions, failures = _champions(workspace, here)
    versions = {code: str(champion.version) for code, champion in champions.items() if champion}
    if failures and not versions:
        raise joined(failures)
    if not if_any and (languages or not (versions or endpoints)):
        _require_champions(champions)
    if champions and not versions:
        announce("no champion yet: nothing to do")
        return
    deadline = time.monotonic() + patience
    if not running:
        announce(f"{gateway} does not answer, or no version is live there: waiting up to {patience:.0f} s")
    while True:
        served = client.served_versions(gateway)
        late = sorted(code for code, version in versions.items() if version not in served.get(code, ()))
        if not late:
            break
        if time.monotonic() > deadline:
            message = f"{', '.join(late)}: the champion is not live after {patience:.0f} s"
            raise NerError(message, where=gateway, transient=True)
        time.sleep(2)
    for code, version in versions.items():
        announce(f"{code}: version {version} is {served[code][version]} at {gateway}")
    if failures:
        raise joined(failures)


def _require_champions(champions: Mapping[str, ModelVersionInfo | None]) -> None:
    """Refuse languages without a champion."""
    if missing := [name for name, champion in champions.items() if champion is None]:
        raise NerError(
            f"no champion for {', '.join(missing)} in the registry",
            remedy=f"Train, register and promote one: ner register --language {missing[0]}",
        )


def _champions(
    workspace: Workspace, languages: Sequence[str]
) -> tuple[dict[str, ModelVersionInfo | None], list[NerError]]:
    """The champions of the languages, and why some cannot be told; RegistryUnavailable where none can."""
    from multiner.pipeline import registry

    champions: dict[str, ModelVersionInfo | None] = {}
    failures: list[NerError] = []
    for language in languages:
        try:
            champions[language] = registry.champion(workspace, language)
        except RegistryUnavailable:
            raise
        except NerError as error:
            failures.append(error)
    return champions, failures


def stop(workspace: Workspace, *, patience: float = 45) -> bool:
    """End the workspace's gateway and its models after the requests in flight; returns whether one ran."""
    gateway = state.read_state(workspace)
    if gateway is None:
        state.state_file(workspace).unlink(missing_ok=True)
        return False
    family = processes.tree(gateway.pid)
    processes.end(lambda: processes.running(family), patience=patience, first=family[:1])
    state.state_file(workspace).unlink(missing_ok=True)
    return True


def start_gateway(workspace: Workspace, announce: Callable[[str], None] = print) -> state.GatewayState:
    """Start the gateway in the background, and return when it answers (its models may still load).

    Raises:
        NerError: the port is occupied, or the gateway ends at once.
    """
    host, port = addresses.gateway_address(workspace)
    try:
        try_to_bind(host, port)
    except (OSError, UnicodeError) as error:  # a name that no domain can have is a UnicodeError
        raise addresses.cannot_listen(error, host, port) from None
    log = state.log_file(workspace)
    announce(f"starting the gateway on port {port} (log: {log.relative_to(workspace.root)})")
    code = Path(multiner.__file__).parents[1]
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))
    with open_log(log) as output:
        command = [sys.executable, "-m", "multiner.serving.gateway.app", "--profile", workspace.profile]
        environment = quiet_environment(NER_ROOT=str(workspace.root), PYTHONPATH=path)
        process = launch(command, workspace.root, environment, output)  # not tied: it outlives this command
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        gateway = state.read_state(workspace)
        if gateway is not None and gateway.pid == process.pid and client.routes_at(gateway.url):
            return gateway
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise NerError(f"the gateway did not start\n{tail(log)}", where=str(log))


def _bring_live(gateway: state.GatewayState, language: str, *, new: bool, insist: bool) -> Deployment:
    route = client.started_route(gateway, language) if new else client.route(gateway, language)
    live = route["version"] if route["state"] in ("live", "unloaded") else None
    answer = client.post(gateway, "/admin/reconcile", {"language": language, "insist": insist})
    action = "started" if new and answer["action"] == "nothing to do" else answer["action"]
    canary = client.running_canary(answer)
    return Deployment(language, answer["name"], answer["version"], action, gateway.url, live, canary)


def _require_profile(workspace: Workspace, gateway: state.GatewayState) -> None:
    if gateway.profile != workspace.profile:
        raise NerError(
            f"the running gateway serves profile {gateway.profile!r}, not {workspace.profile!r}",
            where=gateway.url,
            remedy="End it first: ner down. (A trial's models never take the place of real ones by themselves.)",
        )
