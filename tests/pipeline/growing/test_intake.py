"""Growing corpora: what is taken in, what is left out, what is refused, and what trains."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from multiner.pipeline.cli import commands
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, Span, read_jsonl
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import TRANSIENT, NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.corpora import prepare, read_corpus
from multiner.pipeline.corpora.growing import read_growing
from multiner.pipeline.corpora.review_queue import CorrectedSentence, ReviewQueue
from multiner.pipeline.corpora.uncertain_texts import UncertainTexts
from multiner.pipeline.growing import intake
from multiner.pipeline.growing.declaration import growing_corpus
from multiner.pipeline.growing.intake import import_file, take_in
from multiner.pipeline.models.training_documents import read_training
from multiner.pipeline.validation import stage

Declare = Callable[..., Workspace]
INBOX = "inbox/tickets.jsonl"


def record(text: str, **entities: str) -> dict[str, Any]:
    """A record of a text; the keywords are labels, and the values the entities' texts."""
    places = [(text.index(name), text.index(name) + len(name), label) for label, name in entities.items()]
    return {"text": text, "entities": [{"start": start, "end": end, "label": label} for start, end, label in places]}


def write_lines(path: Path, *records: dict[str, Any]) -> None:
    """A file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records), encoding="utf-8")


OSLO = record("Ingrid Halvorsen flew to Oslo.", PER="Ingrid Halvorsen", LOC="Oslo")
BERGEN = record("Nobody met her in Bergen.", LOC="Bergen")


def take(workspace: Workspace, name: str = "tickets") -> bool:
    """Without a check of the bounds, which takes seconds."""
    return take_in(workspace, accept=name)


def accepted(workspace: Workspace, name: str = "tickets") -> list[Document]:
    return list(read_growing(workspace.paths.raw / name).values())


def batches(workspace: Workspace, name: str = "tickets") -> list[str]:
    return sorted(path.name for path in (workspace.paths.raw / name).glob("*.jsonl"))


def test_new_and_changed_texts_are_taken_in_once(declare: Declare, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = declare(tickets={"source": INBOX})
    write_lines(workspace.root / INBOX, OSLO, OSLO)
    assert take_in(workspace)
    assert "tickets: took in 1 new and 0 changed texts; 1 accepted" in capsys.readouterr().out
    assert not take_in(workspace)
    assert "tickets: nothing to do, no new text (1 accepted)" in capsys.readouterr().out

    changed = record(OSLO["text"], PER="Ingrid Halvorsen")
    write_lines(workspace.root / INBOX, BERGEN, changed)
    assert take_in(workspace)
    assert "1 new and 1 changed texts; 2 accepted" in capsys.readouterr().out
    assert [[one.span_text(span) for span in one.spans] for one in accepted(workspace)] == [
        ["Bergen"],
        ["Ingrid Halvorsen"],
    ]
    first, second = batches(workspace)
    assert first.startswith("0001-")
    assert second.startswith("0002-")
    assert accepted(workspace)[0].source == f"{INBOX}:1"


def test_a_source_that_shrinks_takes_nothing_away(declare: Declare) -> None:
    workspace = declare(tickets={"source": INBOX})
    write_lines(workspace.root / INBOX, OSLO, BERGEN)
    take(workspace)
    write_lines(workspace.root / INBOX)
    assert not take(workspace)
    assert len(accepted(workspace)) == 2


def test_the_reviewed_corrections_are_a_source(declare: Declare) -> None:
    workspace = declare(tickets={"source": "review"})
    assert not take(workspace), "no queue yet"
    queue = ReviewQueue(workspace.paths.review, 10_000)
    queue.add("en", [CorrectedSentence(("Off", "to", "Tromsø"), ("O", "O", "O"))], "ner-en/1")
    queue.add("en", [CorrectedSentence(("Off", "to", "Tromsø"), ("O", "O", "B-LOC"))], "ner-en/1")
    assert take(workspace)
    (document,) = accepted(workspace)
    assert document.spans == (Span(2, 3, "LOC"),), "the latest correction"
    assert (document.source, document.sentences[0].line) == ("data/review/en.conll", 9)
    queue.export("en", workspace.root / "out.conll", clear=True)
    assert not take(workspace)
    assert len(accepted(workspace)) == 1


def test_one_source_refused_keeps_no_other_out(declare: Declare) -> None:
    workspace = declare(broken={"source": "gone.jsonl"}, tickets={"source": INBOX})
    write_lines(workspace.root / INBOX, OSLO)
    with pytest.raises(NerError, match="broken: no such file or folder"):
        take(workspace)
    assert len(accepted(workspace)) == 1


def test_what_may_pass_by_itself_is_tried_again(declare: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = declare(tickets={"source": INBOX})
    write_lines(workspace.root / INBOX, OSLO)

    def read_by_a_stage(*_: object) -> None:
        raise NerError("a stage reads it", transient=True)

    monkeypatch.setattr(intake, "writing", read_by_a_stage)
    with pytest.raises(NerError, match="tickets: a stage reads it") as caught:
        take(workspace)
    assert caught.value.exit_code == TRANSIENT


def test_sentences_of_development_and_test_parts_do_not_train(
    declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = declare(tickets={"source": INBOX})
    test = read_corpus(workspace.raw, "conll2003", "test")[0]
    sentence = test.text[test.tokens[0].start : test.tokens[test.sentences[0].end - 1].end]
    write_lines(workspace.root / INBOX, record(sentence.upper()), OSLO)
    take(workspace)
    assert "1 sentences stand in a development or test part and do not train" in capsys.readouterr().out
    prepare.run(workspace, "en")
    assert "tickets: left out 1 sentences" in capsys.readouterr().out
    folder = workspace.paths.documents("en")
    assert [one.text for one in read_jsonl(folder / "tickets.train.jsonl")] == [OSLO["text"]]
    assert list(read_jsonl(folder / "tickets.dev.jsonl")) == []
    assert read_json(folder / "summary.json")["tickets"]["train"]["left_out"] == 1


def test_a_document_loses_only_the_sentence_that_is_held_out(declare: Declare) -> None:
    workspace = declare(tickets={"source": INBOX})
    dev = read_corpus(workspace.raw, "conll2003", "dev")[0]
    words = dev.words(0, dev.sentences[0].end)
    rows = [
        *((word, "O") for word in words),
        None,
        ("In", "O"),
        ("Bergen", "B-LOC"),
        None,
        ("Then", "O"),
        ("Ada", "B-PER"),
    ]
    path = workspace.root / "inbox" / "tickets.conll"
    path.parent.mkdir()
    head = ["-DOCSTART- -X-", ""]
    path.write_text("\n".join([*head, *("" if row is None else "\t".join(row) for row in rows)]) + "\n")
    assert import_file(workspace, growing_corpus(workspace, "tickets"), path)
    assert len(accepted(workspace)[0].sentences) == 3, "what was taken in stays whole"
    prepare.run(workspace, "en")
    (document,) = read_jsonl(workspace.paths.documents("en") / "tickets.train.jsonl")
    assert [document.words(each.start, each.end) for each in document.sentences] == [["In", "Bergen"], ["Then", "Ada"]]
    assert [document.span_text(span) for span in document.spans] == ["Bergen", "Ada"]


def test_a_share_is_held_out_by_hash_and_stays_so(declare: Declare) -> None:
    texts = [record(f"Order {number} came from Bergen.", LOC="Bergen") for number in range(200)]
    workspace = declare(tickets={"source": INBOX, "heldout": 0.25})
    write_lines(workspace.root / INBOX, *texts[:100])
    take(workspace)
    before = {one.id: one.split for one in accepted(workspace)}
    write_lines(workspace.root / INBOX, *texts)
    take(workspace)
    after = {one.id: one.split for one in accepted(workspace)}
    assert 30 < sum(split == "dev" for split in after.values()) < 70
    assert before.items() <= after.items()


def test_a_batch_unlike_the_accepted_texts_is_refused_until_accepted(declare: Declare) -> None:
    workspace = declare(tickets={"source": INBOX})
    usual = [record(f"Order {number} came from Bergen.", LOC="Bergen") for number in range(60)]
    write_lines(workspace.root / INBOX, *usual)
    take_in(workspace)
    strange = [record(f"Parcel {number} went to Ingrid.", PER="Ingrid") for number in range(60)]
    write_lines(workspace.root / INBOX, *strange)
    with pytest.raises(NerError, match=r"(?s)60 new.*refused.*PER") as caught:
        take_in(workspace)
    assert "ner pull --accept tickets" in str(caught.value)
    assert len(accepted(workspace)) == 60
    lost = [record(f"Invoice {number} came from Bergen.") for number in range(60)]
    write_lines(workspace.root / INBOX, *lost)
    with pytest.raises(NerError, match=r"entities in a sentence; the accepted ones have 1\.00"):
        take_in(workspace)
    assert take_in(workspace, accept="tickets")
    assert len(accepted(workspace)) == 120


def test_a_small_batch_may_differ_by_chance(declare: Declare) -> None:
    workspace = declare(tickets={"source": INBOX})
    usual = [record(f"Order {n} came from Bergen.", **({"LOC": "Bergen"} if n % 3 else {})) for n in range(60)]
    write_lines(workspace.root / INBOX, *usual)
    take_in(workspace)
    write_lines(workspace.root / INBOX, record("A parcel for Ingrid.", PER="Ingrid"), record("Thank you!"))
    assert take_in(workspace)


def test_a_batch_that_no_corpus_may_hold_is_refused(declare: Declare) -> None:
    workspace = declare(tickets={"source": INBOX})
    write_lines(workspace.root / INBOX, {"tokens": ["a"] * 300, "tags": ["O"] * 300})
    with pytest.raises(NerError, match="Every sentence has 1 to 250 tokens") as caught:
        take_in(workspace)
    assert caught.value.where == f"{INBOX}:1"


def test_the_stage_validates_and_reports_what_was_taken_in(declare: Declare) -> None:
    workspace = declare(tickets={"source": INBOX}, later={})
    write_lines(workspace.root / INBOX, OSLO)
    take(workspace)
    stage.run(workspace, "en")
    report = read_json(workspace.paths.validation("en") / "report.json")
    assert {"tickets-sentences", "tickets-entities"} <= {suite["name"] for suite in report["suites"]}
    assert report["counts"]["tickets"]["accepted"]["entities"] == 2
    (file,) = (workspace.paths.raw / "tickets").glob("*.jsonl")
    file.write_text(file.read_text()[:40])
    with pytest.raises(NerError, match="damaged batch"):
        stage.run(workspace, "en")


def test_a_declared_corpus_without_texts_trains_nothing(declare: Declare) -> None:
    workspace = declare(tickets={})
    prepare.run(workspace, "en")
    folder = workspace.paths.documents("en")
    assert (folder / "tickets.train.jsonl").read_text() == (folder / "tickets.dev.jsonl").read_text() == ""


def test_without_growing_corpora_the_stages_write_what_they_wrote(declare: Declare) -> None:
    workspace = declare()
    prepare.run(workspace, "en")
    stage.run(workspace, "en")
    folder = workspace.paths.documents("en")
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"conll2003.{split}.jsonl" for split in ("dev", "test", "train")),
        "summary.json",
    ]
    assert "left_out" not in json.dumps(read_json(folder / "summary.json"))


def test_dvc_versions_each_batch(declare: Declare, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = declare(tickets={"source": INBOX})
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], cwd=workspace.root, env=quiet_environment(), check=True)
    write_lines(workspace.root / INBOX, OSLO)
    take(workspace)
    assert "versioned by DVC: tickets.dvc" in capsys.readouterr().out
    pointer = workspace.paths.raw / "tickets.dvc"
    before = pointer.read_text()
    write_lines(workspace.root / INBOX, BERGEN)
    assert take(workspace)
    after = pointer.read_text()
    assert before != after
    pointer.write_text(before)
    checkout = [*dvc, "checkout", "--force", "data/raw/tickets.dvc"]
    subprocess.run(checkout, cwd=workspace.root, env=quiet_environment(), check=True, capture_output=True)
    assert [one.text for one in accepted(workspace)] == [OSLO["text"]]


def test_from_a_doubtful_answer_by_label_studio_to_the_training(
    declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = declare(studio={})
    monkeypatch.setattr("multiner.pipeline.config.settings.Workspace.load", lambda: workspace)
    workspace.params["serving"]["review_uncertain"] = 5
    answer = [{"start": 0, "end": 6, "label": "ORG", "score": 0.4}]
    UncertainTexts(workspace.paths.review, 5, 10_000).offer("en", [("Tromsø was far away 🚒.", answer)], "ner-en/3")
    tasks, export = workspace.root / "tasks.json", workspace.root / "export.json"
    run = CliRunner().invoke
    done = run(commands, ["review", "-l", "en", "--export", "label-studio", "-o", str(tasks), "--clear"])
    assert done.exit_code == 0, done.output

    (task,) = read_json(tasks)
    (region,) = task["predictions"][0]["result"]
    region["value"]["labels"] = ["LOC"]
    export.write_text(json.dumps([task | {"id": 12, "annotations": [{"id": 1, "result": [region]}]}]))
    done = run(commands, ["corpus", "import", str(export), "-l", "en", "--corpus", "studio", "--accept"])
    assert done.exit_code == 0, done.output
    prepare.run(workspace, "en")
    train, tune = read_training(workspace, "en")
    (document,) = [one for one in train if one.corpus == "studio"]
    assert [(document.span_text(span), span.label) for span in document.spans] == [("Tromsø", "LOC")]
    assert document.source == "export.json: task 12"
    assert tune

    region["value"]["end"] = 4
    region["value"]["text"] = "Trom"
    export.write_text(json.dumps([task | {"id": 12, "annotations": [{"id": 1, "result": [region]}]}]))
    refused = run(commands, ["corpus", "import", str(export), "-l", "en", "--corpus", "studio", "--accept"])
    assert refused.exception.where == "export.json: task 12"
    assert "cuts a word" in refused.exception.message


def test_a_dry_run_says_what_is_new_and_takes_nothing_in(declare: Declare, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = declare(tickets={"source": INBOX})
    write_lines(workspace.root / INBOX, OSLO)
    assert not take_in(workspace, dry_run=True)
    assert capsys.readouterr().out == "tickets: would take in 1 new and 0 changed texts\n"
    assert accepted(workspace) == []


def test_undeclared_corpora_are_refused_with_what_to_write(declare: Declare) -> None:
    with pytest.raises(NerError, match="no growing corpus 'tickets'") as caught:
        growing_corpus(declare(), "tickets")
    assert "growing: {tickets: {language: en}}" in str(caught.value.remedy)


def test_labels_of_the_source_are_mapped(declare: Declare) -> None:
    workspace = declare(tickets={"source": INBOX, "types": {"city": "LOC", "colour": None}})
    write_lines(workspace.root / INBOX, record("A red bus to Bergen.", city="Bergen", colour="red"))
    take(workspace)
    assert [span.label for span in accepted(workspace)[0].spans] == ["LOC"]


def test_texts_that_only_the_pointer_stands_for_are_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "corrections.dvc").write_text("outs: []")
    with pytest.raises(NerError, match=r"not here(.|\n)*dvc pull .*corrections\.dvc"):
        read_growing(tmp_path / "corrections")
