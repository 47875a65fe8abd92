"""Real faults, injected from outside the product: kills, full disks, locked databases, servers that hang."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 600  # no wait takes as long, on a busy machine either
PYTHON = sys.executable
NER = str(Path(PYTHON).with_name("ner"))
# Our own user, without root's privilege to read and write everything.
UNPRIVILEGED = ("unshare", "--user", "--map-user=65534", "--map-group=65534")


def until(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for a condition; the process that has to bring it about must not end before."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert process is None or process.poll() is None, f"ended with {process.returncode}: {process.communicate()}"
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def ner_with(action: str, function: str, mark: Path) -> list[str]:
    """The beginning of a ``ner`` command with a fault where it calls ``function``, which leaves the file ``mark``.

    Args:
        action: as ``ner_with_fault.py`` explains.
        function: dotted, such as ``multiner.pipeline.registry.registration.log_model``.
        mark: written just before the fault.
    """
    return [PYTHON, str(Path(__file__).with_name("ner_with_fault.py")), action, function, str(mark)]


class SmallDisk:
    """A file system of a few megabytes at a folder, for commands in a mount namespace of their own.

    Args:
        holder: a process in that namespace.
        folder: where these commands have it.
    """

    def __init__(self, holder: int, folder: Path) -> None:
        self.folder = folder
        self.content = Path(f"/proc/{holder}/root{folder}")
        """The same file system, for this process."""
        self.command = ["nsenter", f"--target={holder}", "--user", "--mount", "--preserve-credentials"]
        """The beginning of a command that sees it."""

    def fill(self, leave: int) -> None:
        """Fill it with a file ``.filler``, so that ``leave`` bytes are free."""
        disk = os.statvfs(self.content)
        (self.content / ".filler").write_bytes(bytes(max(0, disk.f_bavail * disk.f_frsize - leave)))

    def is_full(self) -> bool:
        """Whether a page more does not fit, or nearly so."""
        disk = os.statvfs(self.content)
        return disk.f_bavail * disk.f_frsize < 256 * 1024

    def free(self) -> None:
        """Remove the filler."""
        (self.content / ".filler").unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a small tmpfs over a folder, seen by the commands of :attr:`SmallDisk.command` alone."""
    folder.mkdir(parents=True, exist_ok=True)
    script = 'mount -t tmpfs -o "size=$1m" tmpfs "$2" && echo mounted && exec cat'  # cat ends with its input
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(megabytes), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mounted\n"
        try:
            yield SmallDisk(holder.pid, folder)
        finally:
            holder.stdin.close()


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the write lock of an SQLite database."""
    command = [PYTHON, "-c", LOCK, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            holder.stdin.close()


class Server:
    """A TCP server on a free port of this machine; ``requests`` holds what each connection has sent first."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self.requests.append(connection.recv(65536))
                if self._answer is not None:
                    connection.sendall(self._answer)
                    connection.close()

    def close(self) -> None:
        for each in [*self._connections, self._listener]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def server(answer: bytes | None = None) -> Iterator[Server]:
    """A server that answers each connection with these bytes and closes it; without any it accepts and stays silent."""
    running = Server(answer)
    try:
        yield running
    finally:
        running.close()


def start(command: Sequence[str | Path], root: Path, log: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a workspace, its output and errors in ``log``."""
    with log.open("w") as file:
        return subprocess.Popen(
            [*map(str, command)], cwd=root, env=variables(root) | environment, stdout=file, stderr=file, text=True
        )


def run(
    command: Sequence[str | Path], root: Path, *, prefix: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a workspace to its end; output and errors together.

    Args:
        command: program and arguments.
        root: the workspace.
        prefix: the beginning of a command that runs another, such as :data:`UNPRIVILEGED`.
        environment: further variables.
    """
    return subprocess.run(
        [*prefix, *map(str, command)],
        cwd=root,
        env=variables(root) | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def variables(root: Path) -> dict[str, str]:
    """The environment of a command in a workspace."""
    return os.environ | {"NER_ROOT": str(root), "COLUMNS": "200"}
