"""Versions: what the registry holds of each."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import model_bytes
from multiner.pipeline.registry.runs import run_id_of


def test_a_version_without_a_run_is_named_with_a_remedy() -> None:
    with pytest.raises(NerError, match="without an MLflow run") as caught:
        run_id_of(ModelVersion("ner-en", "3", 0))
    assert caught.value.where == "ner-en version 3"
    assert "ner register" in (caught.value.remedy or "")
    assert run_id_of(ModelVersion("ner-en", "3", 0, run_id="abc")) == "abc"


@pytest.mark.parametrize(("recorded", "size"), [(123_456, 123_456), (None, 0)])
def test_the_size_of_a_version_is_what_mlflow_recorded(tmp_path: Path, recorded: int | None, size: int) -> None:
    Model(model_size_bytes=recorded).save(str(tmp_path / "MLmodel"))
    assert model_bytes(str(tmp_path)) == size
