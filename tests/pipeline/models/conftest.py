"""A tiny encoder, and invented documents that a small model learns within seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from multiner.pipeline.core.document import Document, Span, from_words

PEOPLE = ["Ada", "Boris", "Clara", "Dmitri", "Erik", "Fatima"]
PLACES = ["Oslo", "Lima", "Quito", "Cairo", "Perm", "Turin"]
TYPES = ["PER", "LOC"]
OPTIONS: dict[str, Any] = {
    "max_pieces": 64, "batch_pieces": 256, "epochs": 6, "patience": 6, "learning_rate": 5e-3,
    "head_learning_rate": 1e-2, "weight_decay": 0.01, "warmup": 0.1, "dropout": 0.1, "freeze_embeddings": False,
    "checkpoint_seconds": 0, "precision": "fp32", "threads": 1, "repeat": {}, "recase": {"": 0.05},
    "accumulate": 1, "launcher": {"processes": 1, "nodes": 1},
}  # fmt: skip


@pytest.fixture(autouse=True)
def forgotten_precision() -> Iterator[None]:
    """Accelerate keeps the precision of a process's first training; the next test may take another."""
    from accelerate.state import AcceleratorState

    yield
    AcceleratorState._reset_state()


def invented(first: int, count: int) -> list[Document]:
    """Documents of three sentences that name people and places."""
    documents = []
    for number in range(first, first + count):
        words: list[list[str]] = []
        spans: list[Span] = []
        for line in range(3):
            person, place = PEOPLE[(number + line) % 6], PLACES[(number * 5 + line) % 6]
            at = sum(len(row) for row in words)
            words.append(["Yesterday", person, "went", "to", place, "and", "slept", "."])
            spans += [Span(at + 1, at + 2, "PER"), Span(at + 4, at + 5, "LOC")]
        documents.append(from_words(f"d{number}", words, spans))
    return documents


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with one narrow layer and a character vocabulary, as a Hugging Face folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("encoder")
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + letter for letter in letters)]
    words = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=128,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def fit(encoder: Path, folder: Path, checkpoints: Path, **changes: Any) -> None:
    """Train a transformer on invented documents."""
    from multiner.pipeline.models.transformer import fine_tuning
    from multiner.pipeline.models.transformer.checkpoint import Checkpoints

    fine_tuning.fit(
        invented(0, 24), invented(24, 6), TYPES, encoder=str(encoder), options=OPTIONS | changes, seed=7,
        checkpoints=Checkpoints(checkpoints, "print"), folder=folder,
    )  # fmt: skip


def launch_fit(encoder: str, folder: str, launcher: dict[str, int]) -> None:
    """As :func:`fit`, in the processes of ``launcher``; the model lies in ``folder`` then, under ``leg``."""
    from multiner.pipeline.models.transformer import fine_tuning
    from multiner.pipeline.models.transformer.checkpoint import Checkpoints
    from multiner.pipeline.models.transformer.launcher import launch

    checkpoints = Checkpoints(Path(folder) / "checkpoints", "print")
    launch(
        fine_tuning.fit, invented(0, 24), invented(24, 6), TYPES, launcher=launcher, encoder=encoder, options=OPTIONS,
        seed=7, checkpoints=checkpoints, folder=Path(folder) / "leg",
    )  # fmt: skip


@pytest.fixture(scope="session")
def trained(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the training leaves."""
    folder = tmp_path_factory.mktemp("trained")
    fit(tiny_encoder, folder / "leg", folder / "checkpoints")
    return folder / "leg"
