"""Versions: what the registry holds of each."""

from __future__ import annotations

import pytest
from mlflow.entities.model_registry import ModelVersion

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.runs import run_id_of


def test_a_version_without_a_run_is_named_with_a_remedy() -> None:
    with pytest.raises(NerError, match="without an MLflow run") as caught:
        run_id_of(ModelVersion("ner-en", "3", 0))
    assert caught.value.where == "ner-en version 3"
    assert "ner register" in (caught.value.remedy or "")
    assert run_id_of(ModelVersion("ner-en", "3", 0, run_id="abc")) == "abc"
