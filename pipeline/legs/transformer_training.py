"""Training the transformer leg: AdamW with warm-up and linear decay (Loshchilov and Hutter 2019; Devlin et al. 2019).

A step's dropout is seeded by its number and an epoch's order by its own, so that a training that was killed goes on
from its checkpoint to the very weights it would have reached.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from pipeline.bio import bio_labels, encode
from pipeline.decode import decode_spans, span_f1
from pipeline.document import Document, read_jsonl
from pipeline.errors import NerError
from pipeline.files import replace_folder, sha256_of, write_json
from pipeline.legs.base import SETTINGS
from pipeline.legs.checkpoint import Checkpoints, Progress
from pipeline.legs.encoders import resolve_encoder
from pipeline.legs.transformer_torch import TorchLeg, hush, special_pieces
from pipeline.legs.windows import Window, Windower
from pipeline.lifeline import follow_parent, only_one
from pipeline.progress import bar
from pipeline.settings import Workspace

Example = tuple[Window, list[int]]
"""A window and the label index of each token it reads."""


def run(workspace: Workspace, language: str) -> None:
    """Stage ``train_transformer``: train on the prepared documents and write the leg.

    Raises:
        NerError: documents or encoder are missing, or another training holds the lock.
    """
    follow_parent()
    paths, setup = workspace.paths, workspace.language(language)
    options = per_language(workspace.params["transformer"], language)
    parts = {split: [paths.documents(language) / f"{corpus}.{split}.jsonl" for corpus in setup["train_on"]]
             for split in ("train", "dev")}  # fmt: skip
    for path in [*parts["train"], *parts["dev"]]:
        if not path.is_file():
            raise NerError(
                "prepared documents are missing", where=str(path), remedy=f"Run: dvc repro prepare@{language}"
            )
    train = [document for path in parts["train"] for document in read_jsonl(path)]
    dev = [document for path in parts["dev"] for document in read_jsonl(path) if document.half() == "tune"]
    encoder = resolve_encoder(options["encoder"], paths)
    seed = workspace.params["seed"]
    facts = [
        options,
        seed,
        half_precision(options["precision"]),
        setup["types"],
        [sha256_of(path) for path in [*parts["train"], *parts["dev"]]],
    ]
    fingerprint = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    parent = paths.checkpoints(language, "transformer")
    with only_one(parent.with_suffix(".lock")):
        checkpoints = Checkpoints(parent, fingerprint)
        fit(train, dev, setup["types"], encoder=encoder, options=options, seed=seed, checkpoints=checkpoints,
            folder=paths.trained(language), title=f"transformer {language}")  # fmt: skip
        checkpoints.clear()


def per_language(options: dict[str, Any], language: str) -> dict[str, Any]:
    """Options with every ``{en: …, ru: …}`` replaced by the value for ``language``."""
    return {
        key: value[language] if isinstance(value, dict) and language in value else value
        for key, value in options.items()
    }


def fit(
    train: Sequence[Document],
    dev: Sequence[Document],
    types: Sequence[str],
    *,
    encoder: str,
    options: dict[str, Any],
    seed: int,
    checkpoints: Checkpoints,
    folder: Path,
    title: str = "transformer",
) -> None:
    """Fine-tune an encoder on ``train``, keep the epoch that is best on ``dev``, and write the leg to ``folder``.

    Args:
        train, dev: documents with gold spans.
        types: entity types.
        encoder: what ``from_pretrained`` takes.
        options: the ``transformer`` parameters, for one language.
        seed: of weights, order and dropout.
        checkpoints: where to go on from, and to leave the state.
        folder: the leg, replaced as a whole.
        title: shown on the progress bar.
    """
    torch.set_num_threads(options["threads"])
    torch.manual_seed(seed)
    labels = bio_labels(types)
    model, tokenizer = _model(encoder, labels, options)
    half = half_precision(options["precision"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    windower = Windower(tokenizer.backend_tokenizer, special_pieces(tokenizer), options["max_pieces"])
    leg = TorchLeg(model, windower, labels, options["max_pieces"] // 4)
    pieces = [windower.pieces(document) for document in train]
    epochs = [_batches(train, pieces, windower, labels, options["batch_pieces"], seed, epoch)
              for epoch in range(options["epochs"])]  # fmt: skip
    total = sum(len(batches) for batches in epochs)
    optimizer = _optimizer(model, options)
    progress = checkpoints.load(model, optimizer) or Progress()
    started = saved = time.monotonic()
    before = progress.seconds
    with bar(total, title, initial=progress.step, unit="batch") as progress_bar:
        while progress.epoch < len(epochs) and progress.epoch - progress.best_epoch <= options["patience"]:
            model.train()
            for batch in epochs[progress.epoch][progress.batch :]:
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * _slope(progress.step, total, options["warmup"])
                torch.manual_seed(seed * 1_000_003 + progress.step)
                loss = _loss(model, batch, tokenizer.pad_token_id, device, half)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                progress.loss += loss.item()
                progress.batch += 1
                progress.step += 1
                progress.seconds = before + time.monotonic() - started
                progress_bar.update()
                progress_bar.set_postfix(
                    loss=f"{progress.loss / progress.batch:.4f}",
                    f1=f"{progress.best_f1:.2f}" if progress.history else "?",
                )
                if time.monotonic() - saved > options["checkpoint_seconds"]:
                    checkpoints.save(model, optimizer, progress)
                    saved = time.monotonic()
            model.eval()
            score = span_f1(dev, [decode_spans(rows, document.sentences, labels, scores=False)
                                  for document, rows in zip(dev, leg.predict(dev), strict=True)])  # fmt: skip
            progress.seconds = before + time.monotonic() - started
            progress.history.append({"step": progress.step, "epoch": progress.epoch + 1,
                                     "loss": progress.loss / max(1, progress.batch), "dev_f1": score,
                                     "seconds": round(progress.seconds, 1)})  # fmt: skip
            progress_bar.write(f"{title}: epoch {progress.epoch + 1}, development F1 {score:.2f}")
            if score > progress.best_f1:
                progress.best_f1, progress.best_epoch = score, progress.epoch
                checkpoints.save_best(model)
            progress.epoch, progress.batch, progress.loss = progress.epoch + 1, 0, 0.0
            checkpoints.save(model, optimizer, progress)
            saved = time.monotonic()
    checkpoints.load_best(model)
    with replace_folder(folder) as temporary:
        model.to("cpu").save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_json(
            temporary / SETTINGS,
            {
                "labels": labels,
                "max_pieces": windower.max_pieces,
                "context": leg.context,
                "trained_in": "bf16" if half else "fp32",
            },
        )
        write_json(temporary / "history.json", progress.history)


def _model(encoder: str, labels: list[str], options: dict[str, Any]):  # noqa: ANN202 (transformers is imported late)
    """The encoder with a fresh classification head, and its tokenizer."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    hush()
    names = dict(enumerate(labels))
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder, use_fast=True, add_prefix_space=True)
        model = AutoModelForTokenClassification.from_pretrained(
            encoder, num_labels=len(labels), id2label=names, label2id={label: index for index, label in names.items()},
            hidden_dropout_prob=options["dropout"], attention_probs_dropout_prob=options["dropout"],
        )  # fmt: skip
    except OSError as error:
        raise NerError(
            f"the encoder cannot be loaded: {str(error).splitlines()[0]}",
            where=f"params.yaml: transformer.encoder: {encoder}",
            remedy="Name a local folder or packaged:e5-small, or run where the Hugging Face hub can be reached.",
        ) from None
    if options["freeze_embeddings"]:
        getattr(model, model.base_model_prefix).embeddings.requires_grad_(False)
    return model, tokenizer


