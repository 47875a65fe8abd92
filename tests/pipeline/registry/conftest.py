"""A workspace with everything that registration reads, small and invented, and legs that are tiny but real."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace, load_params, overlay
from multiner.pipeline.core.document import Document, Span, from_words, write_jsonl
from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.ensemble.identity import model_hash
from multiner.pipeline.inference import ask, golden, isolated_process
from multiner.pipeline.inference.documents import predict_file
from multiner.pipeline.registry.store import database, open_store
from multiner.pipeline.text.tokenizer import document_from_text

TYPES = ["PER", "LOC", "ORG", "MISC"]
FIGURES = {"f1": 91.25, "precision": 92.0, "recall": 90.5, "per_type": {"PER": {"f1": 95.0, "support": 4}}}
METRICS = {
    "profile": "cpu",
    "seed": 13,
    "commit": "0123456789abcdef",
    "data_hash": "d" * 64,
    "minutes": {"transformer": 1.5, "total": 1.5},
    "corpora": {
        corpus: {split: {"ensemble": FIGURES, "transformer": FIGURES} for split in ("dev", "test")}
        for corpus in ("conll2003", "wnut17")
    },
}
HISTORY = [
    {"step": 10, "epoch": 1, "loss": 0.5, "dev_f1": 80.0, "seconds": 3.2},
    {"step": 20, "epoch": 2, "loss": 0.25, "dev_f1": 85.0, "seconds": 6.4},
]


def invented(corpus: str) -> list[Document]:
    """Development documents of a corpus, about half of them in the gate half."""
    people, places = ("Ada", "Boris", "Clara"), ("Oslo", "Lima", "Quito", "Cairo")
    words = [[person, "saw", place, "again", "."] for person in people for place in places]
    return [
        from_words(f"{corpus}-{n}", [row], [Span(0, 1, "PER"), Span(2, 3, "LOC")], corpus=corpus, split="dev")
        for n, row in enumerate(words)
    ]


def golden_documents() -> list[Document]:
    """The golden samples with their entities as spans."""
    documents = []
    for sample in golden.samples("en"):
        document = document_from_text(sample.text, "en")
        starts = {token.start: index for index, token in enumerate(document.tokens)}
        ends = {token.end: index + 1 for index, token in enumerate(document.tokens)}
        places = [(sample.text.index(text), text, label) for text, label in sample.entities]
        documents.append(
            document.with_spans(Span(starts[at], ends[at + len(text)], label) for at, text, label in places)
        )
    return [document for document in documents if document.tokens]


def write_leg(folder: Path, documents: Sequence[Document], epochs: int) -> None:
    """A transformer leg with one small layer, that knows ``documents`` by heart after some 30 epochs."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    from multiner.pipeline.models.transformer.export import export
    from multiner.pipeline.models.transformer.network import special_pieces_of
    from multiner.pipeline.models.windows import Windower

    torch.manual_seed(1)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = special + sorted({word for document in documents for word in document.words()})
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **names)
    labels = bio_labels(TYPES)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(vocabulary), num_labels=len(labels), max_position_embeddings=66, **size)
    model = BertForTokenClassification(config)
    windower = Windower(words, special_pieces_of(tokenizer), 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(epochs):
        for document in documents:
            gold = [labels.index(label) for label in encode(document.spans, len(document.tokens))]
            for window in windower.windows(document, windower.pieces(document)):
                logits = model(input_ids=torch.tensor([window.pieces])).logits[0, window.positions]
                target = torch.tensor(gold[window.tokens.start : window.tokens.stop])
                torch.nn.functional.cross_entropy(logits, target).backward()
                optimizer.step()
                optimizer.zero_grad()
    trained = folder.with_name(f"{folder.name}-trained")
    model.save_pretrained(trained)
    tokenizer.save_pretrained(trained)
    write_json(trained / "leg.json", {"labels": labels, "max_pieces": 64, "context": 0})
    write_json(trained / "history.json", HISTORY)
    export(trained, folder, "int8")


@pytest.fixture(scope="session")
def good_leg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leg that finds what the golden samples and the development documents hold."""
    folder = tmp_path_factory.mktemp("legs") / "good"
    write_leg(folder, [*golden_documents(), *invented("conll2003")], epochs=30)
    return folder


@pytest.fixture(scope="session")
def worse_leg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leg that knows the golden samples only."""
    folder = tmp_path_factory.mktemp("legs") / "worse"
    write_leg(folder, golden_documents(), epochs=30)
    return folder


@pytest.fixture(scope="session")
def empty_leg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in place of a leg, for what never loads it."""
    folder = tmp_path_factory.mktemp("legs") / "empty"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(range(64)))
    write_json(folder / "history.json", HISTORY)
    return folder


Fill = Callable[..., None]


@pytest.fixture
def fill(workspace: Workspace) -> Fill:
    """Puts down what the stages leave; ``temperature`` tells one training from another."""

    def put(leg: Path, temperature: float = 1.0, language: str = "en") -> None:
        paths = workspace.paths
        member = {"name": "transformer", "temperature": temperature, "weight": 1.0}
        write_json(
            paths.ensemble(language), {"language": language, "types": TYPES, "members": [member], "chooser": None}
        )
        shutil.rmtree(paths.leg(language, "transformer"), ignore_errors=True)
        shutil.copytree(leg, paths.leg(language, "transformer"))
        for corpus in workspace.language(language)["train_on"]:
            write_jsonl(paths.documents(language) / f"{corpus}.dev.jsonl", invented(corpus))
        for path, content in (
            (paths.report(language) / "plots" / "curve.png", b"\x89PNG"),
            (paths.report(language) / "index.html", b"with text of the corpora"),
            (paths.report(language) / "report-public.html", b"<p>without</p>"),
            (paths.validation(language) / "docs" / "index.html", b"<p>sound</p>"),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sizes = {"documents": 6, "sentences": 6, "tokens": 30, "entities": {"PER": 6, "LOC": 6}}
        write_json(paths.documents(language) / "summary.json", {"conll2003": {"dev": sizes}})
        legs = {"transformer": paths.leg(language, "transformer")}
        hashes = {"model_hash": model_hash(paths.ensemble(language), legs)}
        write_json(paths.metrics(language), METRICS | {"language": language} | hashes)

    return put


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace in a temporary folder, profile cpu, one leg."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    workspace = Workspace(tmp_path / "home", load_params(root, "cpu"))
    # no tiny leg knows the behaviour suite, and the worse one not much of anything
    rules = {"max_latency_ms": 10_000, "min_behaviour": None, "min_f1": 0}
    only = {"ensemble": {"legs": ["transformer"]}, "promotion": rules}
    workspace = replace(workspace, params=overlay(workspace.params, only))
    workspace.paths.raw.mkdir(parents=True)
    for corpus in ("conll2003", "wnut17"):
        (workspace.paths.raw / f"{corpus}.dvc").write_text(f"outs:\n- md5: {'ab' * 16}.dir\n  path: {corpus}\n")
    (workspace.root / "dvc.lock").write_text(json.dumps({"schema": "2.0"}))
    (workspace.root / "requirements.lock").write_text("numpy==2\n")
    return workspace


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """An empty MLflow database, made once: its migrations take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        trial = Workspace(tmp_path_factory.mktemp("store"), load_params(root, "cpu"))
        open_store(trial)
    return database(trial)


@pytest.fixture
def store(workspace: Workspace, migrated: Path) -> None:
    """The workspace has an empty MLflow database already."""
    database(workspace).parent.mkdir()
    shutil.copy(migrated, database(workspace))


@pytest.fixture
def no_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model predicts, and no process is started to try it."""

    def predict(*_: object) -> None:
        raise isolated_process.ProcessFailed("exit status 1")

    monkeypatch.setattr(isolated_process, "predict", predict)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the gate runs in fresh processes runs in this one, which is much quicker."""

    def run(model: Path, folder: Path, *arguments: str, **_: object) -> None:
        try:
            if arguments[0] == "-m":
                predict_file(model, folder / "documents.jsonl", folder / "spans.jsonl")
            else:
                ask.main(str(model), str(folder / "texts.json"), str(folder / "answers.json"), *arguments[5:])
        except Exception as error:
            raise isolated_process.ProcessFailed(str(error)) from error

    monkeypatch.setattr(isolated_process, "run_python", run)
