"""The folders of slots: nothing stays behind, and nothing of a living slot is taken away."""

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
from multiner.serving.backends.model_server import ServedModel, Slot
from multiner.serving.backends.work_folders import remove_leftovers, slot_folder
from multiner.serving.gateway import state
from multiner.serving.gateway.config import workspace_config

GATEWAY = """
import subprocess, sys
from pathlib import Path
from multiner.serving.backends.work_folders import slot_folder
folder = slot_folder(Path(sys.argv[1]))
wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
slot = subprocess.Popen(wait, pass_fds=(folder.lock,))
print(folder.path, flush=True)
slot.wait()
"""


def test_a_folder_goes_with_its_slot(tmp_path: Path) -> None:
    folder = slot_folder(tmp_path / "slots")
    (folder.path / "tickets").mkdir()
    assert folder.path.stat().st_mode & 0o077 == 0, "nobody else can look in"
    assert remove_leftovers(tmp_path / "slots") == [], "its slot lives"
    folder.remove()
    assert not folder.path.exists()
    assert remove_leftovers(tmp_path / "none") == []


def test_what_a_killed_gateway_left_is_removed_once_its_slot_has_ended(tmp_path: Path, root: Path) -> None:
    (tmp_path / "ner-slot-a-file").touch()
    gateway = subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,  # the slot inherits it, and ends with it
        stdout=subprocess.PIPE,
        text=True,
    )
    left = Path(gateway.stdout.readline().strip())
    (left / "tmp").mkdir()
    assert remove_leftovers(tmp_path) == []
    gateway.send_signal(signal.SIGKILL)
    gateway.wait()
    assert remove_leftovers(tmp_path) == [], "its slot lives on for a moment"
    gateway.stdin.close()
    gateway.stdout.read()  # at its end once the slot, which inherited it, has ended
    assert remove_leftovers(tmp_path) == [left]
    assert not left.exists()
    assert (tmp_path / "ner-slot-a-file").exists(), "no folder of a slot"


def test_slots_of_a_workspace_work_under_its_run_folder(tmp_path: Path, root: Path) -> None:
    made: list[Path] = []

    class Watched(Slot):
        async def _answers_ping(self) -> bool:
            made.append(self._process.tickets.parent)
            raise NerError("enough")

    workspace = Workspace(tmp_path, load_params(root, "cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multiner.serving.gateway.config.Slot", Watched)
        with pytest.raises(NerError, match="enough"):
            asyncio.run(workspace_config(workspace, "token").launch(ServedModel("en", "ner-en", "1", "/nowhere")))
    assert made[0].parent == state.slot_folders(workspace) == tmp_path / ".run" / "slots"
    assert not made[0].exists()
