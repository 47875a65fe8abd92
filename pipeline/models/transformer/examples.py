"""Training examples of the transformer leg: windows in batches, other cases of a text, and the loss of a batch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.models.windows import Window, Windower

Example = tuple[Window, list[int]]
"""A window and the label index of each token it reads."""


def repeated(documents: Sequence[Document], repeat: Mapping[str, int]) -> list[Document]:
    """The documents of an epoch: those of a corpus in ``repeat`` so many times, all others once."""
    return [document for document in documents for _ in range(repeat.get(document.corpus, 1))]


def recased(document: Document, *, upper: bool) -> Document:
    """The document in capitals or in lower case; letters whose other case is longer stay, so that offsets hold."""
    change = str.upper if upper else str.lower
    return replace(
        document, text="".join(other if len(other := change(letter)) == 1 else letter for letter in document.text)
    )


def batches(
    documents: Sequence[Document],
    windower: Windower,
    labels: Sequence[str],
    *,
    size: int,
    recase: Mapping[str, float],
    seed: str,
) -> list[list[Example]]:
    """The batches of an epoch: windows of like length, at most ``size`` pieces with padding, in random order.

    A third of the documents is shown in short windows, so that the model also knows sentences without context.

    Args:
        documents: with gold spans.
        windower: cuts them.
        labels: the label set, in the order of the model's outputs.
        size: pieces in a batch.
        recase: by corpus the share of the documents shown in capitals, and again in lower case.
        seed: of everything random in this epoch.
    """
    chance = random.Random(seed)
    index_of = {label: index for index, label in enumerate(labels)}
    examples: list[Example] = []
    for document in documents:
        limit = chance.choice([None, None, windower.max_pieces // 4])
        draw, share = chance.random(), recase.get(document.corpus, 0.0)
        shown = recased(document, upper=draw < share) if draw < 2 * share else document
        gold = [index_of[label] for label in encode(document.spans, len(document.tokens))]
        for window in windower.windows(shown, windower.pieces(shown), limit=limit):
            examples.append((window, gold[window.tokens.start : window.tokens.stop]))
    chance.shuffle(examples)
    examples.sort(key=lambda example: len(example[0].pieces) + chance.random() * 8)
    gathered: list[list[Example]] = []
    longest = size + 1
    for example in examples:
        longest = max(longest, len(example[0].pieces))
        if not gathered or longest * (len(gathered[-1]) + 1) > size:
            gathered.append([])
            longest = len(example[0].pieces)
        gathered[-1].append(example)
    chance.shuffle(gathered)
    return gathered


def batch_loss(
    model: torch.nn.Module, batch: Sequence[Example], pad: int, device: torch.device, half: bool
) -> torch.Tensor:
    """Mean cross-entropy over the tokens that a batch reads.

    Args:
        model: a token classifier.
        batch: examples, padded here.
        pad: id of the padding piece.
        device: of the model.
        half: multiply in bfloat16.
    """
    width = max(len(window.pieces) for window, _ in batch)
    ids = torch.full((len(batch), width), pad)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    rows: list[int] = []
    columns: list[int] = []
    gold: list[int] = []
    for row, (window, labels) in enumerate(batch):
        ids[row, : len(window.pieces)] = torch.tensor(window.pieces)
        mask[row, : len(window.pieces)] = 1
        rows += [row] * len(window.positions)
        columns += window.positions
        gold += labels
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
    return cross_entropy(logits[rows, columns].float(), torch.tensor(gold, device=device))
