"""Calibration, weights and combination of the base models."""

from __future__ import annotations

from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.ensemble.features import feature_names
from multiner.pipeline.ensemble.fit import NAMES_PER_WEIGHT, FittingDocument, fit_ensemble, fit_temperature, simplex
from multiner.pipeline.ensemble.model import Ensemble, Member, pool, temper
from multiner.pipeline.ensemble.name_features import Gazetteer

TYPES = ["PER", "LOC"]
LABELS = bio_labels(TYPES)
CHANCE = np.random.default_rng(5)


def documents(count: int) -> list[Document]:
    words = ["Ada", "Lovelace", "saw", "Oslo", "."]
    return [from_words(f"d{number}", [words], [Span(0, 2, "PER"), Span(3, 4, "LOC")]) for number in range(count)]


class Noisy:
    """A base model that is right with a chance, and says so with a confidence of its own."""

    def __init__(self, right: float, confidence: float) -> None:
        self.labels = LABELS
        self._right, self._confidence = right, confidence

    def predict(self, documents: list[Document]) -> list[np.ndarray]:
        result = []
        for document in documents:
            rows = np.full((len(document.tokens), len(LABELS)), (1 - self._confidence) / (len(LABELS) - 1), np.float32)
            for index, label in enumerate(encode(document.spans, len(document.tokens))):
                guess = LABELS.index(label) if CHANCE.random() < self._right else int(CHANCE.integers(len(LABELS)))
                rows[index, guess] = self._confidence
            result.append(rows)
        return result


def test_pool_of_one_member_is_that_member() -> None:
    rows = CHANCE.dirichlet(np.ones(5), size=7)
    np.testing.assert_allclose(pool([rows, rows[::-1]], [1.0, 0.0]), rows)
    np.testing.assert_allclose(pool([rows, rows[::-1]], [0.3, 0.7]).sum(axis=1), 1)


def test_a_temperature_above_one_flattens() -> None:
    rows = np.array([[0.9, 0.1]])
    assert 0.5 < temper(rows, 2.0)[0, 0] < 0.9 < temper(rows, 0.5)[0, 0]


def test_an_overconfident_model_is_cooled() -> None:
    gold = np.zeros(1000, dtype=int)
    rows = np.tile([0.99, 0.01], (1000, 1))
    rows[:300] = [0.01, 0.99]
    temperature = fit_temperature(rows, gold)
    assert temperature > 2
    assert temper(rows, temperature)[-1, 0] == pytest.approx(0.7, abs=0.02)


def test_weights_of_the_grid_sum_to_one() -> None:
    grid = list(simplex(3, 4))
    assert len(grid) == 15
    assert all(sum(weights) == pytest.approx(1) for weights in grid)


def test_the_better_model_gets_the_greater_weight() -> None:
    gold = documents(60)
    good, bad = Noisy(0.95, 0.9).predict(gold), Noisy(0.4, 0.9).predict(gold)
    fitting = [
        FittingDocument(*each, Gazetteer()) for each in zip(gold, map(list, zip(good, bad, strict=True)), strict=True)
    ]
    value = fit_ensemble(fitting, ["good", "bad"], TYPES, Gazetteer(), 0.1)
    members = value["members"]
    assert members[0]["weight"] > members[1]["weight"]
    assert value["tuned_on"]["pool"] > 70


def two_specialists(count: int) -> tuple[list[Document], list[FittingDocument]]:
    """Documents with two models, of which one errs about persons and the other about places."""
    gold = [Document.from_json(each.to_json() | {"corpus": "c"}) for each in documents(count)]
    chance = np.random.default_rng(3)
    fitting = []
    for document in gold:
        person, place = (chance.random() < 0.5 for _ in range(2))
        one = [Span(0, 2, "PER"), Span(3, 4, "PER" if place else "LOC")]
        other = [Span(0, 1 if person else 2, "PER"), Span(3, 4, "LOC")]
        rows = []
        for spans in (one, other):
            table = np.full((5, len(LABELS)), 0.02)
            for index, label in enumerate(encode(spans, 5)):
                table[index, LABELS.index(label)] = 0.92
            rows.append(table / table.sum(axis=1, keepdims=True))
        fitting.append(FittingDocument(document, rows, Gazetteer()))
    return gold, fitting


