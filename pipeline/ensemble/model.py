"""The ensemble: calibrated legs on one token grid, combined and decoded exactly.

Each leg's probabilities are sharpened or flattened by a temperature (Guo et al. 2017) and enter a logarithmic opinion
pool (Genest and Zidek 1986): the product of the legs' distributions, each to the power of its weight. Where development
data prefers it, a learned chooser then decides among the candidate spans of the legs and the pool; else the pool's own
most probable spans stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.environment import thread_count
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.ensemble.chunks import SteppingLeg
from multiner.pipeline.ensemble.features import describe, feature_names, read_views
from multiner.pipeline.ensemble.meta_classifier import Chooser
from multiner.pipeline.ensemble.surname_first import join_surname_first
from multiner.pipeline.ensemble.token_types import token_types
from multiner.pipeline.models import load_leg
from multiner.pipeline.models.base import Leg
from multiner.pipeline.models.windows import WindowedLeg

_TINY = 1e-9


@dataclass(frozen=True)
class Member:
    """A leg's part in the ensemble."""

    name: str
    temperature: float
    weight: float


@dataclass(frozen=True)
class Prediction:
    """The spans of a document, by the ensemble and by each leg alone; a score is the probability to be right.

    ``types``, where asked for: each token's probabilities to be outside and within each type, ``[tokens, 1 + types]``,
    by the pool of the legs (a chooser decides over spans, and says nothing of tokens).
    """

    spans: tuple[Span, ...]
    legs: dict[str, tuple[Span, ...]]
    types: np.ndarray | None = None


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """A distribution per row, flattened (temperature above 1) or sharpened (below 1)."""
    return pool([probabilities], [1.0 / temperature])


def pool(distributions: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The logarithmic opinion pool of distributions ``[tokens, labels]``, float64, rows sum to 1."""
    logs = np.zeros(distributions[0].shape, dtype=np.float64)
    for distribution, weight in zip(distributions, weights, strict=True):
        if weight:
            logs += weight * np.log(np.maximum(distribution, _TINY).astype(np.float64))
    logs -= logs.max(axis=-1, keepdims=True) if logs.size else 0.0
    powers = np.exp(logs)
    return powers / powers.sum(axis=-1, keepdims=True)


def stack(by_leg: Sequence[np.ndarray], members: Sequence[Member]) -> np.ndarray:
    """The calibrated legs and, last, their pool: ``[legs + 1, tokens, labels]``."""
    calibrated = [temper(rows, member.temperature) for rows, member in zip(by_leg, members, strict=True)]
    return np.stack([*calibrated, pool(calibrated, [member.weight for member in members])])


class Ensemble:
    """Trained legs with their calibration, weights and chooser.

    Args:
        language: its code.
        types: entity types.
        members: in the order of ``legs``.
        legs: all over the label set of ``types``.
        chooser: decides among the candidates; None: the pool's spans stand.

    Raises:
        NerError: a leg speaks another label set.
    """

    def __init__(
        self,
        language: str,
        types: Sequence[str],
        members: Sequence[Member],
        legs: Sequence[Leg],
        chooser: Chooser | None = None,
    ) -> None:
        self.language = language
        self.types = list(types)
        self.labels = bio_labels(types)
        self.members = list(members)
        self.chooser = chooser
        self._legs = list(legs)
        self._beside = ThreadPoolExecutor(thread_name_prefix="legs") if thread_count() > 1 else None
        for member, leg in zip(self.members, self._legs, strict=True):
            if leg.labels != self.labels:
                raise NerError(f"the leg {member.name} speaks {leg.labels}, the ensemble {self.labels}",
                               remedy="Train the leg and the ensemble on the same types.")  # fmt: skip

    @classmethod
    def load(cls, path: Path, legs: dict[str, Path]) -> Ensemble:
        """The ensemble that the JSON file ``path`` describes, with each leg from its folder in ``legs``.

        Raises:
            NerError: it was tuned by other code, or for other legs.
        """
        value = read_json(path)
        members = [Member(**member) for member in value["members"]]
        names = [member.name for member in members]
        if missing := [name for name in names if name not in legs]:
            raise NerError(f"the ensemble was tuned with other legs, of which here is no {', '.join(missing)}",
                           where=str(path), remedy="Tune it again: dvc repro")  # fmt: skip
        loaded = [_stepping(load_leg(member.name, legs[member.name])) for member in members]
        chooser = Chooser.from_json(value["chooser"]) if value["chooser"] else None
        if chooser and list(chooser.features) != feature_names(names, value["types"]):
            raise NerError("the chooser was fitted to other features than this code's", where=str(path),
                           remedy="Tune it again: dvc repro")  # fmt: skip
        return cls(value["language"], value["types"], members, loaded, chooser)

    def predict(self, documents: Sequence[Document], *, types: bool = False) -> list[Prediction]:
        """Spans of each document, by the ensemble and by each calibrated leg alone.

        Args:
            documents: with their sentences.
            types: tell the probabilities of each token, too.

        Raises:
            Cancelled: see :func:`multiner.pipeline.core.cancellation.check_cancelled`.
        """
        by_leg = self._ask(documents)
        for leg in self._legs:
            inner = leg.leg if isinstance(leg, SteppingLeg) else leg
            if forget := getattr(inner, "forget_words", None):  # the legs of spaCy
                forget()
        return [
            self.combine(document, [rows[index] for rows in by_leg], types=types)
            for index, document in enumerate(documents)
        ]

    def _ask(self, documents: Sequence[Document]) -> list[list[np.ndarray]]:
        """Each leg's probabilities of each document.

        The first leg, the encoder, runs beside the others: it spends its time outside of Python's lock, which the
        spaCy legs mostly hold, so that these answer in turn.
        """
        first, *others = self._legs
        if not self._beside or not others:
            return [leg.predict(documents) for leg in self._legs]
        running = self._beside.submit(copy_context().run, first.predict, documents)  # which knows what calls it off
        try:
            answers = [leg.predict(documents) for leg in others]
        finally:
            wait([running])
        return [running.result(), *answers]

    def combine(self, document: Document, by_leg: Sequence[np.ndarray], *, types: bool = False) -> Prediction:
        """The prediction for one document from the legs' probabilities ``[tokens, labels]``, in members' order."""
        check_cancelled()
        stacked = stack(by_leg, self.members)
        views = read_views(document, stacked, self.labels)
        *legs, pooled = views.found
        spans: Sequence[Span] = pooled
        if self.chooser:
            candidates, described = describe(document, views, self.types, self.chooser.gazetteer)
            spans = self.chooser.choose(candidates, described)
        if self.language == "ru":
            spans = join_surname_first(document, spans)
        return Prediction(
            tuple(spans),
            {member.name: tuple(found) for member, found in zip(self.members, legs, strict=True)},
            token_types(stacked[-1], document.sentences) if types else None,
        )


def _stepping(leg: Leg) -> Leg:
    """The leg itself if it goes window by window, else in steps."""
    return leg if isinstance(leg, WindowedLeg) else SteppingLeg(leg)
