"""How a training takes its steps: the optimiser, the course of its learning rate, and the precision."""

from __future__ import annotations

from typing import Any

import torch

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.transformer.network import CASE


def adamw(model: torch.nn.Module, options: dict[str, Any]) -> torch.optim.Optimizer:
    """AdamW: new weights (head, case) have a learning rate of their own; norms and biases have no weight decay."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            new = name.startswith("classifier") or name.endswith(CASE)
            groups.setdefault((new, parameter.dim() > 1), []).append(parameter)
    rates = {True: options["head_learning_rate"], False: options["learning_rate"]}
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rates[head], "peak": rates[head],
             "weight_decay": options["weight_decay"] if matrix else 0.0}
            for (head, matrix), parameters in groups.items()
        ],
        fused=True,
    )  # fmt: skip


def slope(step: int, total: int, warmup: float) -> float:
    """The learning rate at a step as a share of its peak: it rises linearly in the warm-up, then falls to zero."""
    rise = max(1, round(total * warmup))
    return (step + 1) / rise if step < rise else (total - step) / max(1, total - rise)


def mixed_precision(choice: str) -> str:
    """The precision of multiplications in Accelerate's words: ``bf16``, ``fp16``, or ``no`` for fp32.

    ``auto`` is bf16 if the hardware can, else fp32: a processor without such instructions emulates them, thirty times
    slower.

    Raises:
        NerError: the choice is unknown, or needs a GPU.
    """
    where = "params.yaml: transformer.precision"
    if choice not in ("auto", "bf16", "fp16", "fp32"):
        raise NerError(f"unknown precision {choice!r}", where=where, remedy="Choose auto, bf16, fp16 or fp32.")
    cuda = torch.cuda.is_available()
    if choice == "fp16" and not cuda:
        raise NerError("fp16 needs a GPU", where=where, remedy="Choose auto: bf16 where the hardware can, else fp32.")
    if choice == "auto":
        bf16 = torch.cuda.is_bf16_supported() if cuda else (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )  # fmt: skip
        return "bf16" if bf16 else "no"
    return "no" if choice == "fp32" else choice
