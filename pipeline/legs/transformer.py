"""The transformer leg at inference: a token classifier on an encoder (Devlin et al. 2019), first-subword labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.document import Document
from pipeline.files import read_json
from pipeline.legs.windows import Window, Windower

SETTINGS = "leg.json"


def hush() -> None:
    """Keep transformers' own progress bars and load reports off the terminal."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


class TransformerLeg:
    """A fine-tuned encoder.

    Args:
        model: a ``…ForTokenClassification`` in evaluation mode.
        windower: cuts documents into windows.
        labels: the label set, in the order of the model's outputs.
        context: pieces of preceding sentences shown at most.
    """

    def __init__(self, model, windower: Windower, labels: list[str], context: int) -> None:  # noqa: ANN001
        self.model = model
        self.windower = windower
        self.labels = labels
        self.context = context

    @classmethod
    def load(cls, folder: Path) -> TransformerLeg:
        """The leg that training left in ``folder`` (safetensors, tokenizer.json, leg.json)."""
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        hush()
        settings = read_json(folder / SETTINGS)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True).eval()
        return cls(model, Windower(tokenizer, settings["max_pieces"]), settings["labels"], settings["context"])

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Label probabilities, one float32 array ``[tokens, labels]`` per document."""
        results = [np.zeros((len(document.tokens), len(self.labels)), dtype=np.float32) for document in documents]
        jobs: list[tuple[int, Window]] = []
        for index, document in enumerate(documents):
            pieces = self.windower.pieces(document)
            jobs += [(index, window) for window in self.windower.windows(document, pieces, context=self.context)]
        # Windows of one length share a batch, so that padding never touches an answer.
        jobs.sort(key=lambda job: len(job[1].pieces))
        at = 0
        while at < len(jobs):
            length = len(jobs[at][1].pieces)
            end = at
            while end < len(jobs) and len(jobs[end][1].pieces) == length and (end - at) * length < 4096:
                end += 1
            batch = [window for _, window in jobs[at:end]]
            for (index, window), rows in zip(jobs[at:end], self._forward(batch), strict=True):
                results[index][window.tokens.start : window.tokens.stop] = rows[window.positions]
            at = end
        return results

    def _forward(self, windows: Sequence[Window]) -> np.ndarray:
        """Probabilities ``[windows, pieces, labels]`` of windows of one length."""
        import torch

        ids = torch.tensor([window.pieces for window in windows], device=self.model.device)
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return torch.softmax(logits.float(), dim=-1).cpu().numpy()
