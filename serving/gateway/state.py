"""What a running gateway leaves for others to find it by: its state file and its token, under ``.run``."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.core.processes import still_runs
from multiner.pipeline.core.secret_files import secret_of
from multiner.serving.addresses import netloc


@dataclass(frozen=True, slots=True)
class GatewayState:
    """A running gateway: process, its start time (process ids are reused), and its address."""

    pid: int
    created: float
    host: str
    port: int
    token_file: str
    profile: str

    @property
    def url(self) -> str:
        """The address to ask it at."""
        return f"http://{netloc(self.host, self.port)}"


def state_file(workspace: Workspace) -> Path:
    """Where a running gateway says how to reach it."""
    return workspace.paths.run / "gateway.json"


def token_file(workspace: Workspace) -> Path:
    """The secret of the admin endpoints, readable by its owner alone."""
    return workspace.paths.run / "gateway.token"


def log_file(workspace: Workspace, name: str = "gateway") -> Path:
    """The log of a served process."""
    return workspace.paths.run / "logs" / f"{name}.log"


def store_url(workspace: Workspace) -> str:
    """The database that gateways share: ``NER_STATE_URL``, or the file that ``NER_STATE_URL_FILE`` names; else SQLite.

    Raises:
        NerError: the named file cannot be read, or is empty.
    """
    own = f"sqlite:///{workspace.paths.run / 'state.db'}"
    return os.environ.get("NER_STATE_URL") or secret_of("NER_STATE_URL_FILE") or own


def work_folders(workspace: Workspace) -> Path:
    """Where model servers have their folders."""
    return workspace.paths.run / "work"


@contextlib.contextmanager
def only_gateway(workspace: Workspace) -> Iterator[None]:
    """Be the workspace's gateway until this process ends; NerError where another one is, whose token would be lost."""
    path = workspace.paths.run / "gateway.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = read_state(workspace)
            raise NerError(
                f"a gateway of this workspace runs already (process {running.pid if running else 'unknown'})",
                where=running.url if running else str(path),
                remedy="See `ner status`; `ner down` ends it.",
            ) from None
        yield


def write_state(workspace: Workspace, host: str, port: int) -> GatewayState:
    """Say that this process is the workspace's gateway."""
    process = psutil.Process()
    state = GatewayState(process.pid, process.create_time(), host, port, str(token_file(workspace)), workspace.profile)
    write_json(state_file(workspace), asdict(state))
    return state


def clear_state(workspace: Workspace) -> None:
    """Take back what :func:`write_state` said, unless another gateway has taken over."""
    state = read_state(workspace)
    if state is None or state.pid == os.getpid():
        state_file(workspace).unlink(missing_ok=True)


def read_state(workspace: Workspace) -> GatewayState | None:
    """The running gateway; None where there is none, whatever the file says."""
    try:
        state = GatewayState(**read_json(state_file(workspace)))
        return state if still_runs(state.pid, state.created) else None
    except (OSError, ValueError, TypeError):
        return None


def new_token(workspace: Workspace) -> str:
    """The secret that ``NER_GATEWAY_TOKEN_FILE`` names, else a new one; a file that only its owner can read has it.

    Raises:
        NerError: the named file cannot be read, or is empty.
    """
    token, path = secret_of("NER_GATEWAY_TOKEN_FILE") or secrets.token_urlsafe(32), token_file(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    return token
