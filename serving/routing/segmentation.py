"""Texts in more than one language: cut into runs of sentences of one language, and their answers put together.

Each run is read by the model of its language; a language's runs of a text are put to it as one text, a line each, so
that it sees them in context and no entity crosses from one into another. Pure functions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any

from multiner.pipeline.text.languages import AUTO, CYRILLIC, CYRILLIC_LANGUAGES, LATIN, detect
from multiner.pipeline.text.span_trimming import visible
from multiner.pipeline.text.tokenizer import sentence_starts
from multiner.serving.answers import ModelFailed

FEW_LETTERS = 4  # of the scripts that are served: fewer do not tell a sentence's language
FEW_WORDS = 3  # of Latin script: fewer are as likely a name within Russian as a sentence
JOINT = "\n"  # between runs: sentences end there, so that no entity lies across


@dataclass(frozen=True, slots=True)
class Run:
    """``text[start:end]``, to be read by the model of ``language``."""

    start: int
    end: int
    language: str


@dataclass(frozen=True, slots=True)
class Part:
    """What the model of a language gets of a text: ``text``, and the runs that it is made of, in order."""

    language: str
    text: str
    runs: tuple[Run, ...]

    def placed(self, found: Iterable[Mapping[str, Any]], whole: str) -> Iterator[dict[str, Any]]:
        """Entities or tokens of this part as those of the ``whole`` text: offsets, also those of legs, and text.

        Raises:
            ModelFailed: one lies across runs.
        """
        begins = list(accumulate((run.end - run.start + len(JOINT) for run in self.runs), initial=0))
        for each in found:
            at = bisect_right(begins, each["start"]) - 1
            within, shift = range(begins[at], begins[at + 1]), self.runs[at].start - begins[at]
            new = _moved(each, within, shift)
            new["text"] = whole[new["start"] : new["end"]]
            if legs := each.get("legs"):
                new["legs"] = {leg: _moved(view, within, shift) for leg, view in legs.items()}
            yield new


def _moved(place: Mapping[str, Any], within: range, shift: int) -> dict[str, Any]:
    """A place of a part, ``within`` a run and the joint after it, or nulls, with its offsets moved."""
    if place.get("start") is None:
        return dict(place)
    if place["start"] not in within or place["end"] not in within:
        raise ModelFailed("the model found an entity that reaches across a line break")
    return {**place, "start": place["start"] + shift, "end": place["end"] + shift}


def runs_of(text: str, languages: Sequence[str]) -> list[Run]:
    """The runs of a text, which tile it; one at least.

    A sentence is in the language of its script. One without letters, or with few, is read with its neighbours: with the
    nearest before or after it that is in its own language, else with the one before. Where all are such, the whole text
    tells. The same holds for sentences in a script that no language has.

    Args:
        text: any text.
        languages: all there are; the first of a script stands for it.
    """
    if not (CYRILLIC.search(text) and LATIN.search(text)) or len({c in CYRILLIC_LANGUAGES for c in languages}) < 2:
        return [Run(0, len(text), detect(text, languages))]
    starts = [0, *sentence_starts(text)[1:], len(text)]
    guesses = [_guess(text[start:end], languages) for start, end in pairwise(starts)]
    told = _told(guesses)
    chosen = told or [detect(text, languages)] * len(guesses)
    groups = groupby(zip(pairwise(starts), chosen, strict=True), key=lambda each: each[1])
    bounds = [(language, [place for place, _ in group]) for language, group in groups]
    return [Run(places[0][0], places[-1][1], language) for language, places in bounds]


def _guess(sentence: str, languages: Sequence[str]) -> tuple[str | None, bool]:
    """A sentence's language, None without letters of a script that is served; and whether that is certain."""
    cyrillic, latin = len(CYRILLIC.findall(sentence)), len(LATIN.findall(sentence))
    if not cyrillic + latin:
        return None, False
    language = detect(sentence, languages)
    certain = cyrillic + latin >= FEW_LETTERS
    if language not in CYRILLIC_LANGUAGES:
        certain = certain and sum(bool(LATIN.search(word)) for word in sentence.split()) >= FEW_WORDS
    return language, certain


def _told(guesses: Sequence[tuple[str | None, bool]]) -> list[str] | None:
    """The language of each sentence; None where none is certain."""
    before, after = _nearest(guesses), _nearest(guesses[::-1])[::-1]
    if not guesses or before[-1] is None:
        return None
    told: list[str] = []
    for (language, _), left, right in zip(guesses, before, after, strict=True):
        nearest = left or right
        assert nearest is not None  # one sentence is certain: it is before, after or this one
        told.append(language if language in (left, right) and language else nearest)
    return told


def _nearest(guesses: Sequence[tuple[str | None, bool]]) -> list[str | None]:
    """For each sentence the language of the last certain one up to it."""
    found: list[str | None] = []
    last = None
    for language, certain in guesses:
        last = language if certain else last
        found.append(last)
    return found


def parts_of(text: str, language: str, languages: Sequence[str]) -> list[Part]:
    """What each language's model gets of a text: the main language, which has the most characters, first.

    Args:
        text: any text.
        language: whose model is to read it, or ``auto``: the sentences tell.
        languages: all there are.
    """
    runs = runs_of(text, languages) if language == AUTO else [Run(0, len(text), language)]
    by_language: dict[str, list[Run]] = {}
    for run in runs:
        by_language.setdefault(run.language, []).append(run)
    parts = [
        Part(language, JOINT.join(text[run.start : run.end] for run in own), tuple(own))
        for language, own in by_language.items()
    ]
    return sorted(parts, key=lambda part: -len(part.text))


def put_together(
    text: str, parts: Sequence[Part], answers: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The result for a text from its parts' answers.

    Args:
        text: as it was sent.
        parts: from :func:`parts_of`.
        answers: of each part: ``entities``, and ``tokens`` if they were asked for.
        models: of each part, the ``name`` and ``version`` that answered.

    Returns:
        ``language`` and ``model`` of the main language, ``entities`` and, if there, ``tokens``, in order; where several
        languages answered also ``models``, by language, and the ``language`` of each entity and token. Entities begin
        and end with what can be seen (:func:`multiner.pipeline.text.span_trimming.visible`).

    Raises:
        ModelFailed: an entity lies across runs.
    """
    result: dict[str, Any] = {"language": parts[0].language, "model": models[0]}
    several = len(parts) > 1
    if several:
        result["models"] = {part.language: model for part, model in zip(parts, models, strict=True)}
    for kind in ("entities", "tokens"):
        if all(kind in answer for answer in answers):
            placed = [
                each | ({"language": part.language} if several else {})
                for part, answer in zip(parts, answers, strict=True)
                for each in part.placed(answer[kind], text)
            ]
            if kind == "entities":  # here, so that models registered before answer so too
                placed = [seen for each in placed if (seen := visible(text, each))]
            result[kind] = sorted(placed, key=lambda each: each["start"])
    return result
