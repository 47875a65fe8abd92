"""Windows: nothing is cut, every token is read once, sentences keep together where they fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from multiner.pipeline.core.document import Document, Sentence, from_words
from multiner.pipeline.models.windows import SpecialPieces, Windower, divide


@given(
    st.lists(
        st.lists(st.integers(1, 12) | st.sampled_from([1, 2, 48, 80]), min_size=1, max_size=40), min_size=1, max_size=12
    ),
    st.integers(16, 60),
    st.integers(0, 15),
)
def test_every_token_is_read_from_exactly_one_window_that_fits(
    sentences: list[list[int]], limit: int, context: int
) -> None:
    bounds, at = [], 0
    for lengths in sentences:
        bounds.append(Sentence(at, at + len(lengths)))
        at += len(lengths)
    lengths = [length for sentence in sentences for length in sentence]
    read = [0] * at
    for tokens in divide(bounds, lengths, limit, context):
        assert tokens.start <= tokens.read_start < tokens.read_end <= tokens.end
        borders = sum(tokens.start < sentence.end <= tokens.end for sentence in bounds)
        assert tokens.end - tokens.start == 1 or sum(lengths[tokens.start : tokens.end]) + max(1, borders) <= limit
        for index in range(tokens.read_start, tokens.read_end):
            read[index] += 1
    assert read == [1] * at


def test_a_sentence_that_fits_is_never_split() -> None:
    bounds = [Sentence(0, 5), Sentence(5, 10), Sentence(10, 15)]
    division = divide(bounds, [1] * 15, limit=12, context=0)
    assert [(tokens.read_start, tokens.read_end) for tokens in division] == [(0, 10), (10, 15)]


def test_context_is_shown_but_not_read() -> None:
    bounds = [Sentence(0, 5), Sentence(5, 10), Sentence(10, 15)]
    division = divide(bounds, [1] * 15, limit=12, context=6)
    assert (division[1].start, division[1].read_start, division[1].read_end) == (5, 10, 15)


@pytest.fixture
def windower(tiny_encoder: Path) -> Windower:
    tokenizer = Tokenizer.from_file(str(tiny_encoder / "tokenizer.json"))
    special = SpecialPieces(*(tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]", "[UNK]")))
    return Windower(tokenizer, special, 32)


def test_positions_point_at_the_first_piece_of_each_token(windower: Windower) -> None:
    document = from_words("d", [["Ada", "saw"], ["Oslo"]])
    pieces = windower.pieces(document)
    assert [len(each) for each in pieces] == [3, 3, 4]
    (window,) = windower.windows(document, pieces)
    assert window.positions == [1, 4, 8]
    assert [window.pieces[position] for position in window.positions] == [each[0] for each in pieces]


def test_a_token_without_pieces_is_still_read(windower: Windower) -> None:
    document = from_words("d", [["\u200b", "x"]])
    assert all(windower.pieces(document))


def test_no_tokens_no_windows(windower: Windower) -> None:
    document = Document("d", "", (), ())
    assert windower.windows(document, windower.pieces(document)) == []


def test_a_limit_left_in_the_tokenizer_cuts_nothing(tiny_encoder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_encoder / "tokenizer.json"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    windower = Windower(tokenizer, SpecialPieces(2, 3, 1), 32)
    assert [len(each) for each in windower.pieces(from_words("d", [["Ada", "saw", "Oslo"]]))] == [3, 3, 4]
