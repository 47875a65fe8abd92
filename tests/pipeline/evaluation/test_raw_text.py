"""From raw text: the detokeniser is reversible, and entities are compared by their characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.evaluation.predictions import EvaluatedPart
from multiner.pipeline.evaluation.raw_text import (
    detokenised,
    entity_offsets,
    is_joined,
    raw_document,
    raw_text_scores,
    score_entities,
)
from multiner.pipeline.text.tokenizer import document_from_text

WORD = st.one_of(st.sampled_from(["'", '"', "(", ")", ",", ".", "$", "n't", "'s", "``", "''"]), st.text(
    st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=4
))  # fmt: skip


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("Ada Quill , 31 , left .", "Ada Quill, 31, left."),
        ("He did n't say ( again ) .", "He didn't say (again)."),
        ('" We won , " Tam said .', '"We won," Tam said.'),
        ("the Quills ' house and Ada 's", "the Quills' house and Ada's"),
        ("that ' s $ 5 million", "that's $5 million"),
        ("4-2 win - at last", "4-2 win - at last"),
    ],
)
def test_text_is_joined_as_it_would_be_written(words: str, text: str) -> None:
    assert detokenised(from_words("1", [words.split()]))[0] == text


@given(st.lists(st.lists(WORD, min_size=1, max_size=8), max_size=4))
def test_every_token_stays_in_the_text(sentences: list[list[str]]) -> None:
    document = from_words("1", sentences)
    text, tokens = detokenised(document)
    assert [text[token.start : token.end] for token in tokens] == document.words()
    letters = "".join(text.split())
    assert letters == "".join(document.words())
    assert text.count("\n") == max(0, len(sentences) - 1)


def test_a_text_that_was_written_is_taken_as_it_is() -> None:
    document = document_from_text("Ада  из Ветрянска.", "ru").with_spans([Span(0, 1, "PER")])
    assert not is_joined(document)
    read, gold = raw_document(document, "ru")
    assert read.text == document.text
    assert gold == {(0, 3, "PER")}


class Capitals:
    """Takes each capitalised word for a person; on raw text it must see no gold."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def predict(self, documents: Sequence[Document]) -> list[SimpleNamespace]:
        assert not any(document.spans for document in documents)
        self.asked += [document.text for document in documents]
        return [SimpleNamespace(spans=self.spans(document), legs={}) for document in documents]

    @staticmethod
    def spans(document: Document) -> tuple[Span, ...]:
        return tuple(Span(at, at + 1, "PER", 0.9) for at, word in enumerate(document.words()) if word[0].isupper())


def test_scores_beside_those_on_the_given_tokens() -> None:
    documents = [
        from_words("1", [["Ada", "met", "Quill", "."]], [Span(0, 1, "PER"), Span(2, 3, "PER")]),
        # the given tokens cut the name in two, ours do not
        from_words("2", [["it", "is", "Zo.rp", "x"]], [Span(2, 3, "PER")]),
    ]
    predictor = Capitals()
    given_tokens = [predictor.spans(document) for document in documents]
    part = EvaluatedPart("invented", "test", documents, {"ensemble": given_tokens})
    other = EvaluatedPart("other", "test", [replace(document, spans=()) for document in documents], part.systems)
    scores = raw_text_scores(predictor, [part, other], "en", ["PER"], "raw")
    assert scores["invented"]["tokenised_f1"] == 100.0
    assert scores["invented"]["f1"] == 100.0
    assert scores["invented"]["difference"] == 0.0
    assert (scores["other"]["precision"], scores["other"]["support"]) == (0.0, 0)
    assert predictor.asked == ["Ada met Quill.", "it is Zo.rp x"], "the same text is read once"


def test_a_border_inside_a_token_is_wrong() -> None:
    document = from_words("1", [["Quill", "left"]], [Span(0, 1, "PER")])
    assert score_entities([entity_offsets(document.tokens, document.spans)], [{(0, 4, "PER")}], ["PER"])["f1"] == 0.0
