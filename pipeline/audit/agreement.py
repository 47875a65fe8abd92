"""Whether the figures of a repeated training agree with the registered ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multiner.pipeline.evaluation.predictions import ENSEMBLE

PARTS = ("dev", "test")
SETTINGS = ("seed", "threads", "precision")  # of which the figures depend


@dataclass(frozen=True, slots=True)
class RepeatedScore:
    """F1 in percent of a system on a part of a corpus: registered, and of the repeated training (None: missing)."""

    corpus: str
    part: str
    system: str
    registered: float
    repeated: float | None

    @property
    def difference(self) -> float | None:
        """Repeated minus registered."""
        return None if self.repeated is None else self.repeated - self.registered


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the figures of a repeated training agree with the registered ones.

    Attributes:
        scores: of each system on the development and test parts.
        noise: F1 points by which the ensemble may differ.
        exact: whether every score, also by type, is equal.
        same_model: whether the models are equal bit by bit.
        same_documents: whether the prepared documents are.
        settings: those that differ, as ``threads: 2, here 4``.
    """

    scores: list[RepeatedScore]
    noise: float
    exact: bool
    same_model: bool
    same_documents: bool
    settings: list[str]

    @property
    def breaches(self) -> list[str]:
        """Why the figures do not agree; empty if they do."""
        reasons = [] if self.same_documents else ["the prepared documents are not those of the version"]
        for score in self.scores:
            if score.system != ENSEMBLE:
                continue
            place = f"{score.corpus} {score.part}"
            if score.difference is None:
                reasons.append(f"{place}: not measured again")
            elif abs(score.difference) > self.noise:
                reasons.append(f"{place}: {score.difference:+.2f} F1 points")
        return reasons


def agreement(registered: Mapping[str, Any], repeated: Mapping[str, Any], noise: float) -> Agreement:
    """Compare the figures of two evaluations (see :func:`multiner.pipeline.evaluation.metrics.figures`)."""
    scores = [
        RepeatedScore(corpus, part, system, float(figures["f1"]), _f1(repeated, corpus, part, system))
        for corpus, parts in registered.get("corpora", {}).items()
        for part in PARTS
        for system, figures in sorted(parts.get(part, {}).items(), key=lambda item: item[0] != ENSEMBLE)
    ]
    both = [(name, registered.get(name), repeated.get(name)) for name in SETTINGS]
    return Agreement(
        scores=scores,
        noise=noise,
        exact=registered.get("corpora") == repeated.get("corpora"),
        same_model=bool(registered.get("model_hash")) and registered["model_hash"] == repeated.get("model_hash"),
        same_documents=registered.get("data_hash") == repeated.get("data_hash"),
        settings=[f"{name}: {before}, here {after}" for name, before, after in both if before != after],
    )


def _f1(figures: Mapping[str, Any], corpus: str, part: str, system: str) -> float | None:
    value = figures.get("corpora", {}).get(corpus, {}).get(part, {}).get(system, {}).get("f1")
    return None if value is None else float(value)


def report(agreement: Agreement) -> str:
    """The scores as a text table, and below it how far they agree."""
    lines = [f"{'corpus':<20}{'part':<6}{'system':<14}{'registered':>12}{'repeated':>12}{'difference':>12}"]
    for score in agreement.scores:
        repeated = "missing" if score.repeated is None else f"{score.repeated:.2f}"
        difference = "" if score.difference is None else f"{score.difference:+.2f}"
        f1 = f"{score.registered:>12.2f}{repeated:>12}{difference:>12}"
        lines.append(f"{score.corpus:<20}{score.part:<6}{score.system:<14}{f1}")
    lines += [f"another setting: {each}" for each in agreement.settings]
    if agreement.breaches:
        lines.append(f"do not agree within {agreement.noise:g} F1 points: {'; '.join(agreement.breaches)}")
    elif agreement.exact:
        model = (
            "; the models are equal bit by bit" if agreement.same_model else ", though the models are not bit by bit"
        )
        lines.append(f"agree exactly: every score is equal{model}")
    else:
        lines.append(f"agree within {agreement.noise:g} F1 points, but not exactly")
    return "\n".join(lines)
