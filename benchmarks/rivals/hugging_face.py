"""Hugging Face's ``pipeline("token-classification")`` of the encoder alone, fp32, in the form of the served model.

Handed to MLflow as a file, in place of pipeline/inference/pyfunc.py; the artifact ``transformer`` is the trained
folder.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModelContext

from multiner.pipeline.inference.answers import DIGITS
from multiner.pipeline.inference.pyfunc import NerModel


class HuggingFaceModel(NerModel):
    """The encoder with Hugging Face's own tokenisation, batching and aggregation."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the pipeline."""
        from transformers import pipeline

        self.lock = Lock()  # its tokenizer is not safe to call from several threads ("Already borrowed")
        self.tagger = pipeline(
            "token-classification", model=context.artifacts["transformer"], aggregation_strategy="first", device="cpu"
        )

    def answer(self, text: str, *, tokens: bool = False) -> dict[str, Any]:
        """The entities of one text; it cannot tell tokens."""
        if not text.strip():
            return {"entities": []}
        with self.lock:
            found = self.tagger(text)
        entities = [
            {
                "start": int(each["start"]),
                "end": int(each["end"]),
                "text": text[each["start"] : each["end"]],
                "label": each["entity_group"],
                "score": round(float(each["score"]), DIGITS),
                "legs": {},
            }
            for each in found
        ]
        return {"entities": entities}


set_model(HuggingFaceModel())
