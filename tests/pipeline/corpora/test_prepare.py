"""The stage ``prepare``, on small invented corpora: what it writes, what it limits, drops and refuses."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from multiner.pipeline.config.corpora import corpora_of, published
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, read_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.corpora import held_out, prepare, read_corpus

PARAMS: dict[str, Any] = {
    "profile": "test",
    "languages": {
        "en": {"types": ["PER", "LOC", "ORG", "MISC"], "train_on": ["conll2003"], "report_on": ["conll2003", "wnut17"]},
        "ru": {"types": ["PER", "LOC"], "train_on": ["factrueval-name"], "report_on": ["factrueval-object"]},
    },
    "prepare": {"heldout": 0.25, "limit": {}},
}


def write_corpora(raw: Path) -> None:
    """Three invented corpora: 8 English documents and posts a part, 12 and 4 Russian documents."""
    for folder in ("conll2003", "wnut17", "factRuEval-2016/devset", "factRuEval-2016/testset"):
        (raw / folder).mkdir(parents=True)
    for name in ("train.txt", "valid.txt", "test.txt"):
        stories = (f"-DOCSTART- -X- -X- O\n\nAda{n} N N B-PER\nfell V V O\n\n" for n in range(8))
        (raw / "conll2003" / name).write_text("".join(stories))
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        (raw / "wnut17" / name).write_text("".join(f"zorp{n}\tB-product\nok\tO\n\n" for n in range(8)))
    for folder, numbers in (("devset", range(12)), ("testset", range(20, 24))):
        for n in numbers:
            stem = raw / "factRuEval-2016" / folder / f"book_{n}"
            stem.with_suffix(".txt").write_text("Ия из Лиги\n")
            stem.with_suffix(".tokens").write_text("1 0 2 Ия\n2 3 2 из\n3 6 4 Лиги\n")
            stem.with_suffix(".spans").write_text("4 name 0 2 1 1 # 1 Ия\n5 org_name 6 4 3 1 # 3 Лиги\n")
            stem.with_suffix(".objects").write_text("6 Person 4 # Ия\n7 Org 5 # Лиги\n8 Org 5 # Лиги\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path, deepcopy(PARAMS))
    write_corpora(workspace.paths.raw)
    return workspace


def written(workspace: Workspace, language: str, corpus: str, split: str) -> list[Document]:
    return list(read_jsonl(workspace.paths.documents(language) / f"{corpus}.{split}.jsonl"))


def test_writes_every_split_of_every_corpus(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    prepare.run(workspace, "en")
    folder = workspace.paths.documents("en")
    parts = {f"{corpus}.{split}.jsonl" for corpus in ("conll2003", "wnut17") for split in ("train", "dev", "test")}
    assert {file.name for file in folder.iterdir()} == parts | {"summary.json"}
    assert written(workspace, "en", "conll2003", "dev") == read_corpus(workspace.paths.raw, "conll2003", "dev")
    assert read_json(folder / "summary.json")["wnut17"]["train"] == {
        "documents": 8,
        "sentences": 8,
        "tokens": 16,
        "entities": {"MISC": 8},
        "dropped": {},
        "published": 8,
        "resolution": None,
    }
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["corpus", "split", "documents", "sentences"]
    assert lines[1].split() == ["conll2003", "train", "8", "8", "16", "8", "PER", "8"]
    assert len(lines) == 7


def test_holds_documents_of_the_devset_out(workspace: Workspace) -> None:
    workspace.params["languages"]["ru"]["types"].append("ORG")
    prepare.run(workspace, "ru")
    train, dev, test = (
        {one.id for one in written(workspace, "ru", "factrueval-name", split)} for split in ("train", "dev", "test")
    )
    assert (len(train), len(dev), len(test)) == (9, 3, 4)
    assert not train & dev
    assert train | dev == {f"factrueval/book_{n}" for n in range(12)}
    assert {one.id for one in written(workspace, "ru", "factrueval-object", "dev")} == dev
    counts = read_json(workspace.paths.documents("ru") / "summary.json")["factrueval-name"]["dev"]
    assert counts["entities"] == {"ORG": 3, "PER": 3}
    assert counts["resolution"]["duplicate"] == 3


def test_holding_out_depends_on_the_ids_alone() -> None:
    ids = [f"factrueval/book_{n}" for n in range(40)]
    assert held_out(ids, 0.2) == held_out(ids[::-1], 0.2)
    assert len(held_out(ids, 0.2)) == 8
    assert len(held_out(ids[:2], 0.2)) == 1
    assert len(held_out(ids[:2], 0.99)) == 1, "something is left to train on"
    with pytest.raises(NerError, match="held out of a single document"):
        held_out(ids[:1], 0.2)


@pytest.mark.parametrize("corpus", ["conll2003", "wnut17", "factrueval-name"])
def test_every_format_holds_development_documents_out_of_a_shared_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, corpus: str
) -> None:
    entry = published()[corpus]
    whole = read_corpus(workspace.paths.raw, corpus, "train", heldout=0.25)
    shared = entry.parts | {"dev": entry.parts["train"]}
    monkeypatch.setitem(published(), corpus, replace(entry, parts=shared))
    train, dev = (read_corpus(workspace.paths.raw, corpus, split, heldout=0.25) for split in ("train", "dev"))
    assert (len(train), len(dev)) == ((9, 3) if corpus == "factrueval-name" else (6, 2))
    assert not {one.id for one in train} & {one.id for one in dev}
    assert {one.split for one in dev} == {"dev"}
    if corpus != "factrueval-name":
        assert sorted([*train, *dev], key=lambda one: one.id) == [
            replace(one, split="dev" if one.id in {each.id for each in dev} else "train") for one in whole
        ]


def test_a_shared_file_of_one_document_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = published()["conll2003"]
    monkeypatch.setitem(published(), "conll2003", replace(entry, parts=entry.parts | {"dev": "train.txt"}))
    file = workspace.paths.raw / "conll2003" / "train.txt"
    file.write_text("Ada N N B-PER\nfell V V O\n")
    with pytest.raises(NerError, match="held out of a single document") as caught:
        prepare.run(workspace, "en")
    assert caught.value.where == str(file)


def test_drops_types_that_the_language_lacks_and_counts_them(workspace: Workspace) -> None:
    prepare.run(workspace, "ru")
    assert {span.label for one in written(workspace, "ru", "factrueval-name", "test") for span in one.spans} == {"PER"}
    counts = read_json(workspace.paths.documents("ru") / "summary.json")["factrueval-name"]["test"]
    assert counts["dropped"] == {"ORG": 4}


def test_limit_takes_documents_by_hash_and_keeps_their_order(workspace: Workspace) -> None:
    prepare.run(workspace, "en")
    everything = [one.id for one in written(workspace, "en", "conll2003", "train")]
    workspace.params["prepare"]["limit"] = {"conll2003": {"train": 3}, "wnut17": {"test": 100}}
    prepare.run(workspace, "en")
    train_ids = [one.id for one in written(workspace, "en", "conll2003", "train")]
    assert len(train_ids) == 3
    assert train_ids == [id for id in everything if id in train_ids]
    assert train_ids != everything[:3]
    assert len(written(workspace, "en", "conll2003", "dev")) == 8
    assert len(written(workspace, "en", "wnut17", "test")) == 8
    workspace.params["prepare"]["limit"] = {"conll2003": {"train": 5}}
    prepare.run(workspace, "en")
    assert set(train_ids) < {one.id for one in written(workspace, "en", "conll2003", "train")}


def test_a_malformed_file_leaves_what_was_there(workspace: Workspace) -> None:
    prepare.run(workspace, "en")
    folder = workspace.paths.documents("en")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    broken = workspace.paths.raw / "wnut17" / "emerging.test.annotated"
    broken.write_text(broken.read_text().replace("zorp3\tB-product", "zorp3\tI-product"))
    with pytest.raises(NerError) as caught:
        prepare.run(workspace, "en")
    assert caught.value.where == f"{broken}:10"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [file.name for file in folder.parent.iterdir()] == ["documents"]


@pytest.mark.faults("an empty part of a corpus")
def test_a_split_without_a_document_is_refused(workspace: Workspace) -> None:
    prepare.run(workspace, "en")
    before = written(workspace, "en", "wnut17", "train")
    workspace.params["prepare"]["limit"] = {"wnut17": {"dev": 0}}
    with pytest.raises(NerError, match="wnut17: no document for dev") as caught:
        prepare.run(workspace, "en")
    assert caught.value.exit_code == 1
    assert written(workspace, "en", "wnut17", "train") == before


def test_two_documents_of_one_name_are_refused(workspace: Workspace) -> None:
    folder = workspace.paths.raw / "factRuEval-2016"
    for file in (folder / "devset").glob("book_3.*"):
        (folder / "testset" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(NerError, match="two documents of factrueval-name are named factrueval/book_3"):
        prepare.run(workspace, "ru")


def test_unknown_corpus_and_absent_corpora(workspace: Workspace) -> None:
    workspace.params["languages"]["en"]["report_on"] = ["conll2004"]
    with pytest.raises(NerError, match="unknown corpus 'conll2004'"):
        prepare.run(workspace, "en")
    workspace.params["prepare"]["raw"] = "data/nowhere"
    with pytest.raises(NerError, match="file is missing") as caught:
        prepare.run(Workspace(workspace.root, workspace.params | {"languages": PARAMS["languages"]}), "en")
    assert "ner pull" in caught.value.remedy


def test_raw_folder_and_order_of_corpora(workspace: Workspace) -> None:
    assert workspace.raw == workspace.root / "data" / "raw"
    workspace.params["prepare"]["raw"] = "data/samples"
    assert workspace.raw == workspace.root / "data" / "samples"
    assert corpora_of(workspace.language("ru")) == ["factrueval-name", "factrueval-object"]
    assert corpora_of(workspace.language("en")) == ["conll2003", "wnut17"]
