"""The trained models over texts that nobody would write: an answer, exact offsets, and work in proportion to length."""

from __future__ import annotations

import json

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.inference.pyfunc import NerModel
from multiner.pipeline.models.windows import WindowedModel
from multiner.pipeline.text.tokenizer import document_from_text
from tests.e2e.trained.serving import served

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
LONGEST = {"en": 300_000, "ru": 75_000}  # letters without a blank
TEXTS = {
    "line breaks": "\n" * 10_000,
    "line breaks and a name": "\r\n" * 5_000 + "Anna Berg",
    "emoji": "🙂" * 5_000,
    "joined emoji": "👩\u200d👩\u200d👧" * 1_000,
    "punctuation": ".,;:!?()«»—" * 500,
    "one sign": "." * 5_000,
    "digits": "1234567890 " * 500,
    "digits without a blank": "7" * 5_000,
    "scripts mixed within words": "АnnаBеrg Οslo Мoskва漢字 عمانOslo " * 50,
    "combining": "Z\u0351\u036b\u0343" * 1_000,
    "unseen": "\x00\u00ad\u200b\ufeff\u202e" * 500 + "Oslo",
    "half signs": "\ud800 Anna \udfff" * 50,
    "capitals": "ANNA BERG OF OSLO " * 100,
    "one letter a line": "A\n" * 1_000,
}


@pytest.fixture(scope="module", params=["en", "ru"])
def model(request: pytest.FixtureRequest, trained: Workspace) -> NerModel:
    """The class that is served, around a trained ensemble."""
    return served(trained, request.param)


def check(model: NerModel, text: str) -> list[str]:
    """The names found; each stands where the answer says, and after the one before."""
    entities = model.answer(text)["entities"]
    end = 0
    for entity in entities:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert end <= entity["start"] < entity["end"] <= len(text)
        assert entity["score"] is None or 0 <= entity["score"] <= 1
        end = entity["end"]
    json.dumps(entities, allow_nan=False)
    return [entity["text"] for entity in entities]


def test_names_among_odd_signs_are_found(model: NerModel) -> None:
    text, names = {
        "en": ("🙂\r\nAnna Berg flew to Oslo.\n\x00", ["Anna Berg", "Oslo"]),
        "ru": ("🙂\r\nАнна Берг улетела в Осло.\n\x00", ["Анна Берг", "Осло"]),
    }[model.ensemble.language]
    assert check(model, text) == names


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_answered(model: NerModel, name: str) -> None:
    check(model, TEXTS[name])


def test_one_endless_word_is_answered(model: NerModel) -> None:
    letters = LONGEST[model.ensemble.language]
    check(model, ("абвгдежз" if model.ensemble.language == "ru" else "abcdefgh") * (letters // 8))


@pytest.mark.parametrize("unit", ["x", "\n", "🙂", ".", "7", "АnnаBеrg Οslo ", "Anna met Bo in Oslo. ", "A\n"])
def test_work_is_in_proportion_to_length(model: NerModel, unit: str) -> None:
    """Counted in windows of the encoder and in the pieces they hold, not by the clock."""
    windowed = next(base for base in model.ensemble.models if isinstance(base, WindowedModel))

    def work(letters: int) -> tuple[int, int]:
        document = document_from_text(unit * (letters // len(unit)), model.ensemble.language)
        windows = windowed.windower.windows(document, windowed.windower.pieces(document), context=windowed.context)
        return len(windows), sum(len(window.pieces) for window in windows)

    (windows, pieces), (more_windows, more_pieces) = work(20_000), work(80_000)
    assert more_windows <= 4 * windows + 4
    assert more_pieces <= 4 * pieces + 4 * windowed.windower.max_pieces
