"""Reading a collection: text files, JSON lines and Parquet, from any record on; and dividing it into shards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import is_system_file, sha256_of
from multiner.pipeline.text.surrogates import without_surrogates

BATCH = 1024  # rows of a Parquet file in memory at a time
IDS = (str, int)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of JSON lines, or columns of Parquet, that hold a document's text and id.

    Without ``id``, a document's id is its place: ``FILE:LINE``, or ``FILE:ROW`` in Parquet.
    """

    text: str = "text"
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A document of a file: its line or row, from 1; the byte at which it begins in JSON lines; id and text.

    A record that cannot be read has a ``problem`` in place of id and text.
    """

    number: int
    offset: int = 0
    id: str = ""
    text: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CollectionFile:
    """A file of a collection; its name is the path within the collection."""

    path: Path
    name: str


@dataclass(slots=True)
class Block:
    """Consecutive records of a file: the place of the first, and how many there are."""

    file: CollectionFile
    number: int
    offset: int
    count: int = 0


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a collection that is written as one file."""

    index: int
    blocks: list[Block]

    @property
    def count(self) -> int:
        """The number of records."""
        return sum(block.count for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a collection holds: its shards, the SHA-256 of each file by name, and the records that cannot be read."""

    shards: list[Shard]
    hashes: dict[str, str]
    problems: list[dict[str, Any]]

    @property
    def count(self) -> int:
        """The number of documents."""
        return sum(shard.count for shard in self.shards) - len(self.problems)


def collection_files(source: Path) -> list[CollectionFile]:
    """The file ``source``, or the files of the folder ``source`` and its folders, by name.

    Names that begin with a dot or an underscore are passed over, as Spark does.

    Raises:
        NerError: there is no such file or folder, none of a kind that can be read, or one that cannot.
    """
    if not source.exists():
        raise NerError("no such file or folder", where=str(source))
    if source.is_file():
        files = [CollectionFile(source, source.name)]
    else:
        paths = [path for path in source.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(source))]
        files = [CollectionFile(path, path.relative_to(source).as_posix()) for path in paths]
    for file in files:
        if file.path.suffix.lower() not in READERS:
            raise NerError(
                f"not a kind of file that can be read: {', '.join(READERS)}",
                where=str(file.path),
                remedy="Convert it, or move it out of the folder. Column files and factRuEval's are read without --to.",
            )
    if not files:
        raise NerError("no file to read", where=str(source), remedy=f"Read are: {', '.join(READERS)}")
    return sorted(files, key=lambda file: file.name)


def _is_hidden(path: Path) -> bool:
    return is_system_file(path) or any(part.startswith((".", "_")) for part in path.parts)


def plan(
    files: Sequence[CollectionFile], fields: Fields, size: int, advance: Callable[[int], object] = lambda _: None
) -> Plan:
    """Read the whole collection once, and divide it into shards of ``size`` records.

    Args:
        files: the files, in the order of their documents.
        fields: where text and id are.
        size: records in a shard; the last one may have fewer.
        advance: called for each shard with its number of records.

    Raises:
        NerError: a file cannot be read, or is not in its format.
    """
    shards: list[Shard] = []
    problems = []
    room = 0
    for file in files:
        block = None
        for record in records(file, fields):
            if room == 0:
                if shards:
                    advance(size)
                shards.append(Shard(len(shards), []))
                block, room = None, size
            if block is None:
                block = Block(file, record.number, record.offset)
                shards[-1].blocks.append(block)
            block.count += 1
            room -= 1
            if record.problem:
                problems.append({"file": file.name, "line": record.number, "problem": record.problem})
    if shards:
        advance(size - room)
    return Plan(shards, {file.name: sha256_of(file.path) for file in files}, problems)


def read_shard(shard: Shard, fields: Fields) -> Iterator[Record]:
    """The readable records of a shard, in order."""
    for block in shard.blocks:
        for record in islice(records(block.file, fields, block.number, block.offset), block.count):
            if not record.problem:
                yield record


def records(file: CollectionFile, fields: Fields, number: int = 1, offset: int = 0) -> Iterator[Record]:
    """The records of a file, from the one at this place on.

    Raises:
        NerError: the file cannot be read, or is not in its format.
    """
    try:
        yield from READERS[file.path.suffix.lower()](file, fields, number, offset)
    except OSError as error:
        raise NerError(f"cannot be read: {error.strerror or error}", where=str(file.path)) from None


def _json_lines(file: CollectionFile, fields: Fields, number: int, offset: int) -> Iterator[Record]:
    """Blank lines are passed over."""
    with file.path.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if line.strip():
                yield _json_record(file, fields, number, offset, line)
            number, offset = number + 1, offset + len(line)


def _json_record(file: CollectionFile, fields: Fields, number: int, offset: int, line: bytes) -> Record:
    problem = partial(Record, number, offset, "", "")
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return problem(f"not UTF-8: byte 0x{line[error.start]:02x}")
    except (ValueError, RecursionError) as error:
        return problem(f"not JSON: {error}")
    if not isinstance(value, dict):
        return problem("not a JSON object")
    return _record(file, fields, number, offset, value)


def _record(file: CollectionFile, fields: Fields, number: int, offset: int, value: dict[str, Any]) -> Record:
    problem = partial(Record, number, offset, "", "")
    text = value.get(fields.text)
    if not isinstance(text, str):
        return problem(f"no text in the field {fields.text!r}")
    id = f"{file.name}:{number}" if fields.id is None else value.get(fields.id)
    if not isinstance(id, IDS) or isinstance(id, bool):
        return problem(f"no id in the field {fields.id!r}: a string or a whole number")
    return Record(number, offset, without_surrogates(str(id)), without_surrogates(text))


def _parquet(file: CollectionFile, fields: Fields, number: int, offset: int) -> Iterator[Record]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    columns = [fields.text, *([fields.id] if fields.id else [])]
    try:
        with ParquetFile(file.path) as table:
            if missing := [name for name in columns if name not in table.schema_arrow.names]:
                raise NerError(
                    f"no column {missing[0]!r}",
                    where=str(file.path),
                    remedy=f"It has: {', '.join(table.schema_arrow.names)}. Name one by --text-field or --id-field.",
                )
            groups: list[int] = []
            row = 1
            for group in range(table.num_row_groups):
                rows = table.metadata.row_group(group).num_rows
                if groups or row + rows > number:
                    groups.append(group)
                else:
                    row += rows
            for batch in table.iter_batches(BATCH, row_groups=groups, columns=columns):
                for value in batch.to_pylist():
                    if row >= number:
                        yield _record(file, fields, row, 0, value)
                    row += 1
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise NerError(f"not Parquet: {error}", where=str(file.path)) from None


def _text(file: CollectionFile, fields: Fields, number: int, offset: int) -> Iterator[Record]:
    """A text file is one document, and its name the id."""
    content = file.path.read_bytes()
    try:
        yield Record(1, 0, without_surrogates(file.name), content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        yield Record(line, problem=f"not UTF-8: byte 0x{content[error.start]:02x}")


READERS: dict[str, Callable[[CollectionFile, Fields, int, int], Iterator[Record]]] = {
    ".txt": _text,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
