"""The gateway's container as a plain process: its command, without the pipeline's packages, before a champion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from multiner.pipeline.core.environment import quiet_environment
from multiner.serving.backends.local_server import free_port

MODULES = ("airflow", "dvc", "great_expectations", "onnx", "seqeval", "torch", "transformers")
MISSING = """
import sys
from importlib import metadata

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

def from_name(name, found=metadata.Distribution.from_name):
    if name in {packages}:
        raise metadata.PackageNotFoundError(name)
    return found(name)

sys.meta_path.insert(0, Missing())
metadata.Distribution.from_name = from_name
"""


@pytest.mark.slow
def test_it_lives_before_the_first_champion_without_the_pipelines_packages(
    root: Path, tmp_path: Path, packaging: dict[str, Any]
) -> None:
    extras = packaging["extras_require"]
    packages = {name.partition("=")[0].partition(">")[0] for name in set(extras["pipeline"]) - set(extras["serve"])}
    workspace, site = tmp_path / "app", tmp_path / "site"
    shutil.copytree(root / "params", workspace / "params")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(root / name, workspace / name)
    site.mkdir()
    (site / "sitecustomize.py").write_text(MISSING.format(modules=MODULES, packages=sorted(packages)))
    token = tmp_path / "token"
    token.write_text("a-token-for-tests\n")

    service = yaml.safe_load((root / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]["gateway"]
    port = free_port()
    settings = {name: value for name, value in service["environment"].items() if not name.endswith("_FILE")}
    environment = quiet_environment(**settings, NER_ROOT=str(workspace), NER_BIND="127.0.0.1",
                                    NER_GATEWAY_PORT=str(port), NER_GATEWAY_TOKEN_FILE=str(token),
                                    PYTHONPATH=os.pathsep.join([str(site), str(root)]))  # fmt: skip
    program = [str(Path(sys.executable).with_name(service["command"][0])), *service["command"][1:]]
    process = subprocess.Popen(
        program, cwd=workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        states = answers(process, f"http://127.0.0.1:{port}", ("/live", "/ready", "/admin/actions"))
    finally:
        process.terminate()
        output = process.communicate(timeout=120)[0].decode()
    assert states == [200, 503, 200], output
    assert process.returncode == 0, output


def answers(process: subprocess.Popen[bytes], address: str, paths: tuple[str, ...]) -> list[int]:
    """The codes of the paths, once the first is answered; empty if the process ends before."""
    call = partial(httpx.get, headers={"authorization": "Bearer a-token-for-tests"}, timeout=30, trust_env=False)
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return [call(address + path).status_code for path in paths]
        except httpx.ConnectError:
            time.sleep(0.2)
    return []
