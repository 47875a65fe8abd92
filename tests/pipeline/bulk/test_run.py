"""Annotating collections: the records, going on after an interruption, and what a second run refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyarrow.parquet import ParquetFile, read_table

from multiner.pipeline.bulk import run as bulk
from multiner.pipeline.bulk.collection import Fields
from multiner.pipeline.bulk.output import OutputOptions
from multiner.pipeline.cli import annotate as command
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.inference.isolated_process import ProcessFailed

DOCUMENTS = 10


def answer(text: str) -> dict[str, Any]:
    """The first word as a person, seen by one leg and not by the other."""
    word = text.split()[0]
    place = {"start": 0, "end": len(word), "label": "PER", "score": 0.875}
    nothing = {"start": None, "end": None, "label": None, "score": None}
    return {"entities": [{**place, "text": word, "legs": {"spacy": place, "transformer": nothing}}]}


class Model:
    """Stands in place of the processes: answers, remembers what it was asked, and fails when told to."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.threads: list[int | None] = []
        self.fails_at: str | None = None

    @contextmanager
    def conversation(self, folder: Path, threads: int | None = None) -> Iterator[Callable[[list[str]], Any]]:
        self.threads.append(threads)
        yield self.ask

    def ask(self, texts: list[str]) -> list[dict[str, Any]]:
        if self.fails_at in texts:
            raise ProcessFailed("exit status -9: ", killed=True)
        self.texts += texts
        return [answer(text) for text in texts]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model()
    monkeypatch.setattr(bulk, "conversation", made.conversation)
    monkeypatch.setenv("NER_THREADS", "4")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an MLflow model for English."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("metadata: {language: en}\n", encoding="utf-8")
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    source.mkdir()
    rows = [{"key": row, "body": f"Ada{row} slept"} for row in range(DOCUMENTS)]
    (source / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return source


class Annotate:
    """A run of the collection ``source``, with options that differ."""

    def __init__(self, tmp_path: Path, folder: Path, source: Path) -> None:
        params = {"profile": "tiny", "languages": {code: {"types": ["PER"]} for code in ("en", "ru")}}
        self.workspace = Workspace(tmp_path / "workspace", params)
        self.folder, self.source, self.output = folder, source, tmp_path / "out"

    def __call__(
        self,
        language: str = "en",
        fields: Fields = Fields("body", "key"),  # noqa: B008
        processes: int | None = 1,
        output: Path | None = None,
        **options: Any,
    ) -> bulk.Totals:
        settings = OutputOptions(**({"format": "jsonl", "shard_size": 3} | options))
        return bulk.run(
            self.workspace, language, self.source, output or self.output, model=str(self.folder), fields=fields,
            options=settings, processes=processes,
        )  # fmt: skip


@pytest.fixture
def annotate(tmp_path: Path, model: Model, folder: Path, source: Path) -> Annotate:
    return Annotate(tmp_path, folder, source)


def contents(output: Path) -> dict[str, bytes]:
    """The files of an output, without the lock."""
    return {path.name: path.read_bytes() for path in output.iterdir() if path.name != ".lock"}


def rows(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(output.glob("part-*")) for line in path.read_text("utf-8").splitlines()]


def test_a_record_for_each_document(annotate: Annotate) -> None:
    assert annotate(with_text=True) == bulk.Totals(documents=10, shards=4, written=4, problems=0)
    found = rows(annotate.output)
    assert [row["id"] for row in found] == [str(number) for number in range(DOCUMENTS)]
    for row in found:
        assert row["entities"] == answer(row["text"])["entities"]
        assert row["model"] == {"name": str(annotate.folder), "version": ""}
    assert sorted(contents(annotate.output)) == [
        "_SUCCESS", "_manifest.json", *(f"part-0000{number}.jsonl" for number in range(4))
    ]  # fmt: skip
    annotate(output=annotate.output.with_name("without"))
    assert all("text" not in row for row in rows(annotate.output.with_name("without")))


def test_parquet_holds_the_same(annotate: Annotate, monkeypatch: pytest.MonkeyPatch) -> None:
    annotate(with_text=True)
    parquet = annotate.output.with_name("parquet")
    monkeypatch.setattr(bulk, "GROUP", 2)
    monkeypatch.setattr(bulk, "CHUNK", 1)
    annotate(with_text=True, format="parquet", output=parquet)
    assert ParquetFile(parquet / "part-00000.parquet").num_row_groups == 2
    found = read_table(parquet).to_pylist(maps_as_pydicts="strict")  # readers of folders pass over the manifest
    assert found == rows(annotate.output)


def test_what_was_cut_off_goes_on_and_gives_the_same_bytes(annotate: Annotate, model: Model) -> None:
    undisturbed = annotate.output.with_name("undisturbed")
    annotate(output=undisturbed)
    model.texts.clear()
    model.fails_at = "Ada7 slept"
    with pytest.raises(NerError, match="was killed, perhaps since memory is short, at documents 6 to 8") as raised:
        annotate()
    assert raised.value.exit_code == 75
    assert sorted(contents(annotate.output)) == ["_manifest.json", "part-00000.jsonl", "part-00001.jsonl"]
    (annotate.output / ".part-00002.jsonl.abc").write_text("half", encoding="utf-8")  # as kill -9 leaves it
    model.fails_at = None
    assert annotate() == bulk.Totals(documents=10, shards=4, written=2, problems=0)
    assert contents(annotate.output) == contents(undisturbed)
    assert len(model.texts) == len(set(model.texts)) == DOCUMENTS, "no document is annotated twice"
    assert annotate().written == 0


def test_several_processes_share_the_cores_and_write_the_same(annotate: Annotate, model: Model) -> None:
    annotate()
    assert model.threads == [4]
    for processes, threads in ((2, [2, 2]), (None, [1] * 4), (9, [1] * 4)):
        model.threads.clear()
        output = annotate.output.with_name(f"by-{processes}")
        annotate(processes=processes, output=output)
        assert model.threads == threads
        assert contents(output) == contents(annotate.output)


def test_another_model_is_refused_by_name(annotate: Annotate) -> None:
    annotate()
    before = contents(annotate.output)
    (annotate.folder / "weights").write_text("others", encoding="utf-8")
    with pytest.raises(NerError, match="whose files have changed"):
        annotate()
    annotate.folder = annotate.folder.rename(annotate.folder.with_name("second"))
    with pytest.raises(NerError, match=r"begun with .*/model, now the model is .*/second"):
        annotate()
    assert contents(annotate.output) == before


def test_another_version_is_refused_with_the_remedy(annotate: Annotate, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3", "4"):
        monkeypatch.setattr(bulk, "registered_model", lambda *_, number=version: (annotate.folder, "ner-en", number))
        settings = {"fields": Fields("body"), "options": OutputOptions("jsonl")}
        if version == "3":
            bulk.run(annotate.workspace, "en", annotate.source, annotate.output, **settings)
    with pytest.raises(NerError, match="begun with ner-en version 3, now the model is ner-en version 4") as raised:
        bulk.run(annotate.workspace, "en", annotate.source, annotate.output, **settings)
    assert "--model 3" in raised.value.remedy


def test_changed_input_is_refused_by_name(annotate: Annotate) -> None:
    annotate()
    (annotate.source / "new.txt").write_text("Tam", encoding="utf-8")
    with pytest.raises(NerError, match=r"the input has changed: new\.txt"):
        annotate()
    (annotate.source / "new.txt").unlink()
    with (annotate.source / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write(" ")
    with pytest.raises(NerError, match=r"the input has changed: a\.jsonl"):
        annotate()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard_size": 4}, "option shard_size was 3, and is 4"),
        ({"format": "parquet"}, "option format was 'jsonl', and is 'parquet'"),
        ({"fields": Fields("body")}, "field id was 'key', and is None"),
    ],
)
def test_other_options_are_refused_by_name(annotate: Annotate, options: dict[str, Any], message: str) -> None:
    annotate()
    with pytest.raises(NerError, match=message):
        annotate(**options)


def test_records_that_cannot_be_read_stop_the_run_before_any_work(annotate: Annotate, model: Model) -> None:
    with (annotate.source / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"key": 1}\n{\n')
    with pytest.raises(NerError, match=r"2 of the records cannot be read") as raised:
        annotate()
    assert "a.jsonl:11: no text in the field 'body'\n  a.jsonl:12: not JSON" in raised.value.message
    assert model.texts == []
    (annotate.output / "_problems.jsonl").touch()  # of a run that was killed before it wrote its manifest
    assert annotate(skip_problems=True) == bulk.Totals(documents=10, shards=4, written=4, problems=2)
    assert len(rows(annotate.output)) == DOCUMENTS
    listed = [json.loads(line) for line in (annotate.output / "_problems.jsonl").read_text("utf-8").splitlines()]
    assert [(each["file"], each["line"]) for each in listed] == [("a.jsonl", 11), ("a.jsonl", 12)]


def test_places_that_are_refused(annotate: Annotate, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="lies within the input"):
        annotate(output=annotate.source / "out")
    (tmp_path / "file").touch()
    with pytest.raises(NerError, match="no folder"):
        annotate(output=tmp_path / "file")
    annotate.output.mkdir()
    (annotate.output / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(NerError, match=r"there already.*mine\.txt"):
        annotate()
    assert (annotate.output / "mine.txt").read_text("utf-8") == "mine"
    with pytest.raises(NerError, match="for 'en', not 'ru'"):
        annotate(language="ru", output=tmp_path / "ru")
    (annotate.folder / "MLmodel").unlink()
    with pytest.raises(NerError, match="no MLflow model here"):
        annotate(output=tmp_path / "none")


def test_a_full_disk_may_pass_and_what_is_written_stays(annotate: Annotate, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bulk.shard_writer

    def write(path: Path, *arguments: Any) -> AbstractContextManager:
        if path.stem == "part-00001":
            raise OSError(ENOSPC, "No space left on device", str(path))
        return real(path, *arguments)

    monkeypatch.setattr(bulk, "shard_writer", write)
    with pytest.raises(NerError, match="cannot be written: No space left") as raised:
        annotate()
    assert (raised.value.exit_code, Path(raised.value.where).name) == (75, "part-00001.jsonl")
    assert [path.name for path in annotate.output.glob("part-*")] == ["part-00000.jsonl"]
    monkeypatch.setattr(bulk, "shard_writer", real)
    assert annotate().written == 3


def test_two_runs_at_once_are_refused(annotate: Annotate, model: Model) -> None:
    def second(texts: list[str]) -> list[dict[str, Any]]:
        with pytest.raises(NerError, match="holds this lock of this output"):
            annotate()
        return [answer(text) for text in texts]

    model.ask = second
    assert annotate().written == 4


def test_the_command(annotate: Annotate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "load", lambda: annotate.workspace)
    arguments = [str(annotate.source), "-l", "en", "-o", str(annotate.output), "--model", str(annotate.folder)]
    bulk_options = ["--text-field", "body", "--id-field", "key", "--shard-size", "4", "--processes", "2"]
    done = CliRunner().invoke(command, [*arguments, "--to", "jsonl", *bulk_options])
    assert (done.exit_code, done.stdout) == (
        0, f"{annotate.output}: 10 documents in 3 shards, of which 3 were written now\n"
    )  # fmt: skip
    assert read_json(annotate.output / "_manifest.json")["fields"] == {"text": "body", "id": "key"}
    for wrong in (["--processes", "2"], ["--with-text"], ["--to", "jsonl", "--column", "2"]):
        refused = CliRunner().invoke(command, [*arguments, *wrong])
        assert (refused.exit_code, wrong[-2 if wrong[0] != "--with-text" else 0] in refused.output) == (2, True)
