"""What annotating a collection writes: shards of records, and the manifest by which a second run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.pipeline.bulk.collection import Fields, Plan, Record
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_atomically, write_json

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST, PROBLEMS, COMPLETE = "_manifest.json", "_problems.jsonl", "_SUCCESS"  # readers of folders pass over "_"
FORMATS = ("jsonl", "parquet")
LAYOUT = 1  # of the manifest and the shards
NAMED = 5  # files that a message names


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What a run writes.

    Attributes:
        format: ``jsonl`` or ``parquet``.
        with_text: whether a record has the document's text.
        shard_size: documents in a shard.
        skip_problems: leave out records that cannot be read, and list them in ``_problems.jsonl``.
    """

    format: str
    with_text: bool = False
    shard_size: int = 2000
    skip_problems: bool = False


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model that answers: name, version, and SHA-256 of its files."""

    name: str
    version: str
    sha256: str

    @property
    def title(self) -> str:
        """Name and version, for messages."""
        return f"{self.name} version {self.version}" if self.version else self.name


def output_record(record: Record, answer: dict[str, Any], model: ModelIdentity, *, with_text: bool) -> dict[str, Any]:
    """A document's record: id, text if wanted, entities as the model answers them, the model's name and version."""
    text = {"text": record.text} if with_text else {}
    source = {"name": model.name, "version": model.version}
    return {"id": record.id, **text, "entities": answer["entities"], "model": source}


def arrow_schema(*, with_text: bool) -> pa.Schema:
    """The columns of a Parquet shard."""
    import pyarrow as pa

    place = {"start": pa.int64(), "end": pa.int64()}
    opinion = pa.struct({"label": pa.string(), "score": pa.float64(), **place})
    entity = pa.struct(
        {
            **place,
            "text": pa.string(),
            "label": pa.string(),
            "score": pa.float64(),
            "legs": pa.map_(pa.string(), opinion),
        }
    )
    text = {"text": pa.string()} if with_text else {}
    model = pa.struct({"name": pa.string(), "version": pa.string()})
    return pa.schema({"id": pa.string(), **text, "entities": pa.list_(entity), "model": model})


def shard_path(output: Path, index: int, format: str) -> Path:
    """The file of a shard."""
    return output / f"part-{index:05}.{format}"


@contextmanager
def shard_writer(path: Path, options: OutputOptions) -> Iterator[Callable[[Sequence[dict[str, Any]]], object]]:
    """A function that adds records to the shard ``path``; the file is whole at the end, or absent after an error.

    In Parquet each call makes a row group.
    """
    if options.format == "jsonl":
        with write_atomically(path) as file:
            yield lambda rows: file.writelines(
                json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
            )
        return
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema = arrow_schema(with_text=options.with_text)
    with write_atomically(path, "wb") as file, ParquetWriter(file, schema, compression="zstd") as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(list(rows), schema))


def manifest(model: ModelIdentity, fields: Fields, options: OutputOptions, contents: Plan) -> dict[str, Any]:
    """What a run is of: model, options and input. Runs with equal manifests write equal shards."""
    return {
        "layout": LAYOUT,
        "model": asdict(model),
        "fields": asdict(fields),
        "options": asdict(options),
        "documents": contents.count,
        "shards": len(contents.shards),
        "input": contents.hashes,
    }


def begin(output: Path, current: dict[str, Any], problems: Sequence[dict[str, Any]]) -> None:
    """Write the manifest into the folder ``output``; or check that the one there is the same, where a run was cut off.

    Raises:
        NerError: the folder holds something else, or shards of another model, of other options or of other input.
    """
    file = output / MANIFEST
    if file.is_file():
        if difference := _difference(read_json(file), current, str(file)):
            raise difference
        return
    names = {path.name for path in output.iterdir() if not path.name.startswith(".")}
    if strangers := sorted(names - {PROBLEMS}):  # a kill may have left that one alone
        raise NerError(
            f"the output is there already, and no run of ner annotate wrote it: {', '.join(strangers[:NAMED])}",
            where=str(output),
            remedy="Remove it, or name another.",
        )
    if current["options"]["skip_problems"]:
        with write_atomically(output / PROBLEMS) as lines:
            lines.writelines(json.dumps(problem, ensure_ascii=False) + "\n" for problem in problems)
    write_json(file, current)


def _difference(before: dict[str, Any], current: dict[str, Any], where: str) -> NerError | None:
    """Why shards of the manifest ``before`` cannot stand beside those of ``current``; None where they can."""
    remedy = "Name another output, or remove this one."
    if before["layout"] != current["layout"]:
        return NerError("another version of ner annotate began this output", where=where, remedy=remedy)
    reasons = []
    if before["model"] != current["model"]:
        old, new = (ModelIdentity(**each["model"]) for each in (before, current))
        changed = f", now the model is {new.title}" if old.title != new.title else ", whose files have changed"
        reasons.append(f"it was begun with {old.title}{changed}")
        if old.version and old.version != new.version:
            remedy = f"Finish it with --model {old.version}, or name another output."
    for section in ("fields", "options"):
        for key, value in current[section].items():
            if before[section][key] != value:
                reasons.append(f"{section[:-1]} {key} was {before[section][key]!r}, and is {value!r}")
    old_files, files = before["input"], current["input"]
    if names := sorted(name for name in old_files.keys() | files if old_files.get(name) != files.get(name)):
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        reasons.append(f"the input has changed: {', '.join(names[:NAMED])}{more}")
    return NerError("; ".join(reasons), where=where, remedy=remedy) if reasons else None
