"""Training the transformer leg: AdamW with warm-up and linear decay (Loshchilov and Hutter 2019; Devlin et al. 2019).

A step's dropout is seeded by its number and an epoch's order by its own, so that a training that was killed goes on
from its checkpoint to the very weights it would have reached.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.document import Document, documents_hash
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, write_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.core.progress import bar
from multiner.pipeline.models.base import SETTINGS, code_hash
from multiner.pipeline.models.training_documents import read_training
from multiner.pipeline.models.transformer.checkpoint import Checkpoints, Progress
from multiner.pipeline.models.transformer.encoders import content_hash, not_loadable, resolve_encoder
from multiner.pipeline.models.transformer.examples import batch_loss, batches, repeated
from multiner.pipeline.models.transformer.network import TorchLeg, hush, special_pieces
from multiner.pipeline.models.windows import Windower


def run(workspace: Workspace, language: str) -> None:
    """Stage ``train_transformer``: train on the prepared documents and write the leg.

    Raises:
        NerError: documents or encoder are missing, or another training holds the lock.
    """
    train, dev = read_training(workspace, language)
    train_leg(workspace, language, train, dev, folder=workspace.paths.trained(language))


def train_leg(
    workspace: Workspace, language: str, train: Sequence[Document], dev: Sequence[Document], *, folder: Path,
    name: str = "transformer",
) -> None:  # fmt: skip
    """Train on ``train`` with the parameters of a language, and write the leg to ``folder``.

    Args:
        workspace, language: parameters and paths.
        train: documents with gold spans.
        dev: documents that choose the epoch.
        folder: the leg, replaced as a whole.
        name: of the checkpoints, which a killed training goes on from.

    Raises:
        NerError: the encoder is missing, or another training of this name holds the lock.
    """
    options, encoder = workspace.section("transformer", language), encoder_of(workspace, language)
    seed, types = workspace.params["seed"], workspace.language(language)["types"]
    facts = [
        options,
        seed,
        half_precision(options["precision"]),
        types,
        documents_hash(train),
        documents_hash(dev),
        content_hash(encoder),
        code_hash(),
    ]
    fingerprint = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    parent = workspace.paths.checkpoints(language, name)
    with locks.hold(parent.with_suffix(".lock"), locks.TRAINING):
        checkpoints = Checkpoints(parent, fingerprint)
        fit(train, dev, types, encoder=encoder, options=options, seed=seed, checkpoints=checkpoints, folder=folder,
            title=f"{name} {language}")  # fmt: skip
        checkpoints.clear()


def encoder_of(workspace: Workspace, language: str) -> str:
    """What a language's training starts from: an encoder as ``from_pretrained`` takes it, or another's trained weights.

    Raises:
        NerError: the weights are missing, or the packaged encoder is not unpacked.
    """
    options = workspace.section("transformer", language)
    if not (start := options["start"]):
        return resolve_encoder(options["encoder"], workspace.paths)
    if not (weights := workspace.paths.trained(start) / "model.safetensors").is_file():
        raise NerError("the weights to start from are missing", where=str(weights),
                       remedy=f"Run: dvc repro train_transformer@{start}")  # fmt: skip
    return str(weights.parent)


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
    shown = repeated(train, options["repeat"])
    epochs = [
        batches(shown, windower, labels, size=options["batch_pieces"], recase=options["recase"], seed=f"{seed}/{epoch}")
        for epoch in range(options["epochs"])
    ]
    total = sum(len(batches) for batches in epochs)
    optimizer = _optimizer(model, options)
    progress = checkpoints.load(model, optimizer) or Progress()
    started = saved = time.monotonic()
    before = progress.seconds
    with bar(total, title, initial=progress.step, unit="batch") as progress_bar:
        while progress.epoch < len(epochs) and progress.epoch - max(progress.best_epoch, 0) <= options["patience"]:
            model.train()
            for batch in epochs[progress.epoch][progress.batch :]:
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * _slope(progress.step, total, options["warmup"])
                torch.manual_seed(seed * 1_000_003 + progress.step)
                loss = batch_loss(model, batch, tokenizer.pad_token_id, device, half)
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
            if score > progress.best_f1:
                progress.best_f1, progress.best_epoch = score, progress.epoch
                checkpoints.save_best(model)
            progress.seconds = before + time.monotonic() - started
            progress.history.append({"step": progress.step, "epoch": progress.epoch + 1,
                                     "loss": progress.loss / max(1, progress.batch), "dev_f1": score,
                                     "seconds": round(progress.seconds, 1)})  # fmt: skip
            progress_bar.write(f"{title}: epoch {progress.epoch + 1}, development F1 {score:.2f}")
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
            encoder, num_labels=len(labels), id2label=names, label2id={label: at for at, label in names.items()},
            hidden_dropout_prob=options["dropout"], attention_probs_dropout_prob=options["dropout"],
            ignore_mismatched_sizes=True,  # a head for another language's labels is left behind
        )  # fmt: skip
    except OSError as error:
        raise not_loadable(encoder, error) from None
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
