"""``ner compare``: two versions on the same documents; figures for programs, sentences for the terminal alone."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from multiner.pipeline.audit import comparison as audit
from multiner.pipeline.cli import commands
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, Span, from_words, write_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import register

TYPES = ["PER", "LOC"]


def documents(corpus: str, count: int) -> list[Document]:
    spans = [Span(0, 1, "PER"), Span(2, 3, "LOC")]
    return [from_words(f"{corpus}-{n}", [["Ada", "saw", "Oslo", "."]], spans, corpus=corpus) for n in range(count)]


def test_scores_by_corpus_and_type() -> None:
    corpora = {"one": documents("one", 4), "two": documents("two", 2), "none": []}
    gold = [list(document.spans) for part in corpora.values() for document in part]
    without_places = [[span for span in spans if span.label != "LOC"] for spans in gold]
    rows = audit.paired_scores(audit.GATE, corpora, without_places, gold, TYPES, resamples=50, seed=1)
    assert [(row.corpus, row.type, row.documents, row.spans) for row in rows] == [
        ("all", "all", 6, 12),
        ("one", "all", 4, 8),
        ("one", "PER", 4, 4),
        ("one", "LOC", 4, 4),
        ("two", "all", 2, 4),
        ("two", "PER", 2, 2),
        ("two", "LOC", 2, 2),
    ]
    assert [round(row.first, 2) for row in rows[:4]] == [66.67, 66.67, 100.0, 0.0]
    assert {row.second for row in rows} == {100.0}
    assert (rows[3].interval.low, rows[3].interval.high) == (100.0, 100.0)
    tested = audit.paired_scores(audit.TEST, corpora, gold, gold, TYPES, resamples=50, seed=1)
    assert [row.corpus for row in tested] == ["one"] * 3 + ["two"] * 3, "test parts may be the same texts twice"
    only = audit.paired_scores(
        audit.GATE, {"one": corpora["one"]}, gold[:4], gold[:4], [*TYPES, "ORG"], resamples=9, seed=1
    )
    assert [row.type for row in only] == ["all", "PER", "LOC"], "no row for a type that nobody has"


def test_sentences_in_which_they_differ() -> None:
    gold = documents("one", 5)
    first = [list(gold[0].spans), [], [], list(gold[3].spans), []]
    second = [[], list(gold[1].spans), [Span(0, 1, "PER")], list(gold[3].spans), []]
    found = audit.different_sentences(gold, first, second, TYPES, 10)
    assert [each.document for each in found] == ["one-1", "one-2", "one-0"]
    assert found[1].text == "Ada saw Oslo ."
    assert (found[1].gold, found[1].first, found[1].second) == (["Ada/PER", "Oslo/LOC"], [], ["Ada/PER"])
    assert [each.document for each in audit.different_sentences(gold, first, second, TYPES, 2)] == ["one-1", "one-0"]
    assert audit.different_sentences(gold, first, second, ["ORG"], 10) == []


@pytest.mark.slow
@pytest.mark.usefixtures("store", "in_process")
def test_two_registered_versions(workspace, fill, good_leg, worse_leg, monkeypatch) -> None:  # noqa: ANN001
    for leg in (worse_leg, good_leg):
        fill(leg)
        register(workspace, "en")
    folder = workspace.paths.documents("en")
    write_jsonl(folder / "wnut17.test.jsonl", documents("wnut17", 3))
    monkeypatch.setattr(Workspace, "load", lambda: workspace)
    output = CliRunner().invoke(commands, ["compare", "1", "2", "-l", "en", "--examples", "1"]).output
    for text in (
        "ner-en: version 2 against version 1",
        "Gate halves",
        "Test parts (to report, not to choose by)",
        "saw",
        "gold:",
    ):
        assert text in output, output
    plain = CliRunner().invoke(commands, ["compare", "1", "2", "-l", "en", "--json"]).output
    content = json.loads(plain[plain.index("{") :])
    assert "saw" not in plain
    assert "sentences" not in content
    gate = content["scores"][0]
    assert (gate["part"], gate["corpus"], gate["type"]) == (audit.GATE, "all", "all")
    assert gate["second"] > gate["first"]
    assert {row["corpus"] for row in content["scores"] if row["part"] == audit.TEST} == {"wnut17"}
    with pytest.raises(NerError, match="no version 9"):
        audit.compare(workspace, "en", "1", "9")
