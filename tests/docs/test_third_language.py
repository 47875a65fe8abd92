"""The tutorial of the third language, run as it is written: German trained, judged, promoted, and answering.

Two things differ, to save minutes: the encoder is a tiny one, and the stages run in this process, in dvc.yaml's order.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from multiner.pipeline.cli import commands
from tests.pipeline.models.conftest import forgotten_precision, tiny_encoder
from tests.pipeline.registry.conftest import migrated

sys.path.append(str(Path(__file__).resolve().parents[2] / "dags"))

from wiring.graph import parse_stages, read_mapping, stages_of

__all__ = ["forgotten_precision", "migrated", "tiny_encoder"]


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "tutorials" / "third_language.md").read_text(encoding="utf-8")


def run(line: str) -> str:
    """The output of ``ner``."""
    words = shlex.split(line)
    assert words[0] == "ner"
    return CliRunner().invoke(commands, words[1:], catch_exceptions=False).output


@pytest.mark.slow
def test_every_line_works(
    root: Path, page: str, tmp_path: Path, tiny_encoder: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "data" / "raw").mkdir(parents=True)
    shutil.copytree(root / "params", home / "params")
    shutil.copytree(tiny_encoder, home / "data" / "encoders" / "tiny")
    for name in ("params.yaml", "dvc.yaml", "data/manifest.json", "requirements.lock"):
        shutil.copyfile(root / name, home / name)
    (home / "mlruns").mkdir()
    shutil.copyfile(migrated, home / "mlruns" / "mlflow.db")
    monkeypatch.setenv("NER_ROOT", str(home))
    monkeypatch.chdir(home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    lines = re.findall(r"^\$ (.+)$", page, flags=re.M)
    assert len(lines) == 6
    ran: list[str] = []
    for line in lines:
        if line.startswith("python tools/"):
            subprocess.run([sys.executable, root / line.split()[1], line.split()[2]], check=True)
        elif line == "dvc repro evaluate@de":
            profile = (home / "params.yaml").read_text(encoding="utf-8").replace("profile: cpu", "profile: demo", 1)
            (home / "params.yaml").write_text(profile, encoding="utf-8")
            graph = read_mapping(home / "dvc.yaml")
            for address in stages_of(parse_stages(graph), "de"):
                name, _, code = address.partition("@")
                assert code == "de", "no other language is trained"
                run(graph["stages"][name]["do"]["cmd"].replace("${key}", code))
                ran.append(name)
        else:
            run(line + " --encoder data/encoders/tiny" * line.startswith("ner language add"))
    assert ran[-1] == "evaluate"
    assert json.loads((home / "metrics" / "demo" / "de.json").read_text())["corpora"]["muster-de"]["test"].keys() == {
        "ensemble", "transformer", "spacy",
    }  # fmt: skip
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(re.search(r"```python\n(.+?)```", page, flags=re.S)[1], {})
    assert {"PER Käthe Ruhnau", "LOC Köln"} <= set(output.getvalue().splitlines())
