"""Keeps texts whose answers are in doubt for annotation, where ``serving.review_uncertain`` is above 0.

They are written after the answer was sent, in a thread. No fault in this affects the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.uncertain_texts import LEAST_DOUBT, UncertainTexts, doubt
from multiner.serving import executors
from multiner.serving.backends.backend import ServedModel
from multiner.serving.http.after_response import after_response

log = logging.getLogger("serving")
WAITING = 32  # calls that may wait to be written


class UncertainAnswers:
    """Offers the answers of a gateway to the file of uncertain texts.

    Args:
        texts: the files.
    """

    def __init__(self, texts: UncertainTexts) -> None:
        self._texts = texts
        self._least: dict[str, float] = {}  # by language: the doubt that a text needs now that the file is full
        self._waiting = 0

    def offer(self, model: ServedModel, texts: Sequence[str], answers: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Keep those of the texts that are in enough doubt."""
        least = self._least.get(model.language, LEAST_DOUBT)
        doubtful = [pair for pair in zip(texts, answers, strict=True) if doubt(pair[1]) >= least]
        if doubtful and self._waiting < WAITING:
            self._waiting += 1
            after_response(lambda: self._submit(model, doubtful))

    def _submit(self, model: ServedModel, answers: list[tuple[str, Sequence[Mapping[str, Any]]]]) -> None:
        executors.FILES.submit(self._write, model, answers)

    def _write(self, model: ServedModel, answers: list[tuple[str, Sequence[Mapping[str, Any]]]]) -> None:
        try:
            kept = self._texts.offer(model.language, answers, f"{model.name}/{model.version}")
            if len(kept) >= self._texts.most:
                self._least[model.language] = kept[-1].doubt
            else:
                self._least.pop(model.language, None)
        except (NerError, OSError) as error:
            log.error("uncertain text not kept", extra={"fields": {"language": model.language, "error": str(error)}})
        finally:
            self._waiting -= 1
