"""The benchmark of training, on invented documents with a tiny encoder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import write_jsonl
from multiner.pipeline.models.transformer.optimisation import mixed_precision
from tests.pipeline.models.conftest import OPTIONS, invented, tiny_encoder

__all__ = ["tiny_encoder"]


@pytest.mark.slow
def test_both_train_in_each_precision(
    root: Path, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    training, figures = import_module("training"), import_module("training_figures")
    workspace = Workspace(tmp_path, Workspace.load(root=root).params)
    for part, first, count in (("train", 0, 24), ("dev", 24, 8)):
        write_jsonl(workspace.paths.documents("en") / f"conll2003.{part}.jsonl", invented(first, count))
    result = training.compare(workspace, OPTIONS | {"encoder": str(tiny_encoder)}, 24, 6, 2, 1)
    precisions = ["fp32", "bf16"] if mixed_precision("auto") == "bf16" else ["fp32"]
    assert [(each["system"], each["precision"]) for each in result["figures"]] == [
        (system, precision) for precision in precisions for system in (figures.TRAINER, figures.OURS)
    ]
    for trainer, ours in zip(result["figures"][::2], result["figures"][1::2], strict=True):
        assert 0.8 < trainer["steps"] / ours["steps"] <= 1, "a batch holds whole sentences"
        assert ours["words_per_second"] > 0
        assert ours["dev_f1"] > 90
