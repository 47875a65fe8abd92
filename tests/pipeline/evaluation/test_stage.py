"""The stage as a whole, with a predictor whose answers are known."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import write_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.ensemble.identity import load_ensemble, model_hash
from multiner.pipeline.evaluation import stage
from multiner.pipeline.evaluation.metrics import figures, with_sub_parts
from multiner.pipeline.evaluation.plots import confusion_rows
from multiner.pipeline.evaluation.predictions import EvaluatedPart, chunks
from multiner.pipeline.models.training_documents import read_part
from multiner.pipeline.registry import lineage

from .conftest import TYPES, FakeEnsemble, make_documents

HISTORY = [
    {"step": 10, "epoch": 1, "loss": 0.5, "dev_f1": 40.0, "seconds": 60.0},
    {"step": 20, "epoch": 2, "loss": 0.2, "dev_f1": None, "seconds": 90.0},
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    params = {
        "profile": "tiny",
        "seed": 13,
        "languages": {"en": {"types": TYPES, "train_on": ["invented"], "report_on": ["invented", "other-gold"]}},
        "prepare": {},
        "transformer": {"threads": 1},
        "ensemble": {"legs": ["transformer", "spacy"]},
        "evaluate": {"bootstrap": 50, "worst_sentences": 20},
    }
    workspace = Workspace(tmp_path_factory.mktemp("workspace"), params)
    folder = workspace.paths.documents("en")
    for corpus in ("invented", "other-gold"):
        for split in ("train", "dev", "test"):
            write_jsonl(folder / f"{corpus}.{split}.jsonl", make_documents(corpus, split))
    write_json(workspace.paths.leg("en", "transformer") / "history.json", HISTORY)
    write_json(workspace.paths.leg("en", "transformer") / "leg.json", {"trained_in": "fp32"})
    write_json(workspace.paths.leg("en", "spacy") / "history.json", HISTORY[:1])
    write_json(workspace.paths.ensemble("en"), {"language": "en", "types": TYPES, "members": [], "chooser": None})
    return workspace


@pytest.fixture(scope="module")
def ran(workspace: Workspace, ensemble: FakeEnsemble) -> Workspace:
    stage.evaluate(workspace, "en", ensemble)
    return workspace


class Tags(HTMLParser):
    """Counts elements; notes the pieces of text inside marks and every address."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_metrics_file(ran: Workspace) -> None:
    metrics = read_json(ran.paths.metrics("en"))
    assert metrics["minutes"] == {"transformer": 1.5, "spacy": 1.0, "total": 2.5}
    assert len(metrics["data_hash"]) == 64
    assert metrics["precision"] == "fp32"
    assert metrics["commit"] is None, "the temporary folder is no repository"
    scores = metrics["corpora"]["invented"]
    assert set(scores) == {"dev", "dev_tune", "dev_gate", "test", "test_without_overlap"}
    assert {system: row["f1"] for system, row in scores["test"].items()} == {
        "transformer": 40.0,
        "spacy": 100.0,
        "ensemble": 100.0,
    }
    # the test sentences are those of the training part: without them nothing is left
    assert metrics["overlapping_sentences"]["invented"] == 3
    assert scores["test_without_overlap"]["ensemble"]["support"] == 0
    assert metrics["significance"]["invented"]["test"]["against"] == "spacy"
    assert metrics["significance"]["invented"]["test"]["difference"] == 0.0
    whole = scores["test"]["spacy"]["calibration"]
    by_genre = scores["test"]["spacy"]["calibration_by_genre"]
    assert by_genre["edited"] == {"ece": None, "ece_of_chance": None, "brier": None, "count": 0}
    assert by_genre["posts"]["ece"] == whole["ece"], "the invented documents are short"
    assert by_genre["posts"]["count"] == sum(row["count"] for row in whole["bins"])


def test_the_figures_say_which_model_they_are_of(ran: Workspace) -> None:
    hashes = read_json(ran.paths.metrics("en"))["model_hash"]
    legs = {leg: ran.paths.leg("en", leg) for leg in ("transformer", "spacy")}
    assert hashes == model_hash(ran.paths.ensemble("en"), legs)
    assert set(hashes["legs"]) == {"transformer", "spacy"}
    assert len(hashes["ensemble"]) == 64


def test_a_damaged_ensemble_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ensemble.json"
    for content in (b'{"language": "en", "typ', b"\xff", b"[]", b'{"language": "en"}'):
        file.write_bytes(content)
        with pytest.raises(NerError) as caught:
            load_ensemble(file, {})
        assert caught.value.where == str(file)
        assert "dvc repro" in caught.value.remedy
    with pytest.raises(NerError, match="cannot be read"):
        load_ensemble(tmp_path / "none", {})


