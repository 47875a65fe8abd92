"""The spaCy base model: legal decoding, training on invented sentences, the same answer alone and in batches."""

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.document import Document, Sentence, Span, from_words, write_jsonl
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.spacy.component import to_doc, units
from multiner.pipeline.models.spacy.training import examples, fit, run
from multiner.pipeline.models.spacy.vectors import blank_with

TYPES = ["PER", "LOC"]
PARAMS = {
    "width": 16,
    "depth": 2,
    "epochs": 12,
    "patience": 12,
    "dropout": 0.1,
    "batch_words": {"start": 60, "stop": 200},
}
PEOPLE = ["Ada Plum", "Bo Quill", "Vera Hale", "Tim Orme", "Ida Marsh"]
PLACES = ["Kells", "Dunmore", "Port Orlun", "Velt", "Sarby"]


def corpus(count: int, seed: int, split: str = "train") -> list[Document]:
    """Invented documents of three sentences."""
    rng = random.Random(seed)
    documents = []
    for number in range(count):
        sentences: list[list[str]] = []
        spans: list[Span] = []
        at = 0
        for _ in range(3):
            person, place = rng.choice(PEOPLE).split(), rng.choice(PLACES).split()
            before, after = rng.choice([["Yesterday"], ["Then", "old"], []]), rng.choice([["won", "in"], ["left"]])
            words = [*before, *person, *after, *place, "."]
            first, second = at + len(before), at + len(before) + len(person) + len(after)
            spans += [Span(first, first + len(person), "PER"), Span(second, second + len(place), "LOC")]
            sentences.append(words)
            at += len(words)
        documents.append(from_words(f"{split}-{number}", sentences, spans, corpus="tales", split=split))
    return documents


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Static vectors of a few words."""
    from spacy.strings import hash_string
    from spacy.vectors import Vectors

    words = ["Ada", "Kells", "won", "left"]
    table = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    folder = tmp_path_factory.mktemp("vectors") / "en"
    blank_with(Vectors(data=table, keys=[hash_string(word) for word in words], name="few"), "en").to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def folder(vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained pipeline."""
    target = tmp_path_factory.mktemp("legs") / "spacy"
    train(target, vectors)
    return target


def train(target: Path, vectors: Path) -> None:
    settings = {"language": "en", "vectors": vectors, "params": PARAMS, "seed": 13}
    fit(corpus(30, 1), corpus(6, 2), TYPES, folder=target, **settings)


def test_units_cover_tokens_that_no_sentence_holds() -> None:
    document = from_words("x", [["a", "b", "c", "d"]])
    gapped = Document("x", document.text, document.tokens, (Sentence(1, 2), Sentence(3, 4)))

    assert list(units(gapped)) == [(0, 1), (1, 3), (3, 4)]
    assert list(units(Document("x", "", (), ()))) == []


def test_examples_carry_gold_tokens_blanks_and_spans() -> None:
    import spacy

    document = from_words(
        "x", [["Ada", "left", "."], ["Port", "Orlun", "\ud800"]], [Span(0, 1, "PER"), Span(3, 5, "LOC")]
    )
    one, two = examples([document], spacy.blank("en").vocab)

    assert [ent.text for ent in one.reference.ents] == ["Ada"]
    assert [(ent.text, ent.label_) for ent in two.reference.ents] == [("Port Orlun", "LOC")]
    assert two.predicted.text == "Port Orlun ?"
    assert not one.predicted.ents


def test_it_learns_and_the_pipeline_is_a_spacy_ner(folder: Path) -> None:
    import spacy

    nlp = spacy.load(folder)
    right = total = 0
    for document in corpus(8, 3):
        for start, end in units(document):
            doc = nlp(to_doc(document, start, end, nlp.vocab))
            predicted_spans = {(ent.start + start, ent.end + start, ent.label_) for ent in doc.ents}
            gold = {(s.start, s.end, s.label) for s in document.spans if start <= s.start < end}
            right += len(predicted_spans & gold)
            total += len(predicted_spans | gold)
    assert right / total > 0.9
    assert [ent.label_ for ent in nlp("Ada Plum won in Kells .").ents] == ["PER", "LOC"]


def test_an_epoch_is_judged_by_the_mean_over_corpora(vectors: Path, tmp_path: Path) -> None:
    other = Document.from_json(corpus(1, 9)[0].with_spans([]).to_json() | {"corpus": "other"})
    fit(corpus(20, 1), [*corpus(6, 2), other], TYPES, language="en", vectors=vectors, params=PARAMS, seed=5,
        folder=tmp_path / "spacy")  # fmt: skip
    assert 40 < max(epoch["dev_f1"] for epoch in read_json(tmp_path / "spacy" / "history.json")) <= 50


