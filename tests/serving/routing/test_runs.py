"""Texts in two languages: each sentence is read by its own model, and every offset is exact."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiner.pipeline.text.span_trimming import trimmed
from multiner.serving.answers import ModelFailed
from multiner.serving.routing.segmentation import JOINT, merge_answers, passages_of, split_by_language

BOTH = ["en", "ru"]
RUSSIAN, ENGLISH = "Анна Ветрова живёт в Архангельске.", "Ingrid Halvorsen flew to Oslo with Bo."
PIECES = [
    RUSSIAN,
    ENGLISH,
    "Компания Nordwind Shipping открыла офис.",
    "Да. ",
    "OK!",
    "12:30",
    "Ελλάδα και Ρόδος.",
    "東京都。",
]
PIECES += [
    "مرحبا بالعالم",
    "🙂🏽",
    "\ud800",
    "e\u0301",
    " ",
    "\n",
    "\r\n\t",
    "\u2028",
    "...",
    "Mr. ",
    "г. ",
    "«Правда» ",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=12).map("".join)


def cut(text: str, languages: list[str] = BOTH) -> list[tuple[str, str]]:
    return [(run.language, text[run.start : run.end]) for run in passages_of(text, languages)]


GERMAN = "Die Stadt Köln baut im Frühjahr eine neue Brücke über den Fluss."


def test_of_two_languages_in_latin_letters_the_text_shows_which_it_is() -> None:
    languages = ["en", "ru", "de"]
    assert cut(GERMAN, languages) == [("de", GERMAN)]
    assert cut(ENGLISH, languages) == [("en", ENGLISH)]
    assert cut(f"{GERMAN}\n{RUSSIAN}", languages) == [("de", f"{GERMAN}\n"), ("ru", RUSSIAN)]
    assert cut(f"{RUSSIAN}\n{ENGLISH}", languages) == [("ru", f"{RUSSIAN}\n"), ("en", ENGLISH)]
    assert [each.language for each in split_by_language(GERMAN, "auto", ["en", "de"])] == ["de"]


def post(harness: Any, body: Any, **made: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with harness(**made).client() as client:
            content, headers = json.dumps(body).encode(), {"content-type": "application/json"}
            return await client.post("/v1/entities", content=content, headers=headers)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENGLISH, ["en"]),
        (RUSSIAN, ["ru"]),
        ("", ["en"]),
        (f"{RUSSIAN} {ENGLISH}\n{RUSSIAN}", ["ru", "en", "ru"]),
        (f"{ENGLISH}\tДа, это так.", ["en", "ru"]),
        # names of Latin script are Russian among Russian sentences, with words around them or alone on a line
        ("Компания Nordwind Shipping Holding открыла офис. Об этом сообщает Reuters.", ["ru"]),
        (f"{RUSSIAN}\nNordwind Shipping\n{RUSSIAN}", ["ru"]),
        (f"{RUSSIAN}\nOK!\n{ENGLISH}", ["ru", "en"]),
        (f"{RUSSIAN}\nOK!\n2024\n{RUSSIAN}\n{ENGLISH}", ["ru", "en"]),
        (f"1.\n{RUSSIAN}\n{ENGLISH}", ["ru", "en"]),
        ("Anna\nАн", ["ru"]),
        ("Anna Smith\nДа", ["en"]),
        # what no language has goes with the rest, else to the first
        (f"Ελλάδα και Ρόδος.\n{RUSSIAN}\n東京都。", ["ru"]),
        (f"{ENGLISH} Ελλάδα και Ρόδος. {RUSSIAN}", ["en", "ru"]),
        ("مرحبا بالعالم", ["en"]),
    ],
)
def test_sentences_go_to_the_language_of_their_script(text: str, expected: list[str]) -> None:
    assert [language for language, _ in cut(text)] == expected


def test_languages_of_one_script_share_no_text() -> None:
    assert cut(f"{RUSSIAN} {ENGLISH}", ["en"]) == [("en", f"{RUSSIAN} {ENGLISH}")]
    assert cut(f"{RUSSIAN} {ENGLISH}", ["ru"]) == [("ru", f"{RUSSIAN} {ENGLISH}")]


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_runs_tile_the_text_and_neighbours_differ(text: str) -> None:
    runs = passages_of(text, BOTH)
    assert "".join(text[run.start : run.end] for run in runs) == text
    assert all(left.end == right.start and left.language != right.language for left, right in pairwise(runs))


def everything(text: str) -> list[dict[str, Any]]:
    """Each word of a text as an entity, as a model might find it: none reaches across a line break."""
    words, at = [], 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        legs = {"spacy": {"start": start, "end": at, "label": "PER"}, "other": {"start": None, "end": None}}
        words.append({"start": start, "end": at, "text": word, "label": "PER", "legs": legs})
    return words


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_offsets_are_exact_and_no_entity_crosses_runs(text: str) -> None:
    parts = split_by_language(text, "auto", BOTH)
    answers = [{"entities": everything(part.text)} for part in parts]
    result = merge_answers(text, parts, answers, [{"name": part.language, "version": "1"} for part in parts])
    runs = passages_of(text, BOTH)
    pieces = [piece for run in runs for piece in text[run.start : run.end].split()]
    seen = [piece[slice(*trimmed(piece, 0, len(piece)))] for piece in pieces]
    assert [entity["text"] for entity in result["entities"]] == [piece for piece in seen if piece]
    for entity in result["entities"]:
        (run,) = [run for run in runs if run.start <= entity["start"] < run.end]
        assert entity["end"] <= run.end
        assert entity.get("language", result["language"]) == run.language
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert (entity["legs"]["spacy"]["start"], entity["legs"]["spacy"]["end"]) == (entity["start"], entity["end"])
        assert entity["legs"]["other"]["start"] is None
    assert ("models" in result) == (len(parts) > 1)


@settings(max_examples=100, deadline=None)
@given(TEXTS.filter(lambda text: "\r" not in text))
def test_a_single_language_is_put_to_its_model_as_it_was_sent(text: str) -> None:
    assert [part.text for part in split_by_language(text, "ru", BOTH)] == [text]
    if len(passages_of(text, BOTH)) == 1:
        assert [part.text for part in split_by_language(text, "auto", BOTH)] == [text]


def test_an_entity_across_runs_is_the_models_failure() -> None:
    text = f"{RUSSIAN} {ENGLISH} {RUSSIAN}"
    parts = split_by_language(text, "auto", BOTH)
    reaching = {"start": 0, "end": len(parts[0].text), "text": parts[0].text, "label": "PER"}
    assert JOINT in parts[0].text
    with pytest.raises(ModelFailed):
        merge_answers(text, parts, [{"entities": [reaching]}, {"entities": []}], [{}, {}])


def test_each_model_is_asked_once_and_the_answer_tells_who_said_what(harness: Any) -> None:
    text = f"{RUSSIAN} {ENGLISH}\n🙂 {RUSSIAN}"

    async def main() -> tuple[dict[str, Any], list[Any], list[Any]]:
        made = harness(champions={"en": "1", "ru": "2"})
        async with made.client() as client:
            backends = made.backend("en"), made.backend("ru")
            body = {"text": [text, "Anna"], "tokens": True, "offsets": "utf16"}
            answer = (await client.post("/v1/entities", json=body)).json()
            return answer, backends[0].seen, backends[1].seen

    answer, english, russian = asyncio.run(main())
    assert [len(call) for call in english] == [2]
    assert russian == [[f"{RUSSIAN} \n🙂 {RUSSIAN}"]]
    mixed, alone = answer["results"]
    units = text.encode("utf-16-le")
    assert mixed["language"] == "ru"
    assert mixed["model"] == {"name": "ner-ru", "version": "2"}
    assert mixed["models"] == {"ru": mixed["model"], "en": {"name": "ner-en", "version": "1"}}
    assert [(entity["text"], entity["language"]) for entity in mixed["entities"]] == [
        ("Анна Ветрова", "ru"), ("Архангельске", "ru"), ("Ingrid Halvorsen", "en"), ("Oslo", "en"), ("Bo", "en"),
        ("Анна Ветрова", "ru"), ("Архангельске", "ru"),
    ]  # fmt: skip
    for place in [*mixed["entities"], *mixed["tokens"]]:
        assert units[2 * place["start"] : 2 * place["end"]].decode("utf-16-le") == place["text"]
    assert {token["language"] for token in mixed["tokens"]} == {"en", "ru"}
    assert "flags" not in mixed, "each sentence was read by its own model"
    assert "models" not in alone
    assert not any("language" in each for each in [*alone["entities"], *alone["tokens"]])


def test_a_text_is_answered_alike_alone_and_among_others(harness: Any) -> None:
    texts = [f"{RUSSIAN} {ENGLISH}", ENGLISH, RUSSIAN, f"{ENGLISH}\n{RUSSIAN}"]
    together = post(harness, {"text": texts}).json()["results"]
    assert together == [post(harness, {"text": text}).json()["results"][0] for text in texts]


def test_a_text_is_not_answered_by_half(harness: Any) -> None:
    """Where the model of one of its languages is missing, a text is refused; who wants the other model, says so."""
    text = f"{RUSSIAN} {ENGLISH}"
    refused = post(harness, {"text": text}, champions={"ru": "1"})
    assert refused.status_code == 503
    assert "'en'" in refused.json()["detail"]
    answered = post(harness, {"text": text, "language": "ru"}, champions={"ru": "1"}).json()["results"][0]
    assert (answered["language"], answered["flags"]) == ("ru", ["mixed"])


def test_a_sentence_in_a_script_of_no_language_is_flagged_however_long_the_rest(harness: Any) -> None:
    text = " ".join([ENGLISH] * 10) + " Η Ελλάδα και η Ρόδος."
    assert post(harness, {"text": text}).json()["results"][0]["flags"] == ["unsupported_script"]
    word = " ".join([ENGLISH] * 10) + " The word Ελλάδα is Greek."
    assert "flags" not in post(harness, {"text": word}).json()["results"][0]