def _optimizer(model: torch.nn.Module, options: dict[str, Any]) -> torch.optim.Optimizer:
    """AdamW; the head learns faster, norms and biases do not decay."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith("classifier"), parameter.dim() > 1), []).append(parameter)
    rates = {True: options["head_learning_rate"], False: options["learning_rate"]}
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rates[head], "peak": rates[head],
             "weight_decay": options["weight_decay"] if matrix else 0.0}
            for (head, matrix), parameters in groups.items()
        ],
        fused=True,
    )  # fmt: skip


def _slope(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at a step: up linearly over the warm-up, then down to zero."""
    rise = max(1, round(total * warmup))
    return (step + 1) / rise if step < rise else (total - step) / max(1, total - rise)


def _batches(
    documents: Sequence[Document], pieces: Sequence[list[list[int]]], windower: Windower, labels: list[str],
    size: int, seed: int, epoch: int,
) -> list[list[Example]]:  # fmt: skip
    """The batches of an epoch: windows of like length, at most ``size`` pieces with padding, in random order.

    A third of the documents is shown in short windows, so that the model also knows sentences without context.
    """
    chance = random.Random(f"{seed}/{epoch}")
    index_of = {label: index for index, label in enumerate(labels)}
    examples: list[Example] = []
    for document, ids in zip(documents, pieces, strict=True):
        gold = [index_of[label] for label in encode(document.spans, len(document.tokens))]
        limit = chance.choice([None, None, windower.max_pieces // 4])
        for window in windower.windows(document, ids, limit=limit):
            examples.append((window, gold[window.tokens.start : window.tokens.stop]))
    chance.shuffle(examples)
    examples.sort(key=lambda example: len(example[0].pieces) + chance.random() * 8)
    batches: list[list[Example]] = []
    longest = size + 1
    for example in examples:
        longest = max(longest, len(example[0].pieces))
        if not batches or longest * (len(batches[-1]) + 1) > size:
            batches.append([])
            longest = len(example[0].pieces)
        batches[-1].append(example)
    chance.shuffle(batches)
    return batches


def _loss(model: torch.nn.Module, batch: list[Example], pad: int, device: torch.device, half: bool) -> torch.Tensor:
    """Mean cross-entropy over the tokens that a batch reads."""
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


def half_precision(choice: str) -> bool:
    """Whether training multiplies in bfloat16: ``bf16`` always, ``fp32`` never, ``auto`` where the hardware does it.

    Processors without such instructions emulate it, thirty times slower.

    Raises:
        NerError: another choice.
    """
    if choice not in ("auto", "bf16", "fp32"):
        raise NerError(f"unknown precision {choice!r}", where="params.yaml: transformer.precision",
                       remedy="Choose auto, bf16 or fp32.")  # fmt: skip
    if choice == "auto":
        if torch.cuda.is_available():
            return torch.cuda.is_bf16_supported()
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return choice == "bf16"
