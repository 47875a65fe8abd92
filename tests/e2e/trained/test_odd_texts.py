"""The trained models over texts that nobody would write: an answer, exact offsets, and work in proportion to length."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiner.pipeline.ensemble.model import Ensemble
from multiner.pipeline.inference.pyfunc import NerModel
from multiner.pipeline.models.windows import WindowedLeg
from multiner.pipeline.text.tokenizer import document_from_text

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
def model(request: pytest.FixtureRequest, root: Path) -> NerModel:
    """The class that is served, around the trained ensemble of the profile cpu."""
    out = root / "data" / "out" / "cpu" / request.param
    if not (out / "ensemble.json").is_file():
        pytest.skip("no trained ensemble of the profile cpu")
    made = NerModel()
    legs = {folder.name: folder for folder in (out / "legs").iterdir()}
    made.ensemble = Ensemble.load(out / "ensemble.json", legs)
    return made


def check(model: NerModel, text: str) -> None:
    entities = model.answer(text)["entities"]
    end = 0
    for entity in entities:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert end <= entity["start"] < entity["end"] <= len(text)
        assert entity["score"] is None or 0 <= entity["score"] <= 1
        end = entity["end"]
    json.dumps(entities, allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_answered(model: NerModel, name: str) -> None:
    check(model, TEXTS[name])


@pytest.mark.slow
def test_one_endless_word_is_answered(model: NerModel) -> None:
    letters = LONGEST[model.ensemble.language]
    check(model, ("абвгдежз" if model.ensemble.language == "ru" else "abcdefgh") * (letters // 8))


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["x", "\n", "🙂", ".", "7", "АnnаBеrg Οslo ", "Anna met Bo in Oslo. ", "A\n"])
def test_work_is_in_proportion_to_length(model: NerModel, unit: str) -> None:
    """Counted in windows of the encoder and in the pieces they hold, not by the clock."""
    leg = next(leg for leg in model.ensemble._legs if isinstance(leg, WindowedLeg))

    def work(letters: int) -> tuple[int, int]:
        document = document_from_text(unit * (letters // len(unit)), model.ensemble.language)
        windows = leg.windower.windows(document, leg.windower.pieces(document), context=leg.context)
        return len(windows), sum(len(window.pieces) for window in windows)

    (windows, pieces), (more_windows, more_pieces) = work(20_000), work(80_000)
    assert more_windows <= 4 * windows + 4
    assert more_pieces <= 4 * pieces + 4 * leg.windower.max_pieces
