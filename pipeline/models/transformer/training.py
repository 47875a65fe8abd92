"""Training the transformer: AdamW with warm-up and linear decay (Loshchilov and Hutter 2019; Devlin et al. 2019).

The dropout of a step is seeded by the step's number, the order of an epoch by the epoch's number. So an interrupted
training that resumes from its checkpoint ends with the same weights as an uninterrupted one.
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
from multiner.pipeline.models.transformer.checkpoint import Checkpoints, TrainingState
from multiner.pipeline.models.transformer.encoders import content_hash, not_loadable, resolve_encoder
from multiner.pipeline.models.transformer.examples import batch_loss, batches, oversample
from multiner.pipeline.models.transformer.network import TorchTransformer, quiet_transformers, special_pieces_of
from multiner.pipeline.models.windows import Windower


def run(workspace: Workspace, language: str) -> None:
    """Stage ``train_transformer``: train on the prepared documents.

    Raises:
        NerError: documents or encoder are missing, or another training holds the lock.
    """
    train, dev = read_training(workspace, language)
    train_model(workspace, language, train, dev, folder=workspace.paths.trained(language))


def train_model(
    workspace: Workspace, language: str, train: Sequence[Document], dev: Sequence[Document], *, folder: Path,
    name: str = "transformer",
) -> None:  # fmt: skip
    """Train with the parameters of a language, or resume an interrupted training, and write the model to ``folder``.

    Args:
        workspace, language: parameters and paths.
        train: documents with gold spans to train on.
        dev: documents with gold spans; the epoch with the best F1 on them is written.
        folder: the folder of the model, which is replaced as a whole.
        name: name of the checkpoints.

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
    """The weights that a language's training starts from, as ``from_pretrained`` takes them.

    They are an encoder, or the trained transformer of another language (``transformer.start``).

    Raises:
        NerError: that transformer is not trained, or the packaged encoder is not unpacked.
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
    """Fine-tune an encoder on ``train``, and write the epoch with the best F1 on ``dev`` to ``folder``.

    Args:
        train, dev: documents with gold spans.
        types: entity types.
        encoder: the argument of ``from_pretrained``.
        options: the section ``transformer`` of params.yaml for the language.
        seed: seed of new weights, order and dropout.
        checkpoints: the training resumes from the latest one and writes new ones.
        folder: the folder of the model, which is replaced as a whole.
        title: text on the progress bar.
    """
    torch.set_num_threads(options["threads"])
    torch.manual_seed(seed)
    labels = bio_labels(types)
    model, tokenizer = _model(encoder, labels, options)
    half = half_precision(options["precision"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    windower = Windower(tokenizer.backend_tokenizer, special_pieces_of(tokenizer), options["max_pieces"])
    transformer = TorchTransformer(model, windower, labels, options["max_pieces"] // 4)
    documents = oversample(train, options["repeat"])
    epochs = [
        batches(documents, windower, labels, size=options["batch_pieces"], case_augmentation=options["recase"],
                seed=f"{seed}/{epoch}")
        for epoch in range(options["epochs"])
    ]  # fmt: skip
    total = sum(map(len, epochs))
    optimizer = _optimizer(model, options)
    progress = checkpoints.load(model, optimizer) or TrainingState()
    start_time = checkpoint_time = time.monotonic()
    earlier_seconds = progress.seconds
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
                progress.seconds = earlier_seconds + time.monotonic() - start_time
                progress_bar.update()
                progress_bar.set_postfix(
                    loss=f"{progress.loss / progress.batch:.4f}",
                    f1=f"{progress.best_f1:.2f}" if progress.history else "?",
                )
                if time.monotonic() - checkpoint_time > options["checkpoint_seconds"]:
                    checkpoints.save(model, optimizer, progress)
                    checkpoint_time = time.monotonic()
            model.eval()
            score = span_f1(dev, [decode_spans(rows, document.sentences, labels, scores=False)
                                  for document, rows in zip(dev, transformer.predict(dev), strict=True)])  # fmt: skip
            if score > progress.best_f1:
                progress.best_f1, progress.best_epoch = score, progress.epoch
                checkpoints.save_best(model)
            progress.seconds = earlier_seconds + time.monotonic() - start_time
            progress.history.append({"step": progress.step, "epoch": progress.epoch + 1,
                                     "loss": progress.loss / max(1, progress.batch), "dev_f1": score,
                                     "seconds": round(progress.seconds, 1)})  # fmt: skip
            progress_bar.write(f"{title}: epoch {progress.epoch + 1}, development F1 {score:.2f}")
            progress.epoch, progress.batch, progress.loss = progress.epoch + 1, 0, 0.0
            checkpoints.save(model, optimizer, progress)
            checkpoint_time = time.monotonic()
    checkpoints.load_best(model)
    with replace_folder(folder) as temporary:
        model.to("cpu").save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_json(
            temporary / SETTINGS,
            {
                "labels": labels,
                "max_pieces": windower.max_pieces,
                "context": transformer.context,
                "trained_in": "bf16" if half else "fp32",
            },
        )
        write_json(temporary / "history.json", progress.history)


def _model(encoder: str, labels: list[str], options: dict[str, Any]):  # noqa: ANN202 (transformers is imported late)
    """The encoder with a fresh classification head, and its tokenizer."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    quiet_transformers()
    names = dict(enumerate(labels))
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder, use_fast=True, add_prefix_space=True)
        model = AutoModelForTokenClassification.from_pretrained(
            encoder, num_labels=len(labels), id2label=names, label2id={label: at for at, label in names.items()},
            hidden_dropout_prob=options["dropout"], attention_probs_dropout_prob=options["dropout"],
            ignore_mismatched_sizes=True,  # a head for other labels is replaced
        )  # fmt: skip
    except OSError as error:
        raise not_loadable(encoder, error) from None
    if options["freeze_embeddings"]:
        getattr(model, model.base_model_prefix).embeddings.requires_grad_(False)
    return model, tokenizer


def _optimizer(model: torch.nn.Module, options: dict[str, Any]) -> torch.optim.Optimizer:
    """AdamW: the head has a learning rate of its own; norms and biases have no weight decay."""
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
    """The learning rate at a step as a share of its peak: it rises linearly in the warm-up, then falls to zero."""
    rise = max(1, round(total * warmup))
    return (step + 1) / rise if step < rise else (total - step) / max(1, total - rise)


def half_precision(choice: str) -> bool:
    """Whether training multiplies in bfloat16: ``bf16`` always, ``fp32`` never, ``auto`` if the hardware can.

    A processor without such instructions emulates them, thirty times slower.

    Raises:
        NerError: the choice is unknown.
    """
    if choice not in ("auto", "bf16", "fp32"):
        raise NerError(f"unknown precision {choice!r}", where="params.yaml: transformer.precision",
                       remedy="Choose auto, bf16 or fp32.")  # fmt: skip
    if choice == "auto":
        if torch.cuda.is_available():
            return torch.cuda.is_bf16_supported()
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return choice == "bf16"