def test_a_commit_is_marked_where_what_makes_the_figures_was_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        process = subprocess.run(["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return process.stdout.strip()

    git("init", "-q")
    for name in ("params.yaml", "dvc.lock", "metrics/cpu/en.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    head = git("rev-parse", "HEAD")
    assert stage.git_commit(tmp_path) == head
    for name in ("dvc.lock", "metrics/cpu/en.json"):
        (tmp_path / name).write_text("2\n")
    assert stage.git_commit(tmp_path) == head, "a run itself writes these"
    assert stage.git_commit(tmp_path / "metrics") == head
    (tmp_path / "params.yaml").write_text("2\n")
    assert stage.git_commit(tmp_path) == f"{head}+changed"
    git("add", "params.yaml")
    assert stage.git_commit(tmp_path / "metrics") == f"{head}+changed"


def test_without_a_repository_the_commit_is_that_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NER_COMMIT", raising=False)
    assert (stage.git_commit(tmp_path), lineage.commit(tmp_path)) == (None, "")
    monkeypatch.setenv("NER_COMMIT", "0123abcd")
    assert (stage.git_commit(tmp_path), lineage.commit(tmp_path)) == ("0123abcd", "0123abcd")
    monkeypatch.setenv("PATH", str(tmp_path))  # no git either
    assert (stage.git_commit(tmp_path), lineage.commit(tmp_path)) == ("0123abcd", "0123abcd")


def test_every_system_has_token_f1_and_calibration(ran: Workspace) -> None:
    metrics = read_json(ran.paths.metrics("en"))
    weak = metrics["corpora"]["invented"]["test"]["transformer"]
    # PER: 2 of 4 gold tokens found, nothing spurious
    assert weak["token_f1"]["PER"] == pytest.approx(200 * 2 / 6, abs=1e-4)
    # of five predictions two are right
    assert [(row["score"], row["accuracy"]) for row in weak["calibration"]["bins"]] == [
        (0.5, 0.0), (0.6, 0.0), (0.7, 1.0), (0.8, 1.0), (0.9, 0.0)
    ]  # fmt: skip
    assert weak["calibration"]["ece"] == pytest.approx((0.5 + 0.6 + 0.3 + 0.2 + 0.9) / 5)
    assert weak["calibration"]["brier"] == pytest.approx((0.25 + 0.36 + 0.09 + 0.04 + 0.81) / 5)


def test_so_few_documents_show_no_precision(ran: Workspace) -> None:
    limits = read_json(ran.paths.metrics("en"))["thresholds"]["invented"]
    assert limits.keys() >= {"transformer", "ensemble"}
    assert {limit["score"] for table in limits.values() for limit in table.values()} == {None}


def test_raw_text_stands_beside_the_tokens(ran: Workspace) -> None:
    raw = read_json(ran.paths.metrics("en"))["raw_text"]["invented"]
    # the predictor knows the second document only: its text is the same when written out
    assert (raw["tokenised_f1"], raw["precision"], raw["recall"]) == (100.0, 100.0, 40.0)
    assert raw["difference"] == pytest.approx(raw["f1"] - 100.0)


def test_the_report_shows_them(ran: Workspace) -> None:
    page = (ran.paths.report("en") / "report-public.html").read_text(encoding="utf-8")
    for part in ("token F1 PER", "ECE", "Brier", "not reached", "From raw text", "Reliability of scores"):
        assert part in page
    with (ran.paths.report("en") / "plots" / "reliability.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["score"], row["accuracy"]) for row in rows} == {("0.9", "1.0")}
    assert sum(int(row["count"]) for row in rows) == 5


def test_the_same_run_gives_the_same_figures(ran: Workspace, ensemble: FakeEnsemble) -> None:
    before = ran.paths.metrics("en").read_bytes()
    picture = (ran.paths.report("en") / "plots" / "confusion.png").read_bytes()
    stage.evaluate(ran, "en", ensemble)
    assert ran.paths.metrics("en").read_bytes() == before
    assert (ran.paths.report("en") / "plots" / "confusion.png").read_bytes() == picture


def test_the_same_text_is_predicted_once(workspace: Workspace, ensemble: FakeEnsemble) -> None:
    ensemble.asked.clear()
    predicted = stage.evaluate_parts(ensemble, workspace, "en")
    assert [(part.corpus, part.split) for part in predicted] == [
        (corpus, split) for corpus in ("invented", "other-gold") for split in ("dev", "test")
    ]
    assert ensemble.asked == ["dev-1", "dev-2"], "all parts carry the same text here"


def test_report_folder(ran: Workspace) -> None:
    folder = ran.paths.report("en")
    page = (folder / "index.html").read_text(encoding="utf-8")
    parsed = Tags(page)
    assert "Quill" in page
    assert "article" in parsed.tags
    assert parsed.addresses
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses), "no outside assets"
    with (folder / "plots" / "learning_curves.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["leg"] for row in rows] == ["transformer", "transformer", "spacy"]
    assert (rows[0]["dev_f1"], rows[1]["dev_f1"]) == ("40.0", "")
    assert (folder / "plots" / "confusion.csv").read_text(encoding="utf-8").startswith("actual,predicted\n")
    for name in ("confusion", "learning_curves", "reliability", "f1"):
        assert (folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_no_corpus_text_where_it_may_leave_the_machine(ran: Workspace) -> None:
    folder = ran.paths.report("en")
    shared = [folder / "report-public.html", *(folder / "predictions").iterdir(), *(folder / "plots").glob("*.csv")]
    words = {word for document in make_documents("", "test") for word in document.words() if word.isalpha()}
    names = {word for word in words if word[0].isupper()}
    for path in shared:
        text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", path.read_text(encoding="utf-8"))
        assert not [word for word in names if word in text], path.name
    assert "article" not in Tags(shared[0].read_text(encoding="utf-8")).tags


def test_predictions_hold_spans_of_every_system(ran: Workspace) -> None:
    lines = (ran.paths.report("en") / "predictions" / "invented.test.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    assert list(first) == ["id", "gold", "transformer", "spacy", "ensemble"]
    assert first["gold"][0] == [0, 2, "PER", None]
    assert first["transformer"][0] == [0, 1, "PER", 0.9]


def test_corpus_text_is_escaped(ran: Workspace) -> None:
    page = (ran.paths.report("en") / "index.html").read_text(encoding="utf-8")
    # "Brill & Sons <b> wept" stands in a sentence without errors; make one with errors
    assert "<b>" not in page
    documents = make_documents("invented", "test")
    nothing = [(), ()]
    part = EvaluatedPart("invented", "test", documents, {"spacy": nothing, "ensemble": nothing})
    metrics = read_json(ran.paths.metrics("en"))
    scores = metrics["corpora"]["invented"]["test"]
    view = stage.section(part, {name: scores[name] for name in part.systems}, TYPES, 10)
    page = stage.report([view], metrics, TYPES, with_text=True, images={})
    assert "Brill &amp; Sons" in page
    assert "&lt;b&gt;" in page
    assert "b" not in Tags(page).tags


def test_missing_documents_are_named(workspace: Workspace) -> None:
    with pytest.raises(NerError, match=r"missing") as caught:
        read_part(workspace, "en", "absent", "dev")
    assert caught.value.where.endswith("absent.dev.jsonl")


def test_the_halves_make_the_whole(part: EvaluatedPart) -> None:
    dev = EvaluatedPart("invented", "dev", part.documents, part.systems)
    whole, tune, gate = with_sub_parts(dev, set())
    assert [piece.split for piece in (whole, tune, gate)] == ["dev", "dev_tune", "dev_gate"]
    assert len(tune.documents) + len(gate.documents) == len(whole.documents)
    assert {document.half() for document in tune.documents} <= {"tune"}


def test_overlap_is_left_out_of_gold_and_predictions(part: EvaluatedPart) -> None:
    whole, rest = with_sub_parts(part, {("test-1", 0)})
    assert rest.split == "test_without_overlap"
    result = figures([whole, rest], TYPES, resamples=20, seed=1, further_scores=lambda _: {})["corpora"]["invented"]
    assert result["test"]["transformer"]["support"] == 5
    # left: Brill & Sons, Tam found; Ida missed; one spurious
    left = result["test_without_overlap"]["transformer"]
    assert (left["support"], left["precision"], left["recall"]) == (3, 66.6667, 66.6667)


def test_an_empty_half_gives_no_comparison(part: EvaluatedPart) -> None:
    empty = part.where("dev_gate", lambda _: False)
    result = figures([empty], TYPES, resamples=20, seed=1, further_scores=lambda _: {})
    assert result["significance"]["invented"]["dev_gate"] is None
    assert result["corpora"]["invented"]["dev_gate"]["ensemble"]["f1"] == 0.0


def test_chunks_keep_every_document_in_order(part: EvaluatedPart) -> None:
    groups = list(chunks(part.documents * 3, tokens=12))
    assert [document.id for group in groups for document in group] == [d.id for d in part.documents * 3]
    assert len(groups) > 1


def test_confusion_rows_are_a_row_a_token(part: EvaluatedPart) -> None:
    from multiner.pipeline.evaluation.scores import token_confusion

    rows = confusion_rows(token_confusion(part.documents, part.systems["transformer"], TYPES), TYPES)
    assert len(rows) == 16 - 7
    assert rows.count(("ORG", "ORG")) == 3
    assert ("O", "O") not in rows
