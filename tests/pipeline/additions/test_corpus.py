"""``ner corpus add``: what it writes, what it refuses, and that nothing is half-written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import SPLITS, read_corpus
from multiner.pipeline.corpora.formats import ConversionLoss
from multiner.pipeline.corpora.pull import pull
from tests.pipeline.additions.conftest import GERMAN, Ner, content, refusal

ONTONOTES = [
    *("CARDINAL", "DATE", "EVENT", "FAC", "GPE", "LANGUAGE", "LAW", "LOC", "MONEY", "NORP"),
    *("ORDINAL", "ORG", "PERCENT", "PERSON", "PRODUCT", "QUANTITY", "TIME", "WORK_OF_ART"),
]


def add_german(ner: Ner, german: Path, more: str = "") -> str:
    files = f"{german}/deu.train --dev {german}/deu.testa --test {german}/deu.testb"
    return ner(f"corpus add {files} --name muster -l de {GERMAN} --license MIT {more}").output


def read(home: Path, name: str) -> dict[str, list]:
    workspace = Workspace.load(root=home)
    return {split: read_corpus(workspace.paths.raw, workspace.corpora[name], split) for split in SPLITS}


def test_a_corpus_is_described_once(home: Path, ner: Ner, german: Path) -> None:
    output = add_german(ner, german, "--title Muster --map MISC=")
    assert "train  240 documents, 240 sentences, entities: LOC" in output
    before = content(home)
    description = yaml.safe_load(before["params/corpora/muster.yaml"])
    assert description["types"] == {"LOC": "LOC", "MISC": None, "ORG": "ORG", "PER": "PER"}
    assert description["options"] == {"encoding": "iso-8859-1", "token_column": 2, "scheme": "IOB1"}
    assert json.loads(before["data/manifest.json"])["muster"].keys() == {"train.train", "dev.testa", "test.testb"}
    assert before["data/raw/muster/train.train"] == (german / "deu.train").read_bytes()
    assert "nothing to do" in add_german(ner, german, "--title Muster --map MISC=")
    assert content(home) == before
    assert "muster: de, own, not used; LOC, ORG, PER; MIT" in ner("corpus list").output
    parts = read(home, "muster")
    assert [len(part) for part in parts.values()] == [240, 80, 80]
    first = parts["train"][0]
    assert (first.id, first.corpus, first.split) == ("muster/train/00001", "muster", "train")
    assert first.source == "muster/train.train"
    assert {span.label for part in parts.values() for one in part for span in one.spans} == {"PER", "LOC", "ORG"}
    assert any("ß" in word for one in parts["train"] for word in one.words())


def test_parts_are_held_out_where_there_is_one_file(home: Path, ner: Ner, german: Path) -> None:
    ner(f"corpus add {german}/deu.train --name ein-teil -l de {GERMAN} --heldout 0.25")
    parts = read(home, "ein-teil")
    ids = {split: {one.id for one in part} for split, part in parts.items()}
    assert {split: len(each) for split, each in ids.items()} == {"test": 60, "dev": 45, "train": 135}
    assert len(set.union(*ids.values())) == 240, "no document is in two parts"


@pytest.mark.parametrize(
    ("files", "options", "where", "message"),
    [
        ("{}/deu.train", "", "deu.train:2", "not UTF-8"),
        ("{}/deu.train", "-o encoding=iso-8859-1", "deu.train:1", "BIO forbids"),
        ("{0}/deu.train --dev {0}/none", GERMAN, "none", "no such file"),
        ("{}/deu.train", f"{GERMAN} --map PERSON=PER", "--map", "no entity has the type 'PERSON'"),
        ("{}/deu.train", f"{GERMAN} --format papyrus", "ner corpus add", "unknown format 'papyrus'"),
    ],
)
def test_nothing_is_added_with_an_error(
    home: Path, ner: Ner, german: Path, files: str, options: str, where: str, message: str
) -> None:
    before = content(home)
    error = refusal(ner, f"corpus add {files.format(german)} --name muster -l de {options}")
    assert message in error.message
    assert (error.where or "").endswith(where)
    assert {name: each for name, each in content(home).items() if not name.startswith(".run")} == before


@pytest.mark.parametrize("name", ["conll2003", "factRuEval-2016", "packages", "Ä", "../x"])
def test_names_of_other_data_are_refused(home: Path, ner: Ner, german: Path, name: str) -> None:
    assert refusal(ner, f"corpus add {german}/deu.train --name {name} -l de {GERMAN}").where == "--name"


def test_a_corpus_is_replaced_only_by_order(home: Path, ner: Ner, german: Path) -> None:
    add_german(ner, german)
    error = refusal(ner, f"corpus add {german}/deu.train --name muster -l de {GERMAN}")
    assert "with other files" in error.message
    ner(f"corpus add {german}/deu.train --name muster -l de {GERMAN} --replace")
    assert [path.name for path in (home / "data" / "raw" / "muster").iterdir()] == ["train.train"]


@pytest.mark.parametrize(
    ("before", "after", "place", "message"),
    [
        ("format: columns", "formats: columns", ":5: formats", "unknown key"),
        ("language: de\n", "", ": language", "the key is missing"),
        ("dev: dev.testa, ", "", ":8", "no file for dev"),
        ("dev: dev.testa, ", "val: dev.testa, ", ":8", "no split is named val"),
        ("PER: PER", "PER: 3", ":9: types.PER", "3: Input should be a valid string"),
    ],
)
def test_mistakes_in_a_description_have_a_line(
    home: Path, ner: Ner, german: Path, before: str, after: str, place: str, message: str
) -> None:
    add_german(ner, german)
    path = home / "params" / "corpora" / "muster.yaml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    error = refusal(ner, "corpus list")
    assert (error.message, error.where) == (message, f"params/corpora/muster.yaml{place}")


def test_pull_checks_it_and_brings_nothing(
    home: Path, ner: Ner, german: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_german(ner, german)
    manifest = json.loads((home / "data" / "manifest.json").read_text())
    (home / "data" / "manifest.json").write_text(json.dumps({"muster": manifest["muster"]}))
    assert pull(Workspace.load(root=home)).nothing_to_do
    with (home / "data" / "raw" / "muster" / "train.train").open("a") as file:
        file.write("x")
    with pytest.raises(NerError, match=r"muster is not what the manifest says: train\.train"):
        pull(Workspace.load(root=home))


def test_of_nested_entities_the_outermost_stays_and_the_count_is_said(home: Path, ner: Ner, tmp_path: Path) -> None:
    """With the 18 types of OntoNotes, in JSON lines."""
    lines = []
    for number, type_ in enumerate(ONTONOTES * 3):
        text = f"Universität Ort{number} schweigt."
        entities = [[0, 16, type_], [12, 16, "GPE"]]
        lines.append(json.dumps({"text": text, "label": entities}, ensure_ascii=False))
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    output = ner(f"corpus add {path} --name notes -l de --format doccano").output
    assert "nested or overlapping entities (54)" in output
    with pytest.warns(ConversionLoss, match="nested or overlapping"):
        parts = read(home, "notes")
    found = Counter(span.label for part in parts.values() for one in part for span in one.spans)
    assert found == dict.fromkeys(ONTONOTES, 3)
    ner("language add de --corpus notes")
    assert set(Workspace.load(root=home).language("de")["types"]) == set(ONTONOTES)


def test_a_type_that_is_always_nested_is_left_out_by_its_longer_neighbours(
    home: Path, ner: Ner, tmp_path: Path
) -> None:
    path = tmp_path / "nested.jsonl"
    records = [{"text": f"Ada {n} in Oslo", "label": [[0, 3, "PER"], [0, 5, "ORG"]]} for n in range(9)]
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    output = ner(f"corpus add {path} --name nested -l de --format doccano").output
    assert "nested or overlapping entities (9)" in output
    description = yaml.safe_load((home / "params" / "corpora" / "nested.yaml").read_text())
    assert description["types"] == {"ORG": "ORG", "PER": "PER"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("-l zz", "spaCy knows no language 'zz'"),
        ("-l EN", "spaCy knows no language 'EN'"),
        ("-l deu", "spaCy's code of the language 'deu' is 'de'"),
        ("-l char_classes", "spaCy knows no language"),
        ("-l de --map PER=O", "it stands for no entity"),
        ("-l de -o overlaps=keep", "no option 'overlaps'"),
        ("-l de -o language=de", "no option 'language'"),
    ],
)
def test_wishes_that_no_later_stage_could_grant(home: Path, ner: Ner, tmp_path: Path, more: str, message: str) -> None:
    path = tmp_path / "notes.conll"
    path.write_text("Ada B-PER\nleft O\n\n" * 9)
    before = content(home)
    assert message in refusal(ner, f"corpus add {path} --name notes {more}").message
    assert content(home) == before


def test_a_folder_that_holds_the_workspace_is_no_corpus(home: Path, ner: Ner) -> None:
    (home / "data" / "raw" / "notes.conll").write_text("Ada B-PER\n")
    assert "holds data/raw itself" in refusal(ner, f"corpus add {home / 'data'} --name loop -l de").message
