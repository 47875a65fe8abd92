"""A trained ensemble as it is served."""

from __future__ import annotations

from types import SimpleNamespace

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.inference.pyfunc import NerModel


def served(workspace: Workspace, language: str) -> NerModel:
    """MLflow's model around the ensemble that a workspace has trained."""
    paths, model = workspace.paths, NerModel()
    legs = {name: str(paths.leg(language, name)) for name in workspace.params["ensemble"]["legs"]}
    model.load_context(SimpleNamespace(artifacts={"ensemble": str(paths.ensemble(language))} | legs))
    return model
