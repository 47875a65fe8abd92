"""The folders of model servers: nothing stays behind, and nothing of a living server is taken away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.core.errors import NerError
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer
from multiner.serving.backends.work_folders import remove_leftovers, work_folder
from multiner.serving.gateway import state
from multiner.serving.gateway.config import workspace_config

GATEWAY = """
import subprocess, sys
from pathlib import Path
from multiner.serving.backends.work_folders import work_folder
folder = work_folder(Path(sys.argv[1]))
wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
server = subprocess.Popen(wait, pass_fds=(folder.lock,))
print(folder.path, flush=True)
server.wait()
"""


def test_a_folder_goes_with_its_server(tmp_path: Path) -> None:
    folder = work_folder(tmp_path / "work")
    (folder.path / "tmp").mkdir()
    assert folder.path.stat().st_mode & 0o077 == 0, "nobody else can look in"
    assert remove_leftovers(tmp_path / "work") == [], "its server lives"
    folder.remove()
    assert not folder.path.exists()
    assert remove_leftovers(tmp_path / "none") == []


@pytest.mark.faults("kill -9 of a gateway: its work folders")
def test_what_a_killed_gateway_left_is_removed_once_its_server_has_ended(tmp_path: Path, root: Path) -> None:
    (tmp_path / "ner-model-a-file").touch()
    gateway = subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,  # the server inherits it, and ends with it
        stdout=subprocess.PIPE,
        text=True,
    )
    left = Path(gateway.stdout.readline().strip())
    (left / "tmp").mkdir()
    assert remove_leftovers(tmp_path) == []
    gateway.send_signal(signal.SIGKILL)
    gateway.wait()
    assert remove_leftovers(tmp_path) == [], "its server lives on for a moment"
    gateway.stdin.close()
    gateway.stdout.read()  # at its end once the server, which inherited it, has ended
    assert remove_leftovers(tmp_path) == [left]
    assert not left.exists()
    assert (tmp_path / "ner-model-a-file").exists(), "no folder of a server"


def test_model_servers_of_a_workspace_work_under_its_run_folder(tmp_path: Path, root: Path) -> None:
    made: list[Path] = []

    class Watched(LocalServer):
        async def answers_ping(self) -> bool:
            made.append(self._folder.path)
            raise NerError("enough")

    workspace = Workspace(tmp_path, load_params(root, "cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multiner.serving.gateway.config.LocalServer", Watched)
        patch.setattr("multiner.pipeline.registry.signing.versions.checked_source", lambda *_: "/nowhere")
        with pytest.raises(NerError, match="enough"):
            asyncio.run(workspace_config(workspace, "token").launch(ServedModel("en", "ner-en", "1", "/nowhere")))
    assert made[0].parent == state.work_folders(workspace) == tmp_path / ".run" / "work"
    assert not made[0].exists()
