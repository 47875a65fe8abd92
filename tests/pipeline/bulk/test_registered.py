"""The models that ``--model`` names in a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline.annotate import registered_model
from multiner.pipeline.bulk.run import find_model
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.store import CHAMPION, open_store


@pytest.mark.slow
def test_the_champion_and_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = Workspace(tmp_path, {"profile": "cpu", "languages": {"en": {"types": ["PER"]}}})
    client = open_store(workspace)
    client.create_registered_model("ner-en")
    run = client.create_run(client.create_experiment("ner-en")).info.run_id
    for version in ("1", "2"):
        folder = workspace.paths.mlruns / "artifacts" / version
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(f"metadata: {{language: en}}\nnumber: {version}\n", encoding="utf-8")
        client.create_model_version("ner-en", folder.as_uri(), run)
    with pytest.raises(NerError, match="no champion for 'en'"):
        registered_model(workspace, "en", CHAMPION)
    client.set_registered_model_alias("ner-en", CHAMPION, "2")
    for name, version in ((CHAMPION, "2"), ("1", "1"), ("02", "2")):
        folder, identity = find_model(workspace, "en", name)
        assert f"number: {version}" in (folder / "MLmodel").read_text(encoding="utf-8")
        assert (identity.name, identity.version) == ("ner-en", version)
    with pytest.raises(NerError, match="no version 9 for 'en'"):
        registered_model(workspace, "en", "9")
