"""Frames, overlaps and the counts that are expected: pure functions on invented documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from multiner.pipeline.core.document import Document, Sentence, Span, Token, from_words
from multiner.pipeline.validation import expected as counts
from multiner.pipeline.validation.expected import Expected, measure_corpus
from multiner.pipeline.validation.frames import (
    digest,
    entity_frame,
    find_repeats,
    legal_spans,
    mark_excess,
    offsets_match,
    overlapping_sentences,
    sentence_frame,
)

ALMA = ["Alma", "Torrent", "left", "Brindlow", "."]
YES = ["Yes", "."]


def document(id: str, *sentences: list[str], spans: tuple[Span, ...] = ()) -> Document:
    lines, line = [], 1
    for words in sentences:
        lines.append(line)
        line += len(words) + 1
    return from_words(id, sentences, spans, lines=lines, corpus="toy", split="train", source="toy.txt")


def test_overlap_names_document_and_sentence() -> None:
    train = [document("a", ALMA, YES)]
    test = [document("b", ["No", "."], YES), document("c", ALMA[:-1], ["yes", "."])]
    assert overlapping_sentences(train, test) == {("b", 1)}


def test_digest_keeps_token_borders_apart() -> None:
    assert digest(("ab", "c")) != digest(("a", "bc"))
    assert len(digest(("Yes", "."))) == 12


def test_sentence_rows_are_named_by_file_and_line() -> None:
    frame = sentence_frame([document("a", ALMA, YES, spans=(Span(0, 2, "PER"), Span(3, 4, "LOC")))])
    assert frame["place"].tolist() == ["toy.txt:1", "toy.txt:7"]
    assert frame["entities"].tolist() == [2, 0]
    assert frame["tokens"].tolist() == [5, 2]
    assert not set(frame.astype(str).to_numpy().ravel()) & {"Alma", "Torrent", "Brindlow"}


def test_entity_rows_are_named_by_the_line_of_their_first_token() -> None:
    frame = entity_frame([document("a", YES, ALMA, spans=(Span(5, 6, "LOC"),))], ["PER", "LOC"])
    assert frame.loc[0, "place"] == "toy.txt:7"
    assert frame.loc[0, ["is_PER", "is_LOC"]].tolist() == [0, 1]


def test_offsets() -> None:
    good = document("a", ["Alma", "left"])
    sentence = good.sentences[0]
    assert offsets_match(good, sentence)
    for tokens in [
        (Token(0, 4), Token(5, 90)),  # beyond the text
        (Token(0, 5), Token(5, 9)),  # a blank at the end
        (Token(0, 4), Token(4, 4)),  # empty
        (Token(5, 9), Token(0, 4)),  # out of order
        (Token(0, 6), Token(5, 9)),  # overlapping
    ]:
        assert not offsets_match(replace(good, tokens=tokens), sentence)


def test_spans_that_no_tag_sequence_can_carry() -> None:
    base = document("a", ALMA, YES)
    for span in [Span(3, 6, "LOC"), Span(2, 2, "LOC"), Span(5, 9, "LOC"), Span(0, 1, "")]:
        assert legal_spans(replace(base, spans=(span,))) == [False]
    assert legal_spans(replace(base, spans=(Span(0, 2, "PER"), Span(1, 3, "LOC"), Span(3, 4, "LOC")))) == [
        True,
        False,
        True,
    ]


def test_a_repeat_beyond_the_known_ones_is_marked() -> None:
    train, test = [document("a", ALMA, YES, YES)], [document("b", YES, ALMA)]
    expected_repeats = find_repeats({"train": [document("a", YES, YES)], "test": [document("b", YES)]})
    assert expected_repeats == {digest(("Yes", ".")): {"train": 2, "test": 1}}
    frame = mark_excess(sentence_frame(train), "train", expected_repeats, [])
    assert frame["excess_repeat"].tolist() == [False, False, False]
    frame = mark_excess(sentence_frame(test, {"train": train}), "test", expected_repeats, ["train"])
    assert frame["in_train"].tolist() == [True, True]
    assert frame["excess_repeat"].tolist() == [False, True]


def test_documents_of_one_id_are_seen() -> None:
    frame = sentence_frame([document("a", YES), document("a", ALMA), document("b", YES)])
    assert frame["id_unique"].tolist() == [False, False, True]


def test_expected_counts_survive_the_disk(tmp_path: Path) -> None:
    parts, repeats = measure_corpus(
        {"train": [document("a", ALMA, YES, YES, spans=(Span(0, 2, "PER"),))], "test": [document("b", YES)]}
    )
    assert (parts["train"].repeated, parts["test"].overlaps) == (1, {"train": 1})
    assert parts["train"].types == {"PER": 1}
    value = Expected({"toy": parts}, {"toy": repeats}, {"xx": 1})
    counts.save(value, tmp_path)
    assert counts.load(tmp_path) == value


def test_a_sentence_of_unknown_line_is_named_by_its_file() -> None:
    unknown = replace(document("a", YES), sentences=(Sentence(0, 2),))
    assert sentence_frame([unknown])["place"].tolist() == ["toy.txt"]
