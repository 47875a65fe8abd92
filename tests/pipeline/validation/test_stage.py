"""The gate on invented corpora in the published formats: each expectation is broken once."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.validation import stage

NAMES = ["Alma", "Bruno", "Cleo", "Dario", "Edda", "Falk", "Greta", "Hugo"]
PLACES = ["Brindlow", "Quarrystead", "Oldmere", "Fennick", "Larkhill", "Tansy", "Umberley", "Vale"]


def column_text(sentences: list[list[tuple[str, str]]], form: str) -> str:
    """Sentences as a file of CoNLL-2003 (documents of two sentences) or WNUT17."""
    blocks = []
    for index, sentence in enumerate(sentences):
        if form == "conll" and index % 2 == 0:
            blocks.append("-DOCSTART- -X- O O")
        blocks.append("\n".join(f"{word} X Y {tag}" if form == "conll" else f"{word}\t{tag}" for word, tag in sentence))
    return "\n\n".join(blocks) + "\n\n"


def sentences(verb: str, person: str, place: str, org: str, misc: str) -> list[list[tuple[str, str]]]:
    return [
        [
            *((name, f"B-{person}"), ("Torrent", f"I-{person}"), (verb, "O"), (where, f"B-{place}"), ("with", "O")),
            *(("Nordwind", f"B-{org}"), ("and", "O"), ("Windpreis", f"B-{misc}" if index > 1 else "O")),
            (".", "O"),
        ]
        for index, (name, where) in enumerate(zip(NAMES, PLACES, strict=True))
    ]


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Workspace:
    """Two small English corpora whose counts are accepted as they are."""
    raw = tmp_path / "data" / "raw"
    files = {"train.txt": "left", "valid.txt": "saw", "test.txt": "met"}
    (raw / "conll2003").mkdir(parents=True)
    for file, verb in files.items():
        text = column_text(sentences(verb, "PER", "LOC", "ORG", "MISC"), "conll")
        (raw / "conll2003" / file).write_text(text, encoding="utf-8")
    files = {"wnut17train.conll": "likes", "emerging.dev.conll": "knows", "emerging.test.annotated": "wants"}
    (raw / "wnut17").mkdir()
    for file, verb in files.items():
        text = column_text(sentences(verb, "person", "location", "corporation", "product"), "wnut")
        (raw / "wnut17" / file).write_text(text, encoding="utf-8")
    trial = Workspace(tmp_path, load_params(root, "cpu"))
    (tmp_path / "expected").mkdir()
    stage.accept(trial, "en", folder=tmp_path / "expected")
    return trial


def validate(workspace: Workspace) -> dict:
    """The report, whether the gate opens or not; that it agrees with the outcome is checked here."""
    error = None
    try:
        stage.run(workspace, "en", folder=workspace.root / "expected")
    except NerError as raised:
        error = raised
    report = json.loads((workspace.paths.validation("en") / "report.json").read_text())
    assert report["passed"] is (error is None)
    if error:
        assert report["breaches"]
        for breach in report["breaches"]:
            assert breach["message"] in str(error)
            assert breach["rows"][0] in str(error)
    return report


def edit(workspace: Workspace, file: str, change: Callable[[str], str]) -> None:
    path = workspace.raw / file
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def broken(report: dict) -> dict[tuple[str, str], list[str]]:
    return {(breach["suite"], breach["column"]): breach["rows"] for breach in report["breaches"]}


def test_what_was_accepted_passes_and_the_report_is_the_same_each_time(workspace: Workspace) -> None:
    report = validate(workspace)
    assert report["breaches"] == []
    assert report["counts"]["conll2003"]["train"]["entities"] == 30
    written = (workspace.paths.validation("en") / "report.json").read_bytes()
    validate(workspace)
    assert (workspace.paths.validation("en") / "report.json").read_bytes() == written


@pytest.mark.faults("an illegal tag")
def test_an_illegal_tag_is_named_by_file_and_line(workspace: Workspace) -> None:
    edit(workspace, "conll2003/valid.txt", lambda text: text.replace("Torrent X Y I-PER", "Torrent X Y I-LOC", 1))
    with pytest.raises(NerError, match=r"^conll2003/valid\.txt:4: ") as raised:
        stage.run(workspace, "en", folder=workspace.root / "expected")
    assert "validation/docs/index.html" in str(raised.value)
    docs = workspace.paths.validation("en") / "docs"
    assert "conll2003/valid.txt:4" in (docs / "index.html").read_text(encoding="utf-8")
    page = next((docs / "validations").rglob("corpora-files.html")).read_text(encoding="utf-8")
    assert "conll2003/valid.txt:4" in page
    assert "en-dev-sentences" not in [suite["name"] for suite in validate(workspace)["suites"]]


def test_a_missing_file_is_named(workspace: Workspace) -> None:
    (workspace.paths.raw / "wnut17" / "emerging.dev.conll").unlink()
    assert broken(validate(workspace)) == {("files", "readable"): ["wnut17/emerging.dev.conll"]}


def test_counts_are_exact(workspace: Workspace) -> None:
    extra = column_text([[("Only", "O"), ("this", "O")]], "wnut")
    edit(workspace, "wnut17/wnut17train.conll", lambda text: text + extra)
    breaches = broken(validate(workspace))
    suite = "wnut17-train-sentences"
    assert set(breaches) == {(suite, ""), (suite, "document"), (suite, "tokens")}
    assert breaches[suite, "document"] == ["wnut17/wnut17train.conll"]


def test_another_type_breaks_the_counts_of_both(workspace: Workspace) -> None:
    edit(workspace, "conll2003/train.txt", lambda text: text.replace("Vale X Y B-LOC", "Vale X Y B-ORG"))
    suite = "conll2003-train-entities"
    assert set(broken(validate(workspace))) == {(suite, "is_LOC"), (suite, "is_ORG")}


def test_shares_out_of_bounds(workspace: Workspace) -> None:
    for file in ("conll2003/train.txt", "wnut17/wnut17train.conll"):
        edit(workspace, file, lambda text: re.sub("B-(MISC|product)", "O", text))
    stage.accept(workspace, "en", folder=workspace.root / "expected")
    breaches = broken(validate(workspace))
    assert ("en-train-entities", "is_MISC") in breaches
    assert ("conll2003-train-entities", "is_MISC") in breaches


def test_a_sentence_and_an_entity_too_long(workspace: Workspace) -> None:
    long = [("Sehr", "B-location"), *[("lang", "I-location")] * 260]
    edit(workspace, "wnut17/wnut17train.conll", lambda text: text + column_text([long], "wnut"))
    stage.accept(workspace, "en", folder=workspace.root / "expected")
    breaches = broken(validate(workspace))
    assert breaches["wnut17-train-sentences", "tokens"] == ["wnut17/wnut17train.conll:81"]
    assert breaches["wnut17-train-entities", "tokens"] == ["wnut17/wnut17train.conll:81"]
    assert ("en-train-sentences", "tokens") in breaches


def test_a_new_duplicate_is_named(workspace: Workspace) -> None:
    edit(workspace, "wnut17/wnut17train.conll", lambda text: text + text.partition("\n\n")[0] + "\n\n")
    breaches = broken(validate(workspace))
    assert breaches["wnut17-train-sentences", "excess_repeat"] == ["wnut17/wnut17train.conll:81"]
    assert ("wnut17-train-sentences", "repeated") in breaches


@pytest.mark.faults("test sentences in the training data")
def test_leakage_into_the_training_set_is_named(workspace: Workspace) -> None:
    edit(workspace, "conll2003/train.txt", lambda text: text.replace("left", "met", 1))
    breaches = broken(validate(workspace))
    leaked = ["conll2003/test.txt:3"]
    assert breaches == {
        ("conll2003-test-sentences", "excess_repeat"): leaked,
        ("conll2003-test-sentences", "in_train"): leaked,
        ("en-test-leakage", "in_training"): leaked,
    }


def test_leakage_from_one_corpus_into_another(workspace: Workspace) -> None:
    edit(workspace, "wnut17/wnut17train.conll", lambda text: text.replace("likes", "met", 1))
    assert broken(validate(workspace)) == {("en-test-leakage", "in_training"): ["conll2003/test.txt:3"]}


def test_data_docs_are_whole_load_nothing_and_show_no_text(workspace: Workspace) -> None:
    edit(workspace, "conll2003/train.txt", lambda text: text.replace("left", "met", 1))
    validate(workspace)
    docs = workspace.paths.validation("en") / "docs"
    pages = list(docs.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(src|href)=[\"']?https?:|<script|@import", text), page
        assert "Brindlow" not in text
        links = re.findall(r'href="([^"#]+)"', text)
        assert links, page
        assert [link for link in links if not (page.parent / link).exists()] == [], page


def test_the_bundled_samples_have_no_counts(workspace: Workspace) -> None:
    prepare = workspace.params["prepare"] | {"raw": "data/samples"}
    samples = Workspace(workspace.root, workspace.params | {"prepare": prepare})
    shutil.copytree(workspace.raw, samples.raw)
    edit(samples, "wnut17/wnut17train.conll", lambda text: text + column_text([[("Only", "O")]], "wnut"))
    stage.run(samples, "en")
    with pytest.raises(NerError, match="bundled samples"):
        stage.accept(samples, "en")


def test_accept_refuses_what_cannot_be_read(workspace: Workspace) -> None:
    before = (workspace.root / "expected" / "expected.yaml").read_bytes()
    edit(workspace, "conll2003/valid.txt", lambda text: text.replace("Torrent X Y I-PER", "Torrent I-PER", 1))
    with pytest.raises(NerError, match=r"conll2003/valid\.txt:4"):
        stage.accept(workspace, "en", folder=workspace.root / "expected")
    assert (workspace.root / "expected" / "expected.yaml").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(("language", "suites"), [("en", 18), ("ru", 14)])
def test_the_published_corpora_pass(corpora: Path, tmp_path: Path, root: Path, language: str, suites: int) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raw").symlink_to(corpora)
    workspace = Workspace(tmp_path, load_params(root, "cpu"))
    stage.run(workspace, language)
    report = json.loads((workspace.paths.validation(language) / "report.json").read_text())
    assert len(report["suites"]) == suites
    if language == "en":
        assert report["counts"]["conll2003"]["test"]["overlaps"] == {"train": 126, "dev": 50}
    else:
        assert report["counts"]["factrueval-name"]["devset"]["entities"] == 2330
