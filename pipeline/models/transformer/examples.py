"""Training examples of the transformer: oversampling, case augmentation, windows in batches, the loss of a batch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice

import torch
from torch.nn.functional import cross_entropy

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.iob2 import encode
from multiner.pipeline.models.windows import Window, Windower

Example = tuple[Window, list[int]]
"""A window, and the gold label index of each token that is read from it."""


def oversample(documents: Sequence[Document], repeat: Mapping[str, int]) -> list[Document]:
    """The documents of an epoch: each as many times as ``repeat`` gives for its corpus, by default once."""
    return [document for document in documents for _ in range(repeat.get(document.corpus, 1))]


def change_case(document: Document, *, upper: bool) -> Document:
    """The document in upper or lower case; a letter whose other case is longer stays, so that offsets remain valid."""
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
    case_augmentation: Mapping[str, float],
    seed: str,
) -> list[list[Example]]:
    """The batches of an epoch, in random order; a batch holds windows of similar length.

    A third of the documents is divided into short windows, so that the model also sees sentences without context.

    Args:
        size: pieces in a batch at most, padding included.
        case_augmentation: corpus → the share of its documents in upper case, and the same share in lower case.
        seed: seed of all random choices in this epoch.
    """
    generator = random.Random(seed)
    index_of = {label: index for index, label in enumerate(labels)}
    examples: list[Example] = []
    for document in documents:
        limit = generator.choice([None, None, windower.max_pieces // 4])
        draw, share = generator.random(), case_augmentation.get(document.corpus, 0.0)
        variant = change_case(document, upper=draw < share) if draw < 2 * share else document
        gold = [index_of[label] for label in encode(document.spans, len(document.tokens))]
        for window in windower.windows(variant, windower.pieces(variant), limit=limit):
            examples.append((window, gold[window.tokens.start : window.tokens.stop]))
    generator.shuffle(examples)
    examples.sort(key=lambda example: len(example[0].pieces) + generator.random() * 8)
    result: list[list[Example]] = []
    longest = size + 1
    for example in examples:
        longest = max(longest, len(example[0].pieces))
        if not result or longest * (len(result[-1]) + 1) > size:
            result.append([])
            longest = len(example[0].pieces)
        result[-1].append(example)
    generator.shuffle(result)
    return result


def grouped(batches: Sequence[list[Example]], size: int) -> list[list[list[Example]]]:
    """The batches of an epoch in groups of ``size``, one group for each step of the optimiser.

    The last group is filled up from the beginning of the epoch, so that every process takes part in every step.
    """
    padded = [*batches, *islice(cycle(batches), -len(batches) % size)]
    return [padded[start : start + size] for start in range(0, len(padded), size)]


def tensors(batch: Sequence[Example], pad: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """A batch as the arguments of :meth:`TokenLoss.forward`.

    Args:
        batch: examples; they are padded here.
        pad: id of the padding piece.
        device: the device of the model.
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
    return tuple(each.to(device) for each in (ids, mask, *map(torch.tensor, (rows, columns, gold))))


class TokenLoss(torch.nn.Module):
    """A token classifier that returns the loss of a batch.

    Accelerate prepares this module and not the model in it, which thus stays in fp32 for the evaluation.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, gold: torch.Tensor
    ) -> torch.Tensor:
        """Mean cross-entropy over the tokens whose labels are read.

        Args:
            ids, mask: piece ids and attention mask, ``[windows, pieces]``.
            rows, columns: for each token its window and the position of its first piece.
            gold: the label index of each token.
        """
        logits = self.model(input_ids=ids, attention_mask=mask).logits
        return cross_entropy(logits[rows, columns].float(), gold)
