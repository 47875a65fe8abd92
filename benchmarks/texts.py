"""Texts to ask: pieces of the corpora's development documents, or invented ones without end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from multiner.pipeline.core.document import Document, from_words, read_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.columns import read_column_file
from multiner.pipeline.evaluation.raw_text import detokenised, is_joined
from multiner.pipeline.text.tokenizer import document_from_text

SENTENCES = (1, 2, 3, 6)  # in a text
SHARES = (8, 4, 2, 1)  # of texts of so many sentences
SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
COLUMN_SAMPLES = ("conll2003/valid.txt", "wnut17/emerging.dev.conll")
LETTERS = {"en": ("bcdfghjklmnprstvwz", "aeiouy"), "ru": ("бвгджзклмнпрстфхцчш", "аеиоуыюя")}
EMOJI = "😀🚀🌍🐙🍋🎻🏔🧭🦉🛰"


def development_documents(documents: Path, language: str) -> list[Document]:
    """The prepared development documents in ``documents``, else the bundled samples'.

    Raises:
        NerError: neither is there.
    """
    if files := sorted(documents.glob("*.dev.jsonl")):
        return [document for file in files for document in read_jsonl(file)]
    if language == "ru":
        samples = sorted((SAMPLES / "factRuEval-2016" / "devset").glob("*.txt"))
        return [document_from_text(file.read_text(encoding="utf-8"), language) for file in samples]
    found = [SAMPLES / name for name in COLUMN_SAMPLES if language == "en" and (SAMPLES / name).is_file()]
    if not found:
        raise NerError(
            f"no development documents for {language!r}", where=str(documents), remedy="Make them: dvc repro"
        )
    return [document for file in found for document in read_column_file(file).documents]


def pieces(documents: list[Document], count: int, seed: int) -> list[str]:
    """``count`` texts of one to six neighbouring sentences, written as prose; without repeats as far as there are any.

    Raises:
        NerError: the documents hold no text.
    """
    random, found = Random(seed), {}
    documents = [document for document in documents if document.tokens]
    for _ in range(20 * count):
        if len(found) == count or not documents:
            break
        document = random.choice(documents)
        length = random.choices(SENTENCES, SHARES)[0]
        start = random.randrange(max(1, len(document.sentences) - length + 1))
        found[prose(document, start, start + length)] = None
    if not found:
        raise NerError("the development documents hold no text")
    texts = list(found)
    return [texts[index % len(texts)] for index in range(count)]


def prose(document: Document, start: int, end: int) -> str:
    """The sentences from number ``start`` to before ``end``, written as prose."""
    sentences = document.sentences[start:end]
    if not is_joined(document):
        first, last = document.tokens[sentences[0].start], document.tokens[sentences[-1].end - 1]
        return document.text[first.start : last.end]
    return detokenised(from_words("", [document.words(each.start, each.end) for each in sentences]))[0]


def invented(seed: int) -> Iterator[tuple[str, str]]:
    """Languages with texts of words, names, numbers and emoji that hardly ever come again; without end."""
    random = Random(seed)
    while True:
        language = random.choice(sorted(LETTERS))
        words = [_token(random, language) for _ in range(random.randint(4, 60))]
        yield language, " ".join(words) + "."


def _token(random: Random, language: str) -> str:
    kind = random.random()
    if kind < 0.1:
        return f"{random.randrange(10**9):,}"
    if kind < 0.15:
        return "".join(random.choices(EMOJI, k=random.randint(2, 6)))
    consonants, vowels = LETTERS[language]
    word = "".join(random.choice(consonants) + random.choice(vowels) for _ in range(random.randint(3, 6)))
    if kind < 0.2:
        return f"@{word}{random.randrange(10**6)}"
    return word.capitalize() if kind < 0.45 else word
