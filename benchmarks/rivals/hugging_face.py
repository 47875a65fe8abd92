"""Hugging Face's ``pipeline("token-classification")`` of the encoder alone, fp32, in the form of the served model.

Handed to MLflow as a file, in place of pipeline/inference/pyfunc.py; the artifact ``transformer`` is the trained
folder.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import pandas as pd  # MLflow reads the hint of `predict`
from mlflow.models import set_model
from mlflow.pyfunc import PythonModelContext

from multiner.pipeline.inference.answers import DIGITS
from multiner.pipeline.inference.pyfunc import COLUMN, NerModel


class HuggingFaceModel(NerModel):
    """The encoder with Hugging Face's own tokenisation, batching and aggregation."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the pipeline."""
        from transformers import pipeline

        self.lock = Lock()  # its tokenizer is not safe to call from several threads ("Already borrowed")
        self.tagger = pipeline(
            "token-classification", model=context.artifacts["transformer"], aggregation_strategy="first", device="cpu"
        )

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The entities of each text; it cannot tell tokens."""
        texts = model_input[COLUMN].tolist()
        with self.lock:
            rows = self.tagger(texts, batch_size=len(texts))
        return [{"entities": [entity(text, each) for each in row]} for text, row in zip(texts, rows, strict=True)]


def entity(text: str, found: dict[str, Any]) -> dict[str, Any]:
    """An entity of the pipeline in the form of the served model."""
    start, end = int(found["start"]), int(found["end"])
    return {
        "start": start,
        "end": end,
        "text": text[start:end],
        "label": found["entity_group"],
        "score": round(float(found["score"]), DIGITS),
        "legs": {},
    }


set_model(HuggingFaceModel())
