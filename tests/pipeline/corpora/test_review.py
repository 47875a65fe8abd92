"""The review queue: what is kept, safe under many writers, bounded, and read back as a corpus."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from multiner.pipeline.cli import commands
from multiner.pipeline.config.corpora import published
from multiner.pipeline.core.document import Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.conll import read_columns
from multiner.pipeline.corpora.review_queue import FORMAT, CorrectedSentence, QueueFull, ReviewQueue, sentences
from multiner.pipeline.text.tokenizer import document_from_text

TYPES = published()["conll2003"].types

TEXT = "Ingrid Halvorsen flew to Oslo. Nobody met her there. Then came Tomás Arroyo."


def sentence(word: str, tag: str = "O") -> CorrectedSentence:
    return CorrectedSentence((word, "."), (tag, "O"))


def add_many(folder: Path, start: int) -> None:
    queue = ReviewQueue(folder, 1_000_000)
    for number in range(start, start + 20):
        queue.add("en", [sentence(f"w{number}"), sentence("shared")], "ner-en/1")


def test_only_the_sentences_of_a_change_are_kept() -> None:
    document = document_from_text(TEXT, "en").with_spans([Span(0, 2, "PER"), Span(4, 5, "LOC")])
    (correction,) = sentences(document, [(25, 29)])
    assert correction.words == ("Ingrid", "Halvorsen", "flew", "to", "Oslo", ".")
    assert correction.tags == ("B-PER", "I-PER", "O", "O", "B-LOC", "O")
    assert [each.words[0] for each in sentences(document)] == ["Ingrid", "Nobody", "Then"]
    assert list(sentences(document_from_text("", "en"))) == []


def test_sentences_that_an_entity_reaches_across_are_one() -> None:
    document = document_from_text(TEXT, "en").with_spans([Span(4, 7, "ORG")])
    assert [len(each.words) for each in sentences(document)] == [11, 5]


def test_what_is_written_out_reads_back_as_a_corpus(tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path / "review", 10_000)
    document = document_from_text(TEXT, "en").with_spans([Span(0, 2, "PER"), Span(4, 5, "LOC")])
    assert queue.add("en", list(sentences(document)), "ner-en/3") == 3
    assert queue.export("en", tmp_path / "out.conll") == 3
    documents = read_columns(tmp_path / "out.conll", FORMAT, TYPES)
    assert [[document.span_text(span) for span in document.spans] for document in documents] == [
        ["Ingrid Halvorsen", "Oslo"],
        [],
        [],
    ]
    assert (tmp_path / "out.conll").read_bytes() == queue.path("en").read_bytes()


def test_the_same_is_kept_once_and_the_last_correction_counts(tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path, 10_000)
    first, second = sentence("Oslo"), sentence("Oslo", "B-LOC")
    assert [queue.add("en", [each], "ner-en/1") for each in (first, first, second, second)] == [1, 0, 1, 0]
    queue.add("en", [sentence("Bergen")], "ner-en/2")
    assert [(each.words[0], each.tags[0], each.model) for each in queue.read("en")] == [
        ("Oslo", "B-LOC", "ner-en/1"),
        ("Bergen", "O", "ner-en/2"),
    ]
    assert first.id == second.id


def test_many_writers_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    context = get_context("fork")
    writers = [context.Process(target=add_many, args=(tmp_path, start)) for start in range(0, 80, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(each.words[0] for each in ReviewQueue(tmp_path, 0).read("en")) == sorted(
        [*(f"w{number}" for number in range(80)), "shared"]
    )
    assert (tmp_path / "en.conll").read_text().count("shared") == 1


def test_a_full_queue_refuses_and_stays_as_it_was(tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path, 300)
    queue.add("en", [sentence("Oslo")], "ner-en/1")
    before = queue.path("en").read_bytes()
    with pytest.raises(QueueFull, match="full"):
        queue.add("en", [sentence("B" * 300)], "ner-en/1")
    assert queue.path("en").read_bytes() == before
    assert queue.add("en", [sentence("Oslo")], "ner-en/1") == 0, "what is known needs no room"


def test_a_disk_that_is_full_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import multiner.pipeline.corpora.review_queue as module

    queue, write, calls = ReviewQueue(tmp_path, 10_000), module.os.pwrite, []

    def short(handle: int, data: bytes, at: int) -> int:
        calls.append(at)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(handle, data[:5], at)

    queue.add("en", [sentence("Oslo")], "ner-en/1")
    before = queue.path("en").read_bytes()
    monkeypatch.setattr(module.os, "pwrite", short)
    with pytest.raises(OSError, match="No space"):
        queue.add("en", [sentence("Bergen")], "ner-en/1")
    assert queue.path("en").read_bytes() == before


def test_clearing_takes_what_was_written_out(tmp_path: Path) -> None:
    queue = ReviewQueue(tmp_path, 10_000)
    queue.add("ru", [sentence("Осло", "B-LOC")], "ner-ru/1")
    assert queue.export("ru", tmp_path / "out.conll", clear=True) == 1
    assert queue.read("ru") == []
    with pytest.raises(NerError, match="no corrections"):
        queue.export("ru", tmp_path / "again.conll")
    assert not (tmp_path / "again.conll").exists()
    assert queue.add("ru", [sentence("Осло", "B-LOC")], "ner-ru/1") == 1


def test_a_word_that_begins_like_a_boundary_is_a_word(tmp_path: Path) -> None:
    document = document_from_text("Anna Berg removed all -DOCSTART-s in Oslo. Bo slept.", "en")
    corrected = list(sentences(document.with_spans([Span(0, 2, "PER")])))
    queue = ReviewQueue(tmp_path, 10_000)
    assert [queue.add("en", corrected, "ner-en/1") for _ in range(2)] == [2, 0]
    read = queue.read("en")
    assert [(each.words, each.tags, each.model) for each in read] == [
        (each.words, each.tags, "ner-en/1") for each in corrected
    ]
    assert "-DOCSTART-s" in read[0].words
    queue.export("en", tmp_path / "out.conll")
    assert [tuple(each.words()) for each in read_columns(tmp_path / "out.conll", FORMAT, TYPES)] == [
        each.words for each in corrected
    ]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NerError, match="-DOCSTART-"):
        list(sentences(document_from_text("see -DOCSTART- here", "en")))
    ReviewQueue(tmp_path, 0).path("en").write_text("-DOCSTART- 1 2 3\n\nOslo B-LOC\n")
    with pytest.raises(NerError) as error:
        ReviewQueue(tmp_path, 0).read("en")
    assert str(error.value).startswith(f"{tmp_path / 'en.conll'}:3")


def test_the_command_lists_writes_and_clears(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    assert params["serving"]["review"] is False, "nothing is kept unless it is asked for"
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "cpu.yaml").write_text((root / "params" / "cpu.yaml").read_text())
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.setenv("NER_ROOT", str(tmp_path))
    ReviewQueue(tmp_path / "data" / "review", 10_000).add("en", [sentence("Oslo", "B-LOC")], "ner-en/7")

    def ner(*arguments: str) -> str:
        result = CliRunner().invoke(commands, ["review", *arguments])
        return result.output if result.exit_code == 0 else f"failed: {result.output}{result.exception}"

    assert "en: 1 sentences, the latest at 20" in ner()
    assert "(ner-en/7)" in ner("-l", "en")
    assert "ru: 0 sentences" in ner()
    assert "failed" in ner("--clear")
    assert "failed" in ner("--output", str(tmp_path / "out.conll"))
    assert "unknown language" in ner("-l", "xx")
    assert "1 sentences, and the queue is empty" in ner("-l", "en", "-o", str(tmp_path / "out.conll"), "--clear")
    assert "Oslo\tB-LOC\n" in (tmp_path / "out.conll").read_text()
    assert "en: 0 sentences" in ner()
