"""What a running gateway leaves for others to find it by: its state file and its token, under ``.run``."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.serving.addresses import netloc
from multiner.serving.backends.process_tree import is_running

GATEWAY_PORT = "NER_GATEWAY_PORT=8001, or serving.port in params.yaml"  # what sets it


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


def work_folders(workspace: Workspace) -> Path:
    """Where model servers have their folders."""
    return workspace.paths.run / "work"


def address(workspace: Workspace) -> tuple[str, int]:
    """Host and port to listen on: ``NER_BIND`` and ``NER_GATEWAY_PORT`` before ``serving.host`` and ``serving.port``.

    The host is without the brackets that an IPv6 address has in URLs.

    Raises:
        NerError: no such port.
    """
    settings = workspace.params["serving"]
    named = os.environ.get("NER_GATEWAY_PORT")
    try:
        port = int(named or settings["port"])
        if not 0 < port < 65536:
            raise ValueError
    except (TypeError, ValueError):
        where = "NER_GATEWAY_PORT" if named else "params.yaml: serving.port"
        raise NerError(f"no port: {named or settings['port']!r}", where=where, remedy="Give 1 to 65535.") from None
    return (os.environ.get("NER_BIND") or settings["host"]).strip("[]"), port


def cannot_listen(
    error: OSError | UnicodeError, host: str, port: int, *, part: str = "serving", setting: str = GATEWAY_PORT
) -> NerError:
    """The error of an address that cannot be listened on: occupied, not this machine's, or not ours to take.

    Args:
        error: what binding to it raised.
        host, port: the address.
        part: what was to listen there.
        setting: what sets its port.
    """
    code, where = getattr(error, "errno", None), f"{host}:{port}"
    if code == errno.EADDRINUSE:
        message = f"port {port}, meant for {part}, is in use by another program"
        return NerError(message, where=where, remedy=f"End that program, or set another port: {setting}.")
    if code in (errno.EACCES, errno.EPERM):
        remedy = f"Choose a port from 1024 upwards: {setting}."
    else:
        remedy = "Give an address of this machine, such as 127.0.0.1: NER_BIND, or serving.host in params.yaml."
    reason = getattr(error, "strerror", None) or "no such address"
    return NerError(f"cannot listen: {reason}", where=where, remedy=remedy)


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
        process = psutil.Process(state.pid)
        alive = is_running(process) and abs(process.create_time() - state.created) < 2
    except (OSError, ValueError, TypeError, psutil.Error):
        return None
    return state if alive else None


def new_token(workspace: Workspace) -> str:
    """A fresh secret, written to a file that only its owner can read."""
    token, path = secrets.token_urlsafe(32), token_file(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    return token
