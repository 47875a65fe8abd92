"""Texts in several languages: each sentence goes to the model of its language, and the answers are merged.

Consecutive sentences of a language are a passage. A model gets all passages of its language as one text, a line each:
it sees them in context, and no entity crosses from one into another.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any

from multiner.pipeline.text.languages import AUTO, detect, one_of_each_script
from multiner.pipeline.text.scripts import LATIN, first_letter, letters_in, script_of
from multiner.pipeline.text.span_trimming import visible
from multiner.pipeline.text.tokenizer import sentence_starts
from multiner.serving.answers import ModelFailed

FEW_LETTERS = 4  # a sentence with fewer letters in the languages' scripts and Latin does not show its language
FEW_WORDS = 3  # fewer Latin words are as likely a name within another script as a sentence
JOINT = "\n"  # between passages; sentences end there, so that no entity crosses it


@dataclass(frozen=True, slots=True)
class Passage:
    """``text[start:end]``, which the model of ``language`` reads."""

    start: int
    end: int
    language: str


@dataclass(frozen=True, slots=True)
class ModelText:
    """The text that the model of a language gets, and the passages that it consists of, in order."""

    language: str
    text: str
    passages: tuple[Passage, ...]

    def restore(self, spans: Iterable[Mapping[str, Any]], whole: str) -> Iterator[dict[str, Any]]:
        """Entities or tokens of this text with offsets (also of their legs) and text of the ``whole`` text.

        Raises:
            ModelFailed: a span crosses a passage's end.
        """
        begins = list(accumulate((each.end - each.start + len(JOINT) for each in self.passages), initial=0))
        for span in spans:
            at = bisect_right(begins, span["start"]) - 1
            within, shift = range(begins[at], begins[at + 1]), self.passages[at].start - begins[at]
            moved = _move(span, within, shift)
            moved["text"] = whole[moved["start"] : moved["end"]]
            if legs := span.get("legs"):
                moved["legs"] = {leg: _move(view, within, shift) for leg, view in legs.items()}
            yield moved


def _move(span: Mapping[str, Any], within: range, shift: int) -> dict[str, Any]:
    """A span with its offsets shifted; they lie ``within`` a passage and its joint, or are null."""
    if span.get("start") is None:
        return dict(span)
    if span["start"] not in within or span["end"] not in within:
        raise ModelFailed("the model found an entity that reaches across a line break")
    return {**span, "start": span["start"] + shift, "end": span["end"] + shift}


def passages_of(text: str, languages: Sequence[str]) -> list[Passage]:
    """The passages of a text, which cover it; at least one.

    A sentence's script shows its language. Of several ``languages`` in a script, the whole text shows which one it is.
    A sentence with few letters, or in a script of no language, joins a neighbour: the nearest one before or after in
    its own language, else the one before. If no sentence shows its language, the whole text decides.
    """
    languages = one_of_each_script(text, languages) if len(languages) > 1 else languages
    whole = [Passage(0, len(text), detect(text, languages))]
    scripts = {script_of(code) for code in languages}
    if len(scripts) < 2 or sum(first_letter(text, script) is not None for script in {LATIN, *scripts}) < 2:
        return whole
    bounds = list(pairwise([0, *sentence_starts(text)[1:], len(text)]))
    guesses = [_guess(text[start:end], languages) for start, end in bounds]
    before, after = _last_certain(guesses), _last_certain(guesses[::-1])[::-1]
    if before[-1] is None:
        return whole
    chosen = [
        language if language and language in (left, right) else left or right
        for (language, _), left, right in zip(guesses, before, after, strict=True)
    ]
    passages = []
    for language, group in groupby(zip(chosen, bounds, strict=True), key=lambda sentence: sentence[0]):
        places = [place for _, place in group]
        assert language is not None  # a certain sentence is before, after, or this one
        passages.append(Passage(places[0][0], places[-1][1], language))
    return passages


def _guess(sentence: str, languages: Sequence[str]) -> tuple[str | None, bool]:
    """A sentence's language (None without letters in the languages' scripts or Latin), and whether it is certain."""
    known = letters_in(sentence, {LATIN, *map(script_of, languages)})
    if not known:
        return None, False
    language = detect(sentence, languages)
    certain = known >= FEW_LETTERS
    if script_of(language) == LATIN:
        certain = certain and sum(first_letter(word, LATIN) is not None for word in sentence.split()) >= FEW_WORDS
    return language, certain


def _last_certain(guesses: Sequence[tuple[str | None, bool]]) -> list[str | None]:
    """For each sentence the language of the last certain sentence up to it."""

    def later(last: str | None, language: str | None) -> str | None:
        return language or last

    return list(accumulate((language if certain else None for language, certain in guesses), later))


def split_by_language(text: str, language: str, languages: Sequence[str]) -> list[ModelText]:
    """The text for each language's model; first that of the main language, which has the most characters.

    Args:
        text: any text.
        language: the language of the whole text, or ``auto``: of each sentence its own.
        languages: all languages, in the order of preference.
    """
    passages = passages_of(text, languages) if language == AUTO else [Passage(0, len(text), language)]
    by_language: dict[str, list[Passage]] = {}
    for passage in passages:
        by_language.setdefault(passage.language, []).append(passage)
    texts = [
        ModelText(code, JOINT.join(text[each.start : each.end] for each in own), tuple(own))
        for code, own in by_language.items()
    ]
    return sorted(texts, key=lambda each: -len(each.text))


def merge_answers(
    text: str, texts: Sequence[ModelText], answers: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The result for ``text``.

    Args:
        text: the caller's text.
        texts: from :func:`split_by_language`.
        answers: to each of ``texts``: ``entities`` and, on request, ``tokens``.
        models: ``name`` and ``version`` of the model that gave each answer.

    Returns:
        ``language`` and ``model`` of the main language, ``entities`` and ``tokens`` in order. With several languages
        also ``models`` by language, and the ``language`` of each entity and token. Entities begin and end with visible
        characters (:func:`multiner.pipeline.text.span_trimming.visible`).

    Raises:
        ModelFailed: an entity crosses a passage's end.
    """
    result: dict[str, Any] = {"language": texts[0].language, "model": models[0]}
    several = len(texts) > 1
    if several:
        result["models"] = {each.language: model for each, model in zip(texts, models, strict=True)}
    for kind in ("entities", "tokens"):
        if all(kind in answer for answer in answers):
            spans = [
                span | ({"language": each.language} if several else {})
                for each, answer in zip(texts, answers, strict=True)
                for span in each.restore(answer[kind], text)
            ]
            if kind == "entities":  # trimmed here, so that models registered before are trimmed too
                spans = [trimmed for span in spans if (trimmed := visible(text, span))]
            result[kind] = sorted(spans, key=lambda span: span["start"])
    return result
