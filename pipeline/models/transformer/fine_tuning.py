"""Fine-tuning an encoder: AdamW with warm-up and linear decay (Loshchilov and Hutter 2019; Devlin et al. 2019).

The dropout of a batch is seeded by its number, the order of an epoch by the epoch's number. So an interrupted training
that resumes from its checkpoint ends with the same weights as an uninterrupted one. In several processes, each takes
its batches of a step, and the gradients are averaged: two processes do in one what one process does in a step of two
accumulated batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from multiner.pipeline.core.decoding import corpus_mean_f1, decode_spans
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.environment import map_large_blocks
from multiner.pipeline.core.files import replace_folder, write_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.core.progress import bar
from multiner.pipeline.core.training_failures import memory_advice, require_finite
from multiner.pipeline.models.base import SETTINGS
from multiner.pipeline.models.transformer.checkpoint import Checkpoint, Checkpoints, TrainingState
from multiner.pipeline.models.transformer.examples import Example, TokenLoss, batches, grouped, oversample, tensors
from multiner.pipeline.models.transformer.network import (
    CasedEmbedding,
    TorchTransformer,
    special_pieces_of,
    start_model,
)
from multiner.pipeline.models.transformer.optimisation import adamw, mixed_precision, slope
from multiner.pipeline.models.windows import Windower


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
    after_epoch: Callable[[int, float], None] | None = None,
) -> None:
    """Fine-tune an encoder on ``train``, and write the epoch with the best F1 on ``dev`` to ``folder``.

    In a group of processes each one calls it with the same arguments; the first one writes.

    Args:
        train, dev: documents with gold spans.
        types: entity types.
        encoder: the argument of ``from_pretrained``.
        options: the section ``transformer`` of params.yaml for the language.
        seed: seed of new weights, order and dropout.
        checkpoints: the training resumes from the latest one and writes new ones.
        folder: the folder of the model, which is replaced as a whole.
        title: text on the progress bar.
        after_epoch: called with the number of finished epochs and the last one's development F1; it may raise.

    Raises:
        NerError: the memory does not suffice, or the loss is no finite number (:class:`Diverged`).
    """
    map_large_blocks()
    with memory_advice(f"batch_pieces (now {options['batch_pieces']}) or max_pieces", "transformer.batch_pieces"):
        training = FineTuning(train, dev, types, encoder=encoder, options=options, seed=seed, checkpoints=checkpoints)
        training.run(title, after_epoch)
        if training.accelerator.is_main_process:
            training.write(folder)


class FineTuning:
    """A training in this process: what does not change, and how far it is. The arguments are those of :func:`fit`."""

    def __init__(
        self,
        train: Sequence[Document],
        dev: Sequence[Document],
        types: Sequence[str],
        *,
        encoder: str,
        options: dict[str, Any],
        seed: int,
        checkpoints: Checkpoints,
    ) -> None:
        self.options, self.seed, self.checkpoints, self.dev = options, seed, checkpoints, dev
        self.precision = mixed_precision(options["precision"])
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision=self.precision,
            gradient_accumulation_steps=options["accumulate"],
        )
        torch.set_num_threads(options["threads"])
        torch.manual_seed(seed)
        labels = bio_labels(types)
        self.model, self.tokenizer = start_model(encoder, labels, options)
        self.model.to(self.accelerator.device)
        embedding = self.model.get_input_embeddings()
        self.windower = Windower(
            self.tokenizer.backend_tokenizer, special_pieces_of(self.tokenizer), options["max_pieces"],
            embedding.num_embeddings if isinstance(embedding, CasedEmbedding) else 0,
        )  # fmt: skip
        self.transformer = TorchTransformer(self.model, self.windower, labels, options["max_pieces"] // 4)
        self.documents = oversample(train, options["repeat"])
        self.step_batches = self.accelerator.num_processes * options["accumulate"]
        self.total_steps = sum(len(self.steps(epoch)) for epoch in range(options["epochs"]))
        self.loss_of, self.optimizer = self.accelerator.prepare(TokenLoss(self.model), adamw(self.model, options))
        self.progress = _resume(self.accelerator, checkpoints, self.model, self.optimizer)
        self.start_time = self.checkpoint_time = time.monotonic()
        self.earlier_seconds = self.progress.seconds

    def steps(self, epoch: int) -> list[list[list[Example]]]:
        """The batches of each step of an epoch: made when it begins, so that memory holds one epoch at a time."""
        options = self.options
        made = batches(
            self.documents,
            self.windower,
            self.transformer.labels,
            size=options["batch_pieces"],
            case_augmentation=options["recase"],
            seed=f"{self.seed}/{epoch}",
        )
        return grouped(made, self.step_batches)

    def run(self, title: str, after_epoch: Callable[[int, float], None] | None) -> None:
        """Train from where the latest checkpoint is to the end, or until the patience is over."""
        progress, options, first = self.progress, self.options, self.accelerator.is_main_process
        with bar(self.total_steps, title, initial=progress.step, unit="batch", hidden=not first) as progress_bar:
            while (
                progress.epoch < options["epochs"]
                and progress.epoch - max(progress.best_epoch, 0) <= options["patience"]
            ):
                self.loss_of.train()
                for step in self.steps(progress.epoch)[progress.batch :]:
                    self._train_step(step)
                    progress_bar.update()
                    progress_bar.set_postfix(
                        loss=f"{progress.loss / progress.batch:.4f}",
                        f1=f"{progress.best_f1:.2f}" if progress.history else "?",
                    )
                    if time.monotonic() - self.checkpoint_time > options["checkpoint_seconds"]:
                        self._save()
                score = self._end_epoch()
                if first:
                    progress_bar.write(f"{title}: epoch {progress.epoch}, development F1 {score:.2f}")
                if after_epoch:
                    after_epoch(progress.epoch, score)

    def _train_step(self, step: Sequence[list[Example]]) -> None:
        """Learn from this process's batches of a step."""
        accelerator, optimizer, progress = self.accelerator, self.optimizer, self.progress
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * slope(progress.step, self.total_steps, self.options["warmup"])
        losses = []
        for index in range(accelerator.process_index, self.step_batches, accelerator.num_processes):
            torch.manual_seed(self.seed * 1_000_003 + progress.step * self.step_batches + index)
            with accelerator.accumulate(self.loss_of):
                loss = self.loss_of(*tensors(step[index], self.tokenizer.pad_token_id, accelerator.device))
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.detach())
        loss = accelerator.reduce(torch.stack(losses).mean(), "mean").item()
        require_finite(
            loss,
            f"step {progress.step + 1} of {self.total_steps}",
            where="params.yaml: transformer.learning_rate",
            remedy="Lower learning_rate or head_learning_rate, raise warmup, or choose another precision.",
        )
        progress.loss += loss
        progress.batch += 1
        progress.step += 1
        progress.seconds = self.earlier_seconds + time.monotonic() - self.start_time

    def _end_epoch(self) -> float:
        """Score the model on the development documents, and write a checkpoint. Returns the F1 in percent."""
        progress = self.progress
        self.loss_of.eval()
        score = _development_f1(self.accelerator, self.transformer, self.dev)
        if score > progress.best_f1:
            progress.best_f1, progress.best_epoch = score, progress.epoch
            if self.accelerator.is_main_process:
                self.checkpoints.save_best(self.model)
        progress.seconds = self.earlier_seconds + time.monotonic() - self.start_time
        loss = progress.loss / max(1, progress.batch)
        progress.epoch, progress.batch, progress.loss = progress.epoch + 1, 0, 0.0
        progress.history.append(
            {
                "step": progress.step,
                "epoch": progress.epoch,
                "loss": loss,
                "dev_f1": score,
                "seconds": round(progress.seconds, 1),
            }
        )
        self._save()
        return score

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            self.progress.scaler = scaler.state_dict() if scaler else {}
            self.checkpoints.save(self.model, self.optimizer, self.progress)
        self.checkpoint_time = time.monotonic()

    def write(self, folder: Path) -> None:
        """Write the best epoch's model to ``folder``, which is replaced as a whole."""
        self.checkpoints.load_best(self.model)
        settings = {
            "labels": self.transformer.labels,
            "max_pieces": self.windower.max_pieces,
            "context": self.transformer.context,
            "trained_in": "fp32" if self.precision == "no" else self.precision,
        }
        if self.windower.vocabulary:
            settings["vocabulary"] = self.windower.vocabulary
        with replace_folder(folder) as temporary:
            self.model.cpu().save_pretrained(temporary)
            self.tokenizer.save_pretrained(temporary)
            write_json(temporary / SETTINGS, settings)
            write_json(temporary / "history.json", self.progress.history)


def _resume(
    accelerator: Accelerator, checkpoints: Checkpoints, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> TrainingState:
    """Restore the latest checkpoint in every process: the first one reads it, since others may have another disk."""
    shared: list[Checkpoint | None] = [checkpoints.read() if accelerator.is_main_process else None]
    (checkpoint,) = broadcast_object_list(shared)
    if checkpoint is None:
        return TrainingState()
    progress = checkpoints.restore(checkpoint, model, optimizer)
    if accelerator.scaler and progress.scaler:
        accelerator.scaler.load_state_dict(progress.scaler)
    return progress


def _development_f1(accelerator: Accelerator, transformer: TorchTransformer, dev: Sequence[Document]) -> float:
    """The mean F1 over the corpora of the development documents; each process predicts its share of them."""
    count = accelerator.num_processes
    shares = [dev[start::count] for start in range(count)]
    own = shares[accelerator.process_index]
    spans = [
        decode_spans(rows, document.sentences, transformer.labels, scores=False)
        for document, rows in zip(own, transformer.predict(own), strict=True)
    ]
    return corpus_mean_f1([document for share in shares for document in share], gather_object(spans))
