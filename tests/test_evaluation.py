"""``evaluate``: strict scores of models and predictions on a corpus of one's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from multiner import EndpointModel, Entity, LocalModel, Model, Result, evaluate
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import formats
from multiner.serving.cli import commands

MODEL = Model("ner-en", "1")
NAMES = {"Ingrid": "PER", "Oslo": "LOC", "May": "PER"}


def found(text: str) -> Result:
    """What a model finds that knows three names."""
    places = [(text.index(name), name, label) for name, label in NAMES.items() if name in text]
    entities = [Entity(start, start + len(name), name, label) for start, name, label in sorted(places)]
    return Result(text, "en", MODEL, tuple(entities))


class Names(LocalModel):
    """A local model that knows three names; it reads tokens or texts."""

    def __init__(self) -> None:
        self.model, self.language, self.types = MODEL, "en", ("PER", "LOC")
        self.documents: list[Document] = []
        self.texts: list[str] = []

    def _results(self, texts: Sequence[str]) -> list[Result]:
        self.texts += texts
        return [found(text) for text in texts]

    def predict_documents(self, documents: Any) -> list[list[Span]]:
        self.documents += documents
        return [
            [Span(at, at + 1, NAMES[word]) for at, word in enumerate(document.words()) if word in NAMES]
            for document in documents
        ]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "notes.conll"
    content = "Ingrid person\nleft O\nOslo place\n, O\nand O\nMay O\nended O\n\nAnn person\n. O\n\nOslo place\n"
    file.write_text(content, encoding="utf-8")
    return file


TYPES = {"person": "PER", "place": "LOC"}


def test_a_local_model_reads_the_tokens_of_a_column_file(corpus: Path) -> None:
    model = Names()
    result = evaluate(model, corpus, "columns", types=TYPES)
    assert model.texts == []
    assert result.documents == 3
    assert (result.overall.precision, result.overall.recall, result.overall.support) == (75.0, 75.0, 4)
    assert {name: (each.f1, each.support) for name, each in result.per_type.items()} == {
        "LOC": (100.0, 2),
        "PER": (50.0, 2),
    }
    low, high = cast("tuple[float, float]", result.overall.interval)
    assert low <= result.overall.f1 <= high
    assert low < high
    assert result.to_json()["per_type"]["PER"]["support"] == 2
    table = str(result).splitlines()
    assert table[0].split() == ["F1", "95", "%", "interval", "precision", "recall", "entities"]
    assert table[1].split()[:2] == ["all", "75.0"]
    assert evaluate(model, corpus, "columns", types=TYPES) == result


def test_other_models_read_the_text_as_people_write_it(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def predict(self: EndpointModel, batch: list[str]) -> list[Result]:
        texts.extend(batch)
        return [found(text) for text in batch]

    monkeypatch.setattr(EndpointModel, "predict", predict)
    monkeypatch.setattr(EndpointModel, "health", lambda self: {})
    result = evaluate("http://127.0.0.1:9", corpus, "columns", types=TYPES)
    assert texts[0] == "Ingrid left Oslo, and May ended"
    assert result.overall.f1 == 75.0


def test_a_local_model_reads_texts_where_the_corpus_has_them(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "Ingrid-based  Oslo.", "label": [[0, 6, "PER"], [14, 18, "LOC"]]}\n', encoding="utf-8")
    model = Names()
    result = evaluate(model, file, "doccano")
    assert (model.texts, model.documents) == (["Ingrid-based  Oslo."], [])
    assert (result.overall.f1, result.overall.interval) == (100.0, None)


def test_predictions_as_results_or_documents(corpus: Path) -> None:
    documents = formats.read(corpus, "columns", types=TYPES)
    results = [found(document.text) for document in documents]
    assert evaluate(results, documents).overall.f1 == 75.0
    assert evaluate(documents, documents).overall.f1 == 100.0
    with pytest.raises(NerError, match="2 predictions for 3 documents"):
        evaluate(results[:2], documents)
    with pytest.raises(NerError, match="prediction 1 is for another text"):
        evaluate(results[::-1], documents)


def test_what_cannot_be_scored_is_refused_with_a_remedy(corpus: Path) -> None:
    documents = formats.read(corpus, "columns")
    cases: list[tuple[str, Any]] = [
        ("share no type", lambda: evaluate(Names(), corpus, "columns")),
        ("format is missing", lambda: evaluate(Names(), corpus)),
        ("documents have no format", lambda: evaluate(Names(), documents, "columns")),
        ("has no entity", lambda: evaluate(Names(), [each.with_spans(()) for each in documents])),
        ("unknown entity types place", lambda: evaluate(Names(), documents, types={"person": "PER"})),
        ("resamples must be 1", lambda: evaluate(documents, documents, resamples=0)),
        ("no such option|no option", lambda: evaluate(Names(), corpus, "columns", columns=2)),
    ]
    for message, call in cases:
        with pytest.raises(NerError, match=message) as caught:
            call()
        assert caught.value.remedy


def test_the_command(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiner.evaluation.load", lambda source: Names())
    arguments = ["score", str(corpus), "--from", "columns", "--model", "ner-en", "--type", "person=PER"]
    done = CliRunner().invoke(commands, [*arguments, "--type", "place="], catch_exceptions=False)
    assert done.exit_code == 0
    rows = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()[1:]}
    assert rows == {"all": "33.3", "LOC": "0.0", "PER": "50.0"}
    done = CliRunner().invoke(commands, [*arguments, "--type", "place=LOC", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["documents"] == 3
