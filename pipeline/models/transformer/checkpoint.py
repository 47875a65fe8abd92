"""Checkpoints of a training: tensors as safetensors, the rest as JSON; a checkpoint is whole or absent."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from multiner.pipeline.core.files import read_json, replace_folder, write_json
from multiner.pipeline.models.transformer import checkpoint_store


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes:
        epoch: the current epoch, from 0.
        batch: number of finished steps of this epoch.
        step: number of optimiser steps so far.
        loss: sum of the losses of this epoch's finished steps.
        seconds: training time so far, that of earlier, interrupted runs included.
        best_f1: best development F1 so far, in percent; -1 before the first evaluation.
        best_epoch: the epoch with the best F1.
        history: one record per evaluated epoch.
        scaler: state of the loss scaler of fp16; empty in other precisions.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    best_f1: float = -1.0
    best_epoch: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)
    scaler: dict[str, Any] = field(default_factory=dict)


Checkpoint = tuple[dict[str, torch.Tensor], TrainingState]
"""The tensors of a saved state, and the progress."""


class Checkpoints:
    """The checkpoints of one training, in a folder named after a fingerprint of its inputs.

    Checkpoints of other inputs in the folder ``parent`` are removed.
    """

    def __init__(self, parent: Path, fingerprint: str) -> None:
        self._folder = parent / fingerprint
        if parent.is_dir():
            for other in parent.iterdir():
                if other.is_dir() and other.name != fingerprint:
                    shutil.rmtree(other)
        checkpoint_store.restore(self._folder)

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: TrainingState) -> None:
        """Save the state to resume from: trained weights, the moments of the optimiser, progress."""
        tensors: dict[str, torch.Tensor] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            tensors[f"model.{name}"] = parameter.detach()
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = torch.as_tensor(value)
        with replace_folder(self._folder / "last") as folder:
            save_file(tensors, folder / "state.safetensors")
            write_json(folder / "progress.json", asdict(progress))
        checkpoint_store.save(self._folder, progress.step)

    def read(self) -> Checkpoint | None:
        """The saved state; None if nothing was saved."""
        folder = self._folder / "last"
        if not (folder / "progress.json").is_file():
            return None
        return load_file(folder / "state.safetensors"), TrainingState(**read_json(folder / "progress.json"))

    @staticmethod
    def restore(checkpoint: Checkpoint, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> TrainingState:
        """Put a saved state into the model and the optimiser; returns the progress."""
        tensors, progress = checkpoint
        keys = {name.split(".", 1)[0] for name in tensors} - {"model"}
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if f"model.{name}" not in tensors:
                    continue
                parameter.copy_(tensors[f"model.{name}"])
                state = {key: tensors[f"{key}.{name}"] for key in keys if f"{key}.{name}" in tensors}
                if state:
                    optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in state.items()}
        return progress

    def save_best(self, model: torch.nn.Module) -> None:
        """Save the trained weights as those of the best epoch so far."""
        trained = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
        with replace_folder(self._folder / "best") as folder:
            save_file(trained, folder / "best.safetensors")

    def load_best(self, model: torch.nn.Module) -> None:
        """Restore the weights of the best epoch into the model."""
        tensors = load_file(self._folder / "best" / "best.safetensors")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in tensors:
                    parameter.copy_(tensors[name])

    def clear(self) -> None:
        """Remove all checkpoints; a finished training no longer needs them."""
        shutil.rmtree(self._folder.parent, ignore_errors=True)
        checkpoint_store.clear(self._folder.name)
