"""Texts whose answers are in doubt, until people annotate them: ``data/review/<language>.uncertain.jsonl``.

The file holds at most a given number of texts. When it is full, a text in more doubt takes the place of the one in
least doubt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from multiner.pipeline.core import locks
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.corpora.text import read_lines

LEAST_DOUBT = 0.25  # of a text that is kept


@dataclass(frozen=True, slots=True)
class UncertainText:
    """A text with the entities of the answer (``start``, ``end``, ``label``, ``score``), the model, and the time."""

    text: str
    entities: list[dict[str, Any]] = field(default_factory=list)
    doubt: float = 0.0
    model: str = ""
    time: str = ""


def doubt(entities: Iterable[Mapping[str, Any]]) -> float:
    """The doubt in an answer, 0 to 1: that of its most doubtful entity, 0 without entities.

    An entity's doubt is the mean of 1 − score and the share of the legs that found something else at its place.
    """
    return max(map(_doubt, entities), default=0.0)


def _doubt(entity: Mapping[str, Any]) -> float:
    score, legs = entity.get("score"), entity.get("legs") or {}
    place = tuple(entity.get(key) for key in ("start", "end", "label"))
    others = sum(tuple((view or {}).get(key) for key in ("start", "end", "label")) != place for view in legs.values())
    low = 0.0 if score is None else 1 - min(max(score, 0.0), 1.0)
    return (low + (others / len(legs) if legs else low)) / 2


class UncertainTexts:
    """The files in ``folder``, each with at most ``most`` texts, and at most ``most_bytes``."""

    def __init__(self, folder: Path, most: int, most_bytes: int) -> None:
        self.folder = folder
        self.most = most
        self.most_bytes = most_bytes

    def path(self, language: str) -> Path:
        """The file of a language."""
        return self.folder / f"{language}.uncertain.jsonl"

    def _lock(self, language: str) -> AbstractContextManager[None]:
        return locks.hold(self.folder / f".{language}.uncertain.lock", locks.REVIEW_QUEUE)

    def offer(
        self, language: str, answers: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], model: str
    ) -> list[UncertainText]:
        """Keep those of the answers (text and entities) that are in most doubt; returns the texts that are kept now.

        Args:
            language: its code.
            answers: texts with the entities found in them.
            model: name and version of the model, such as ``ner-en/3``.

        Raises:
            NerError: the file is malformed.
            OSError: it cannot be written; it is unchanged.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        new = [
            UncertainText(text, [_plain(each) for each in entities], round(value, 4), model, now)
            for text, entities in answers
            if (value := doubt(entities)) >= LEAST_DOUBT
        ]
        if not new:
            return []
        with self._lock(language):
            texts = {each.text: each for each in [*self.read(language), *new]}  # the latest answer counts
            ranked = sorted(texts.values(), key=lambda each: -each.doubt)[: self.most]
            size = 0
            lines = []
            for each in ranked:
                line = json.dumps(asdict(each), ensure_ascii=False) + "\n"
                size += len(line.encode("utf-8", "replace"))
                if size > self.most_bytes:
                    break
                lines.append(line)
            self._write(language, lines)
        return ranked[: len(lines)]

    def read(self, language: str) -> list[UncertainText]:
        """The texts, those in most doubt first. Raises NerError if the file is malformed."""
        path = self.path(language)
        texts = []
        for number, line in enumerate(read_lines(path) if path.is_file() else [], 1):
            try:
                texts.append(UncertainText(**json.loads(line)))
            except (ValueError, TypeError):
                raise NerError("not a text with an answer", where=f"{path}:{number}", remedy="Remove it.") from None
        return texts

    def clear(self, language: str, texts: Sequence[UncertainText]) -> None:
        """Remove ``texts``, which were written elsewhere; those that have come since then stay."""
        written = {each.text for each in texts}
        with self._lock(language):
            rest = [each for each in self.read(language) if each.text not in written]
            self._write(language, [json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in rest])

    def _write(self, language: str, lines: Sequence[str]) -> None:
        path = self.path(language)
        with write_atomically(path) as file:
            file.writelines(lines)
        path.chmod(0o600)  # texts of users


def _plain(entity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entity.get(key) for key in ("start", "end", "label", "score")}
