"""The served model: exact offsets, JSON-ready answers, each text for itself, clear errors."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiner.pipeline.core.cancellation import Cancelled
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.ensemble.model import Ensemble, Member
from multiner.pipeline.inference import answers, cancelled_calls

TYPES = ["PER", "LOC"]


class ByList:
    """A leg that is sure of the words it knows and of nothing else."""

    def __init__(self, known: dict[str, str], certainty: float = 0.9) -> None:
        self.labels = bio_labels(TYPES)
        self.known = known
        self.certainty = certainty

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Probabilities, one array [tokens, labels] per document."""
        results = []
        for document in documents:
            rows = np.full((len(document.tokens), len(self.labels)), (1 - self.certainty) / (len(self.labels) - 1))
            for row, word in zip(rows, document.words(), strict=True):
                row[self.labels.index(self.known.get(word, "O"))] = self.certainty
            results.append(rows.astype(np.float32))
        return results


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("served_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def module(root: Path) -> ModuleType:
    """pipeline/inference/pyfunc.py, loaded as a file, as MLflow does."""
    return load(root / "pipeline" / "inference" / "pyfunc.py")


@pytest.fixture(scope="module")
def model(module: ModuleType):  # noqa: ANN201
    legs = [
        ByList({"Ada": "B-PER", "Lovelace": "I-PER", "Oslo": "B-LOC"}, 0.95),
        ByList({"Ada": "B-PER", "Oslo": "B-PER"}, 0.8),
    ]
    model = module.NerModel()
    members = [Member("transformer", 1.0, 0.8), Member("spacy", 1.0, 0.2)]
    model.ensemble = Ensemble("en", TYPES, members, legs)
    return model


def ask(model, texts: list) -> list[dict]:  # noqa: ANN001
    return model.predict(None, pd.DataFrame({"text": texts}))


def test_entities_carry_offsets_label_score_and_opinions(model) -> None:  # noqa: ANN001
    text = "🙂 Ada Lovelace\r\nsaw\u00a0Oslo."
    person, place = ask(model, [text])[0]["entities"]
    assert (person["start"], person["end"], person["text"], person["label"]) == (2, 14, "Ada Lovelace", "PER")
    assert place["text"] == text[place["start"] : place["end"]] == "Oslo"
    assert 0.5 < person["score"] <= 1.0
    assert {leg: opinion["label"] for leg, opinion in place["legs"].items()} == {"transformer": "LOC", "spacy": "PER"}
    assert person["legs"]["spacy"]["end"] == 5  # the second leg found the first name only


def test_answers_are_json(model) -> None:  # noqa: ANN001
    answer = ask(model, ["Ada saw Oslo.", ""])
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


@pytest.mark.parametrize("value", ["", "  \r\n\t", "\u200b", None, float("nan"), pd.NA])
def test_nothing_has_no_entities(model, value: object) -> None:  # noqa: ANN001
    assert ask(model, [value]) == [{"entities": []}]


@pytest.mark.parametrize("value", [5, 1.5, ["Ada"], b"Ada", {"text": "Ada"}])
def test_what_is_no_text_is_refused_by_row(model, value: object) -> None:  # noqa: ANN001
    with pytest.raises(ValueError, match="row 1: expected a text"):
        ask(model, ["Ada", value])


def test_a_table_without_the_column_is_refused(model) -> None:  # noqa: ANN001
    with pytest.raises(ValueError, match="column 'text'"):
        model.predict(None, pd.DataFrame({"body": ["Ada"]}))


def test_no_rows_no_answers(model) -> None:  # noqa: ANN001
    assert ask(model, []) == []


def test_texts_reach_the_ensemble_together(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of texts at a time, without those that have no tokens; the answers keep their order."""
    model, sizes = module.NerModel(), []
    model.ensemble = Ensemble("en", TYPES, [Member("transformer", 1.0, 1.0)], [ByList({"Ada": "B-PER"})])
    predict = model.ensemble.predict
    monkeypatch.setattr(
        model.ensemble,
        "predict",
        lambda documents, **options: sizes.append(len(documents)) or predict(documents, **options),
    )
    found = ask(model, ["Ada", " ", *["nobody"] * answers.BATCH, "Ada"])
    assert sizes == [answers.BATCH - 1, 3]
    assert [number for number, answer in enumerate(found) if answer["entities"]] == [0, len(found) - 1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(max_size=40) | st.sampled_from(["Ada Lovelace", "in\tOslo\u2028Ada", "Oslo\u0301 Ada"]), max_size=4
    )
)
def test_a_text_answers_the_same_alone_and_among_others(model, texts: list[str]) -> None:  # noqa: ANN001
    together = ask(model, texts)
    assert together == [ask(model, [text])[0] for text in texts]
    for text, answer in zip(texts, together, strict=True):
        for entity in answer["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]


def test_opinion_prefers_the_same_range_then_the_most_shared() -> None:
    document = from_words("d", [["Bank", "of", "Oslo", "said"]])
    span = Span(0, 3, "ORG", 0.9)
    same, part, outside = Span(0, 3, "LOC", 0.4), Span(2, 3, "LOC", 0.8), Span(3, 4, "PER", 0.9)
    wider = Span(0, 4, "PER", 0.9)
    assert answers.opinion(document, span, (part, outside))["start"] == 8
    assert answers.opinion(document, span, (same,)) == {"start": 0, "end": 12, "label": "LOC", "score": 0.4}
    assert answers.opinion(document, span, (wider, same))["label"] == "LOC"
    assert set(answers.opinion(document, span, (outside,)).values()) == {None}


def test_tokens_carry_offsets_and_probabilities_that_sum_to_one(model) -> None:  # noqa: ANN001
    text = "🙂 Ada Lovelace\r\nsaw\u00a0Oslo."
    plain, detailed = (
        model.predict(None, pd.DataFrame({"text": [text, " "]}), params)
        for params in ({"tokens": False, "call": ""}, {"tokens": True, "call": ""})
    )
    assert [{"entities": each["entities"]} for each in detailed] == plain
    assert detailed[1]["tokens"] == []
    assert [text[token["start"] : token["end"]] for token in detailed[0]["tokens"]] == [
        token["text"] for token in detailed[0]["tokens"]
    ]
    assert [token["text"] for token in detailed[0]["tokens"]] == ["🙂", "Ada", "Lovelace", "saw", "Oslo", "."]
    for token in detailed[0]["tokens"]:
        assert set(token["probabilities"]) == {"O", *TYPES}
        assert sum(token["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert detailed[0]["tokens"][2]["probabilities"]["PER"] > 0.5
    assert json.loads(json.dumps(detailed, allow_nan=False)) == detailed


def test_a_call_ends_when_it_is_cancelled_also_before_it_begins(model) -> None:  # noqa: ANN001
    table = pd.DataFrame({"text": ["Ada saw Oslo."]})
    answer = model.predict(None, table, {"call": "a", "cancel": ""})
    assert model.predict(None, pd.DataFrame({"text": [""]}), {"call": "", "cancel": "a"}) == []
    with pytest.raises(Cancelled):
        model.predict(None, table, {"call": "a"})
    assert answer == model.predict(None, table, {"call": "b"}) == model.predict(None, table, {"call": ""})
    assert answer == model.predict(None, table), "served without a gateway"


def test_names_of_cancelled_calls_are_forgotten_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelled_calls, "_cancelled", {})
    monkeypatch.setattr(cancelled_calls, "REMEMBERED", 2)
    for call in "abc":
        cancelled_calls.cancel(call)
    assert [call for call in "abcd" if cancelled_calls.is_cancelled(call)] == ["b", "c"]
