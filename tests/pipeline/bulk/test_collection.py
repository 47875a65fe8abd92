"""Reading collections: kinds of files, places of records, records that cannot be read, and shards of equal size."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from multiner.pipeline.bulk.collection import (
    CollectionFile,
    Fields,
    Record,
    collection_files,
    plan,
    read_shard,
    records,
)
from multiner.pipeline.core.errors import NerError

FIELDS = Fields("text", "id")


def as_file(path: Path) -> CollectionFile:
    return CollectionFile(path, path.name)


def texts(path: Path, fields: Fields = FIELDS) -> list[tuple[str, str]]:
    return [(record.id, record.text) for record in records(as_file(path), fields)]


def problems(path: Path, fields: Fields = FIELDS) -> dict[int, str]:
    return {record.number: record.problem for record in records(as_file(path), fields) if record.problem}


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_json_lines_with_and_without_an_id(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "a.jsonl", '\ufeff{"id": 7, "text": "Ada"}', "", '{"id": "x", "text": "\\ud800 Quill"}'
    )
    assert texts(file) == [("7", "Ada"), ("x", "\ufffd Quill")]
    assert texts(file, Fields("text")) == [("a.jsonl:1", "Ada"), ("a.jsonl:3", "\ufffd Quill")]
    assert texts(file, Fields("id")) != texts(file), "another field holds the text"


def test_each_unreadable_line_is_told_by_number(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(
        b'{"id": 1, "text": "Ada"}\n{"id": 2, "text": "\xff"}\n{"id": 3\n["a"]\n{"id": 4}\n{"id": 5, "text": null}\n'
        b'{"id": true, "text": ""}\n{"text": ""}\n' + b"[" * 100_000 + b"\n"
    )
    found = problems(file)
    assert sorted(found) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert "0xff" in found[2]
    assert "not JSON" in found[3]
    assert "object" in found[4]
    assert "'text'" in found[5]
    assert "'id'" in found[8]


def test_a_text_file_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffAda\r\nQuill\n".encode())
    (tmp_path / "b.txt").write_bytes(b"Ada\n\xff")
    assert texts(tmp_path / "a.txt") == [("a.txt", "Ada\r\nQuill\n")]
    assert problems(tmp_path / "b.txt") == {2: "not UTF-8: byte 0xff"}


def write_parquet(path: Path, count: int, group: int) -> Path:
    table = pa.table({"id": list(range(1, count + 1)), "text": [f"text {row}" for row in range(1, count + 1)]})
    write_table(table, path, row_group_size=group)
    return path


@pytest.mark.parametrize("group", [1, 3, 4, 100])
def test_parquet_is_read_from_any_row(tmp_path: Path, group: int) -> None:
    file = write_parquet(tmp_path / "a.parquet", 10, group)
    for number in range(1, 11):
        found = list(records(as_file(file), FIELDS, number))
        assert [(record.number, record.id, record.text) for record in found] == [
            (row, str(row), f"text {row}") for row in range(number, 11)
        ]


def test_parquet_without_the_column_or_a_value(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    write_table(pa.table({"id": ["a", "b"], "text": ["Ada", None]}), file)
    assert problems(file) == {2: "no text in the field 'text'"}
    with pytest.raises(NerError, match="no column 'body'") as raised:
        texts(file, Fields("body"))
    assert "id, text" in raised.value.remedy
    file.write_bytes(b"not Parquet at all")
    with pytest.raises(NerError, match="not Parquet"):
        texts(file)


def test_a_folders_files_by_name(tmp_path: Path) -> None:
    for name in (
        "b.jsonl",
        "a/c.TXT",
        "a/b.ndjson",
        ".hidden.txt",
        "_SUCCESS",
        "a/_old/d.txt",
        "._b.jsonl",
        ".DS_Store",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [file.name for file in collection_files(tmp_path)] == ["a/b.ndjson", "a/c.TXT", "b.jsonl"]
    assert [file.name for file in collection_files(tmp_path / "b.jsonl")] == ["b.jsonl"]
    (tmp_path / "a" / "notes.docx").touch()
    with pytest.raises(NerError, match="not a kind of file") as raised:
        collection_files(tmp_path)
    assert raised.value.where == str(tmp_path / "a" / "notes.docx")
    with pytest.raises(NerError, match="no such file"):
        collection_files(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NerError, match="no file to read"):
        collection_files(tmp_path / "empty")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_the_shards_hold_each_document_once_in_order(tmp_path: Path, size: int) -> None:
    write_lines(tmp_path / "a.jsonl", *(json.dumps({"id": f"a{row}", "text": "x"}) for row in range(7)), "{", "")
    write_lines(tmp_path / "b.txt", "x")
    write_lines(tmp_path / "c.txt", "x")
    write_parquet(tmp_path / "d.parquet", 5, 2)
    write_lines(tmp_path / "e.jsonl")
    files = collection_files(tmp_path)
    advanced: list[int] = []
    contents = plan(files, FIELDS, size, advanced.append)
    found = [[record.id for record in read_shard(shard, FIELDS)] for shard in contents.shards]
    expected = [record.id for file in files for record in records(file, FIELDS) if not record.problem]
    assert (
        [id for shard in found for id in shard]
        == expected
        == [*(f"a{row}" for row in range(7)), "b.txt", "c.txt", *"12345"]
    )
    assert [shard.count for shard in contents.shards[:-1]] == [size] * (len(contents.shards) - 1)
    assert (contents.count, sum(advanced)) == (14, 15)
    assert [(each["file"], each["line"]) for each in contents.problems] == [("a.jsonl", 8)]
    assert list(contents.hashes) == [file.name for file in files]


def test_a_shard_is_read_from_its_place_without_what_stands_before(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "a.jsonl", '{"id": 1, "text": "Ада"}', '{"id": 2, "text": "б"}', '{"id": 3, "text": "c"}'
    )
    shard = plan([as_file(file)], FIELDS, 1).shards[1]
    content = file.read_bytes()
    file.write_bytes(b"?" * shard.blocks[0].offset + content[shard.blocks[0].offset :])
    assert list(read_shard(shard, FIELDS)) == [Record(2, shard.blocks[0].offset, "2", "б")]