def test_probabilities_fit_the_contract(folder: Path) -> None:
    model = load_base_model("spacy", folder)
    documents = [*corpus(3, 4), Document("empty", "", (), ())]
    results = model.predict(documents)

    assert model.labels == bio_labels(TYPES)
    for document, scores in zip(documents, results, strict=True):
        assert scores.shape == (len(document.tokens), len(model.labels))
        assert scores.dtype == np.float32
        assert np.allclose(scores.sum(axis=1), 1.0, atol=1e-5)
    predicted_spans = [
        decode_spans(rows, one.sentences, model.labels) for one, rows in zip(documents, results, strict=True)
    ]
    assert span_f1(documents, predicted_spans) > 90


def test_a_document_answers_the_same_alone_batched_and_from_threads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_base_model("spacy", folder)
    documents = [*corpus(12, 5), from_words("long", [["Kells", "won"] * 3000]), from_words("one", [["Ada"]])]
    together = model.predict(documents)
    monkeypatch.setattr("multiner.pipeline.models.spacy.component.BATCH_WORDS", 10)
    apart = model.predict(documents)
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda document: model.predict([document])[0], documents))

    for first, second, third in zip(together, apart, alone, strict=True):
        assert np.allclose(first, second, atol=1e-5)
        assert np.allclose(first, third, atol=1e-5)


def test_no_documents_and_strange_words(folder: Path) -> None:
    model = load_base_model("spacy", folder)

    assert model.predict([]) == []
    assert model.predict([from_words("x", [["\ud800", "\x00", "😀", "\u200b", "a" * 10_000]])])[0].shape == (5, 5)


def test_the_vocabulary_keeps_neither_the_corpus_nor_what_is_asked(folder: Path) -> None:
    model = load_base_model("spacy", folder)
    strings = model._nlp.vocab.strings
    before = len(strings)
    model.predict([from_words("x", [["Zweibrück", "Quux"]])])

    assert len(strings) == before
    assert "Plum" not in json.loads((folder / "vocab" / "strings.json").read_text(encoding="utf-8"))


def test_history_and_config_stand_beside_the_model(folder: Path, vectors: Path) -> None:
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))

    assert [entry["epoch"] for entry in history] == list(range(1, len(history) + 1))
    assert set(history[0]) == {"step", "epoch", "loss", "dev_f1", "seconds"}
    assert history[-1]["loss"] < history[0]["loss"]
    assert str(vectors) not in (folder / "config.cfg").read_text(encoding="utf-8")
    assert not [file for file in folder.rglob("*") if file.suffix in {".pkl", ".pickle"}]


def test_the_same_seed_gives_the_same_weights(folder: Path, vectors: Path, tmp_path: Path) -> None:
    train(tmp_path / "again", vectors)

    model = Path("bio_tagger") / "model"
    assert (tmp_path / "again" / model).read_bytes() == (folder / model).read_bytes()


def test_run_reads_train_and_the_tuning_half_only(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call: dict = {}
    monkeypatch.setattr(
        "multiner.pipeline.models.spacy.training.fit", lambda *args, **keywords: call.update(args=args, **keywords)
    )
    params = {
        "profile": "cpu",
        "seed": 7,
        "languages": {"en": {"types": TYPES, "train_on": ["tales"], "spacy": {"epochs": 3, "vectors": "few"}}},
        "spacy": PARAMS | {"pipeline": None, "epochs": 9},
    }
    workspace = Workspace(tmp_path, params)
    for split, seed in (("train", 1), ("dev", 2)):
        write_jsonl(workspace.paths.documents("en") / f"tales.{split}.jsonl", corpus(20, seed, split))
    run(workspace, "en")

    trained, tuned, types = call["args"]
    assert (len(trained), types) == (20, TYPES)
    assert 0 < len(tuned) < 20
    assert {document.half() for document in tuned} == {"tune"}
    assert call["vectors"] == workspace.paths.vectors("en")
    assert (call["params"]["epochs"], call["seed"], call["folder"]) == (3, 7, workspace.paths.leg("en", "spacy"))


@pytest.mark.slow
def test_inference_imports_no_training_code(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from multiner.pipeline.models import load_base_model; "
        f"load_base_model('spacy', Path({str(folder)!r})); "
        "print([name for name in sys.modules if name.startswith('pipeline.') and 'training' in name "
        "or name.split('.')[0] in {'mlflow', 'airflow', 'dvc', 'great_expectations'}])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert process.stdout.strip() == "[]"
