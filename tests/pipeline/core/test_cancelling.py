"""Work that nobody waits for ends, at every stage of an answer, and leaves everything fit for the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event

import numpy as np
import pytest

from multiner.pipeline.core.cancellation import Cancelled, cancelled_when, check_cancelled
from multiner.pipeline.core.document import Document, from_words
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.ensemble.chunks import ChunkedModel, chunk_ranges, excerpt
from multiner.pipeline.ensemble.model import Ensemble, Member, token_types
from multiner.pipeline.models.transformer.inference import TransformerModel
from multiner.pipeline.models.windows import Window
from multiner.pipeline.text.tokenizer import STEP, document_from_text

LABELS = bio_labels(["PER", "LOC"])


def after(looks: int) -> Callable[[], bool]:
    """Gone from so many looks on."""
    left = iter(range(looks))
    return lambda: next(left, None) is None


class Neighbours:
    """A leg whose answer for a token depends on the tokens within ``reach`` of it."""

    labels = LABELS

    def __init__(self, reach: int) -> None:
        self.reach = reach
        self.seen: list[int] = []

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Probabilities, one array [tokens, labels] per document."""
        results = []
        for document in documents:
            words = document.words()
            self.seen.append(len(words))
            rows = [
                [1 + len("".join(words[max(0, at - self.reach) : at + self.reach + 1])) % 7, *range(1, len(LABELS))]
                for at in range(len(words))
            ]
            table = np.array(rows, dtype=np.float32).reshape(len(words), len(LABELS))
            results.append(table / table.sum(axis=1, keepdims=True))
        return results


def long_document(sentences: int, words: int = 7) -> Document:
    return from_words("d", [[f"w{'x' * (at * 31 % 11)}" for at in range(words)] for _ in range(sentences)])


def test_nothing_is_cancelled_unless_somebody_says_so() -> None:
    check_cancelled()
    with cancelled_when(lambda: True), pytest.raises(Cancelled):
        check_cancelled()
    check_cancelled()


def test_a_document_in_chunks_is_predicted_as_in_one() -> None:
    leg = Neighbours(reach=4)
    document = long_document(60)
    chunked = ChunkedModel(leg, size=50, context=4)
    short = long_document(2)
    (whole, little) = leg.predict([document, short])
    leg.seen.clear()
    rows, few = chunked.predict([document, short])
    np.testing.assert_array_equal(rows, whole)
    np.testing.assert_array_equal(few, little)
    assert max(leg.seen) <= 58
    (nothing,) = chunked.predict([from_words("e", [])])
    assert nothing.shape == (0, len(LABELS))


def test_a_sentence_longer_than_a_chunk_is_cut() -> None:
    document = from_words("d", [["a"] * 5, ["b"] * 120, ["c"] * 3])
    result = list(chunk_ranges(document, 50))
    assert result == [(0, 5), (5, 55), (55, 105), (105, 128)]
    middle = excerpt(document, 50, 127)
    assert middle.words() == document.words(50, 127)
    assert [(sentence.start, sentence.end) for sentence in middle.sentences] == [(0, 75), (75, 77)]


def test_a_cancelled_call_ends_between_chunks() -> None:
    leg = Neighbours(reach=0)
    with cancelled_when(after(3)), pytest.raises(Cancelled):
        ChunkedModel(leg, size=10, context=0).predict([long_document(20, words=10)])
    assert len(leg.seen) == 3


def test_windows_that_nobody_waits_for_are_not_begun() -> None:
    ran: list[int] = []
    going = Event()

    class Session:
        def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            going.wait(5)
            ran.append(int(inputs["input_ids"][0, 0]))
            return [np.zeros((1, 1, len(LABELS)), dtype=np.float32)]

    leg = TransformerModel(Session(), None, LABELS, 0, threads=2)  # type: ignore[arg-type]
    windows = [Window([number], range(1), [0]) for number in range(100)]
    going.set()
    assert len(list(leg.forward(windows))) == 100
    assert sorted(ran) == list(range(100))
    ran.clear()
    with cancelled_when(after(10)), pytest.raises(Cancelled):
        list(leg.forward(windows))
    assert len(list(leg.forward(windows[:3]))) == 3, "the leg is as good as new"
    assert len(ran) <= 13


def test_a_text_is_cut_into_tokens_in_steps_that_change_none() -> None:
    piece = "Mr. Bo\u2028 O’Neil's e-mail: a.b@c.org, 10am;\tnaïve\u00a0café \x1f…«Да!» — сказал А.С.Пушкин. "
    text = piece * (3 * STEP // len(piece))
    whole = document_from_text(text, "en")
    at, words = 0, []
    for _ in range(text.count(piece)):
        words += [(at + token.start, at + token.end) for token in document_from_text(piece, "en").tokens]
        at += len(piece)
    assert [(token.start, token.end) for token in whole.tokens] == words
    with cancelled_when(after(1)), pytest.raises(Cancelled):
        document_from_text(text, "en")
    assert document_from_text(text, "en") == whole


@pytest.mark.parametrize("types", [False, True])
def test_an_ensemble_can_be_ended_at_any_look(types: bool) -> None:
    ensemble = Ensemble("en", ["PER", "LOC"], [Member("spacy", 1.0, 1.0)], [ChunkedModel(Neighbours(2), size=10)])
    document, looks = long_document(5), 0

    def count() -> bool:
        nonlocal looks
        looks += 1
        return False

    with cancelled_when(count):
        ensemble.predict([document], types=types)
    assert looks > 5
    for early in range(looks):
        with cancelled_when(after(early)), pytest.raises(Cancelled):
            ensemble.predict([document], types=types)


def by_hand(probabilities: np.ndarray) -> np.ndarray:
    """Type probabilities by going through all legal label sequences."""
    length, labels = probabilities.shape
    result = np.zeros((length, (labels + 1) // 2))
    for path in np.ndindex(*[labels] * length):
        before = (0, *path)
        if all(label == 0 or label % 2 or before[at] in (label, label - 1) for at, label in enumerate(path)):
            chance = np.prod(probabilities[range(length), path])
            result[range(length), [(label + 1) // 2 for label in path]] += chance
    return result / result.sum(axis=1, keepdims=True)


def test_token_types_are_the_marginals_of_the_legal_sequences() -> None:
    rng = np.random.default_rng(13)
    document = from_words("d", [["a"] * 4, ["b"], ["c"] * 3])
    probabilities = rng.dirichlet(np.full(len(LABELS), 0.3), size=8)
    result = token_types(probabilities, document.sentences)
    for sentence in document.sentences:
        place = slice(sentence.start, sentence.end)
        np.testing.assert_allclose(result[place], by_hand(probabilities[place]), atol=1e-9)
    np.testing.assert_allclose(result.sum(axis=1), 1.0)
    assert token_types(np.zeros((0, 5)), []).shape == (0, 3)


def test_a_sure_label_is_sure_of_its_type() -> None:
    probabilities = np.full((3, len(LABELS)), 0.0)
    probabilities[[0, 1, 2], [LABELS.index("B-PER"), LABELS.index("I-PER"), 0]] = 1.0
    document = from_words("d", [["Ada", "Lovelace", "came"]])
    np.testing.assert_allclose(
        token_types(probabilities, document.sentences), [[0, 1, 0], [0, 1, 0], [1, 0, 0]], atol=1e-6
    )
