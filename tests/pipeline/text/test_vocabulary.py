"""Vocabularies whose tables are made anew."""

from __future__ import annotations

from random import Random

import psutil
import pytest

from multiner.pipeline.text.tokenizer import _tokenizer, document_from_text
from multiner.pipeline.text.vocabulary import MOST_WORDS, keep_small


def features(nlp: object, text: str) -> list[tuple[object, ...]]:
    with nlp.memory_zone():
        return [
            (token.text, token.norm_, token.shape_, token.prefix_, token.suffix_, token.like_num, token.is_stop)
            for token in nlp(text)
        ]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_renewed_vocabulary_reads_as_before(language: str) -> None:
    import spacy

    nlp = spacy.blank(language)
    nlp.vocab.strings.add("B-PER")
    nlp.vocab["Osterholm"]
    text = "Mr. Halvorsen isn't gonna pay 12 million to Анна Ветрова, т.е. «Ладоге» 😀 :-)"
    before, strings = features(nlp, text), sorted(nlp.vocab.strings)
    for _ in range(3):
        keep_small(nlp.vocab, most=0)
        assert features(nlp, text) == before
        assert sorted(nlp.vocab.strings) == strings
    assert nlp.vocab["Osterholm"].shape_ == "Xxxxx"


def test_few_words_are_left_alone() -> None:
    import spacy

    nlp = spacy.blank("en")
    nlp.vocab["Osterholm"]
    keep_small(nlp.vocab)
    assert "Osterholm" in nlp.vocab


@pytest.mark.slow
def test_new_words_take_no_memory_for_good() -> None:
    random = Random(3)

    def read(texts: int) -> int:
        for _ in range(texts):
            document_from_text(" ".join(f"w{random.getrandbits(60):x}" for _ in range(500)), "en")
        return psutil.Process().memory_info().rss

    before = read(40)
    assert read(200) - before < 1.5e6  # of 100,000 words the tables would keep 3 MB, and more of each further one
    assert len(_tokenizer("en")[0].vocab) <= MOST_WORDS
