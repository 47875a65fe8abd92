"""The served model before it is made fast: the same ensemble, its transformer in PyTorch fp32 as training left it.

Handed to MLflow as a file, in place of pipeline/inference/pyfunc.py; the artifact ``transformer`` is the trained
folder.
"""

from __future__ import annotations

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModelContext

from multiner.pipeline.inference.pyfunc import NerModel


class TorchNerModel(NerModel):
    """The ensemble of a folder, with another form of one base model."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the ensemble, with ``TorchTransformer`` as the base model ``transformer``."""
        from multiner.pipeline import models
        from multiner.pipeline.ensemble.model import Ensemble

        models.BASE_MODELS["transformer"] = "multiner.pipeline.models.transformer.network:TorchTransformer"
        folders = {name: Path(path) for name, path in context.artifacts.items() if name != "ensemble"}
        import torch  # noqa: F401 (before the base models are loaded, which hides it from spaCy otherwise)

        self.ensemble = Ensemble.load(Path(context.artifacts["ensemble"]), folders)


set_model(TorchNerModel())
