"""A workspace with everything that registration reads, small and invented, and a store of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.document import Span, from_words, write_jsonl
from pipeline.files import write_json
from pipeline.settings import Workspace, load_params

FIGURES = {"f1": 91.25, "precision": 92.0, "recall": 90.5, "per_type": {"PER": {"f1": 95.0, "support": 4}}}
METRICS = {
    "language": "en",
    "profile": "cpu",
    "seed": 13,
    "commit": "0123456789abcdef",
    "data_hash": "d" * 64,
    "minutes": {"transformer": 1.5, "total": 1.5},
    "corpora": {
        corpus: {split: {"ensemble": FIGURES, "transformer": FIGURES} for split in ("dev", "test")}
        for corpus in ("conll2003", "wnut17")
    },
}


def fill(workspace: Workspace, language: str = "en", weight: float = 0.5) -> None:
    """What the stages leave for registration; ``weight`` tells one training from another."""
    paths = workspace.paths
    write_json(paths.ensemble(language), {"language": language, "weight": weight})
    for leg in workspace.params["ensemble"]["legs"]:
        folder = paths.leg(language, leg)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.bin").write_bytes(bytes(range(64)))
        history = [{"step": 10, "epoch": 1, "loss": 0.5, "dev_f1": 80.0, "seconds": 3.2}]
        write_json(folder / "history.json", history)
    for corpus in workspace.language(language)["train_on"]:
        documents = [
            from_words(
                f"{corpus}-{number}", [["Ada", "met", "Oslo", str(number)]], [Span(0, 1, "PER"), Span(2, 3, "LOC")]
            )
            for number in range(12)
        ]
        write_jsonl(paths.documents(language) / f"{corpus}.dev.jsonl", documents)
    report = paths.report(language) / "plots"
    report.mkdir(parents=True, exist_ok=True)
    (report / "curve.png").write_bytes(b"\x89PNG")
    docs = paths.validation(language) / "docs"
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "index.html").write_text("<p>sound</p>")
    write_json(paths.metrics(language), METRICS | {"language": language})


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A filled workspace in a temporary folder, profile cpu."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = Workspace(tmp_path / "home", load_params(root, "cpu"))
    raw = workspace.paths.raw
    raw.mkdir(parents=True)
    for corpus in ("conll2003", "wnut17"):
        (raw / f"{corpus}.dvc").write_text(f"outs:\n- md5: {'ab' * 16}.dir\n  path: {corpus}\n")
    (workspace.root / "dvc.lock").write_text(json.dumps({"schema": "2.0"}))
    (workspace.root / "requirements.lock").write_text("numpy==2\n")
    fill(workspace)
    return workspace
