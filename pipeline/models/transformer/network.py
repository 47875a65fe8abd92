"""The transformer in PyTorch, for training and export; inference (see inference.py) runs without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from multiner.pipeline.core.files import read_json
from multiner.pipeline.models.base import SETTINGS
from multiner.pipeline.models.windows import SpecialPieces, Window, WindowedModel, Windower

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_PIECES = 4096


def quiet_transformers() -> None:
    """Switch off the progress bars and load reports of the library transformers."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def special_pieces_of(tokenizer: PreTrainedTokenizerBase) -> SpecialPieces:
    """The special pieces of a Hugging Face tokenizer; without ``cls`` and ``sep``, its ``bos`` and ``eos``."""
    first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    border = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    return SpecialPieces(first, border, tokenizer.unk_token_id)


class TorchTransformer(WindowedModel):
    """A fine-tuned encoder: a ``…ForTokenClassification`` in evaluation mode."""

    def __init__(self, model: PreTrainedModel, windower: Windower, labels: list[str], context: int) -> None:
        super().__init__(windower, labels, context)
        self.model = model

    @classmethod
    def load(cls, folder: Path) -> TorchTransformer:
        """Load what training wrote to ``folder`` (safetensors, tokenizer.json, leg.json), in fp32.

        Attention is the plain ("eager") implementation, which the export to ONNX needs.
        """
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        quiet_transformers()
        settings = read_json(folder / SETTINGS)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForTokenClassification.from_pretrained(
            folder, use_safetensors=True, attn_implementation="eager", dtype=torch.float32
        ).eval()
        windower = Windower(tokenizer.backend_tokenizer, special_pieces_of(tokenizer), settings["max_pieces"])
        return cls(model, windower, settings["labels"], settings["context"])

    def forward(self, windows: Sequence[Window]) -> list[np.ndarray]:
        """Label probabilities of each window, in order: ``[pieces, labels]``.

        A batch holds windows of one length, so that nothing is padded.
        """
        order = sorted(range(len(windows)), key=lambda index: len(windows[index].pieces))
        results: list[np.ndarray] = [np.empty(0)] * len(windows)
        at = 0
        while at < len(order):
            length = len(windows[order[at]].pieces)
            end = at
            while end < len(order) and len(windows[order[end]].pieces) == length and (end - at) * length < BATCH_PIECES:
                end += 1
            batch = order[at:end]
            for index, rows in zip(batch, self._run([windows[index].pieces for index in batch]), strict=True):
                results[index] = rows
            at = end
        return results

    def _run(self, pieces: list[list[int]]) -> np.ndarray:
        ids = torch.tensor(pieces, device=self.model.device)
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return torch.softmax(logits.float(), dim=-1).cpu().numpy()