def test_a_meta_classifier_that_development_data_prefers_survives_json_and_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gold, fitting = two_specialists(240)
    value = {"language": "en", "types": TYPES} | fit_ensemble(fitting, ["a", "b"], TYPES, Gazetteer(), 0.25)
    assert value["chooser"] is not None
    assert value["tuned_on"]["chooser"] > 95 > value["tuned_on"]["pool"]
    path = tmp_path / "ensemble.json"
    write_json(path, value)
    models = {name: Noisy(1, 0.9) for name in "ab"}
    monkeypatch.setattr("multiner.pipeline.ensemble.model.load_base_model", lambda name, folder: models[name])
    ensemble = Ensemble.load(path, dict.fromkeys(models, tmp_path))
    for document, each in zip(gold, fitting, strict=True):
        spans = ensemble.combine(document, each.probabilities).spans
        assert [(span.start, span.end, span.label) for span in spans] == [(0, 2, "PER"), (3, 4, "LOC")]

    with pytest.raises(NerError, match="no b"):
        Ensemble.load(path, {"a": tmp_path})
    del value["chooser"]["weights"]["score b"]
    write_json(path, value)
    with pytest.raises(NerError, match="other features"):
        Ensemble.load(path, dict.fromkeys(models, tmp_path))


def test_below_ten_names_for_each_weight_the_pool_answers() -> None:
    weights = len(feature_names(["a", "b"], TYPES))
    enough = NAMES_PER_WEIGHT * weights // 2  # each document has two names
    _, fitting = two_specialists(enough + 1)
    few = fit_ensemble(fitting[: enough - 1], ["a", "b"], TYPES, Gazetteer(), 0.5)
    assert few["chooser"] is None
    assert few["tuned_on"]["chooser"] is None, "there is no figure of what was not fitted"
    assert few["tuned_on"]["pool"] > 0
    many = fit_ensemble(fitting, ["a", "b"], TYPES, Gazetteer(), 0.5)
    assert many["tuned_on"]["chooser"] > many["tuned_on"]["pool"]
    assert many["chooser"]


def test_prediction_holds_the_spans_of_each_base_model() -> None:
    gold = documents(1)
    ensemble = Ensemble("en", TYPES, [Member("a", 1.0, 0.5), Member("b", 1.0, 0.5)], [Noisy(1, 0.9), Noisy(1, 0.8)])
    (prediction,) = ensemble.predict(gold)
    assert [(span.start, span.end, span.label) for span in prediction.spans] == [(0, 2, "PER"), (3, 4, "LOC")]
    assert set(prediction.legs) == {"a", "b"}
    assert prediction.legs["a"][0].score > prediction.legs["b"][0].score > 0.5


class Meeting(Noisy):
    """A base model that answers only once as many models as the barrier holds are at work."""

    def __init__(self, barrier: Barrier) -> None:
        super().__init__(1, 0.9)
        self._barrier = barrier

    def predict(self, documents: list[Document]) -> list[np.ndarray]:
        self._barrier.wait(timeout=20)
        return super().predict(documents)


def test_the_first_leg_runs_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_THREADS", "2")
    barrier = Barrier(2)
    members = [Member("a", 1.0, 0.5), Member("b", 1.0, 0.5)]
    (prediction,) = Ensemble("en", TYPES, members, [Meeting(barrier), Meeting(barrier)]).predict(documents(1))
    assert len(prediction.spans) == 2


@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_leg_that_fails_fails_the_answer(broken: int, threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_THREADS", threads)
    models = [Noisy(1, 0.9), Noisy(1, 0.9)]
    monkeypatch.setattr(models[broken], "predict", lambda documents: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Ensemble("en", TYPES, [Member("a", 1.0, 0.5), Member("b", 1.0, 0.5)], models).predict(documents(1))


def test_a_base_model_with_other_labels_is_refused() -> None:
    with pytest.raises(NerError, match="has the labels"):
        Ensemble("en", ["PER"], [Member("a", 1.0, 1.0)], [Noisy(1, 0.9)])


@pytest.mark.parametrize(("language", "read"), [("ru", "в Томске"), ("en", "В ТОМСКЕ")])
def test_russian_models_read_the_usual_case_of_a_name_in_capitals(language: str, read: str) -> None:
    class Reader:
        labels = LABELS

        def predict(self, documents: list[Document]) -> list[np.ndarray]:
            assert [" ".join(document.norms()) for document in documents] == [read]
            rows = np.zeros((2, len(LABELS)), np.float32)
            rows[0, 0] = rows[1, LABELS.index("B-LOC")] = 1.0
            return [rows]

    ensemble = Ensemble(language, TYPES, [Member("reader", 1.0, 1.0)], [Reader()])
    (prediction,) = ensemble.predict([from_words("d", [["В", "ТОМСКЕ"]])])
    assert [(span.start, span.end, span.label) for span in prediction.spans] == [(1, 2, "LOC")]
