"""The transformer in PyTorch, for training and export; inference (see inference.py) runs without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from safetensors import safe_open
from torch.nn.functional import embedding

from multiner.pipeline.core.files import read_json
from multiner.pipeline.models.base import SETTINGS
from multiner.pipeline.models.transformer.encoders import check_positions, not_loadable
from multiner.pipeline.models.windows import CASES, SpecialPieces, Window, WindowedModel, Windower

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_PIECES = 4096
CASE = ".word_embeddings.case"
"""How the name of the weights of :class:`CasedEmbedding` for the cases ends."""

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")
"""The names that the architectures have for dropout."""


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


class CasedEmbedding(torch.nn.Embedding):
    """The vectors of an uncased encoder's pieces, each plus that of its word's case.

    The id of a piece is its number in the vocabulary plus its case times the size of the vocabulary
    (:class:`multiner.pipeline.models.windows.Windower`). The vectors of case begin with zeros, and so the encoder as
    it was.
    """

    def __init__(self, pieces: torch.nn.Embedding) -> None:
        super().__init__(pieces.num_embeddings, pieces.embedding_dim, pieces.padding_idx, _weight=pieces.weight)
        self.weight = pieces.weight
        self.case = torch.nn.Parameter(torch.zeros(CASES, pieces.embedding_dim))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Ids → vectors."""
        # Not self.case[…]: threads add up the gradient of an indexing in any order, and no training could be repeated.
        return super().forward(input % self.num_embeddings) + embedding(input // self.num_embeddings, self.case)


def drops_case(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the pieces of a word are the same in capitals and in lower case."""
    capitals, lower = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("PARIS", "paris"))
    return capitals == lower


def add_case(model: PreTrainedModel, folder: str | Path) -> CasedEmbedding:
    """Give the pieces of a model vectors of case as well; returns the new embedding.

    The vectors are those in ``folder``, from which the model was loaded, if it has been trained with them.
    """
    pieces = cast("torch.nn.Embedding", model.get_input_embeddings())
    cased = CasedEmbedding(pieces)
    model.set_input_embeddings(cased)
    if (file := Path(folder) / "model.safetensors").is_file():
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (no mapping)
                if name.endswith(CASE):
                    cased.case.data = weights.get_tensor(name)
    return cased


def start_model(
    encoder: str, labels: list[str], options: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The encoder with a classification head, and its tokenizer: what a training starts from.

    The head is new, unless ``encoder`` is a trained model with the same labels, as in ``ner tune``.

    Args:
        encoder: the argument of ``from_pretrained``.
        labels: the labels, in the order of the head's rows.
        options: the section ``transformer`` of params.yaml for the language.

    Raises:
        NerError: the encoder cannot be loaded, or has fewer positions than the windows have pieces.
    """
    from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

    quiet_transformers()
    names = dict(enumerate(labels))
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder, use_fast=True, add_prefix_space=True)
        before = list(AutoConfig.from_pretrained(encoder).id2label.values())
        config = AutoConfig.from_pretrained(
            encoder, num_labels=len(labels), id2label=names, label2id={label: at for at, label in names.items()}
        )
        for name in DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, options["dropout"])
        model = AutoModelForTokenClassification.from_pretrained(
            encoder, config=config, use_safetensors=True, ignore_mismatched_sizes=True
        )
    except OSError as error:
        raise not_loadable(encoder, error) from None
    if len(before) == len(labels) and before != labels:  # the loaded head is of other labels
        torch.nn.init.normal_(model.classifier.weight, std=config.initializer_range)
        torch.nn.init.zeros_(model.classifier.bias)
    check_positions(model, options["max_pieces"])
    if options["freeze_embeddings"]:
        getattr(model, model.base_model_prefix).embeddings.requires_grad_(False)
    if drops_case(tokenizer):
        add_case(model, encoder)
    return model, tokenizer


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
        if vocabulary := settings.get("vocabulary", 0):
            add_case(model, folder)
        windower = Windower(
            tokenizer.backend_tokenizer, special_pieces_of(tokenizer), settings["max_pieces"], vocabulary
        )
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
