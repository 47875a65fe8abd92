"""Annotating a collection by several processes: each shard is written once, and a second run does what is missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from typing import Any

from multiner.pipeline.annotate import CHAMPION, in_registry, registered_model, require_language
from multiner.pipeline.bulk.collection import Fields, Plan, Record, Shard, collection_files, plan, read_shard
from multiner.pipeline.bulk.output import (
    COMPLETE,
    NAMED,
    ModelIdentity,
    OutputOptions,
    begin,
    manifest,
    output_record,
    shard_path,
    shard_writer,
)
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.environment import thread_count
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import folder_hash
from multiner.pipeline.core.progress import bar
from multiner.pipeline.inference.isolated_process import ProcessFailed, conversation

CHUNK = 32  # documents in a call of a model's process
GROUP = 64 * CHUNK  # records in memory for each process, and in a row group of Parquet
OUTPUT = locks.LockKind("this output", 0)
AGAIN = "The same command goes on: shards that are written stay."

Ask = Callable[[list[str]], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a finished output: its documents and shards, the shards that this run wrote, and the records left out."""

    documents: int
    shards: int
    written: int
    problems: int


def run(
    workspace: Workspace,
    language: str,
    source: Path,
    output: Path,
    *,
    model: str = CHAMPION,
    fields: Fields,
    options: OutputOptions,
    processes: int | None = None,
) -> Totals:
    """Annotate the collection ``source`` into shards in the folder ``output``; goes on where a run was cut off.

    Args:
        workspace: the workspace of the registry.
        language: language code.
        source: a file or folder; see :func:`multiner.pipeline.bulk.collection.collection_files`.
        output: a folder, new or of a run with the same model, input and options.
        model: ``champion``, a version of the registry, or the folder of an MLflow model.
        fields: where text and id are.
        options: what to write.
        processes: processes with the model; None: one for each core.

    Raises:
        NerError: the language is unknown, the model is missing or for another language or does not answer; the input
            is missing or holds records that cannot be read (the message names file and line); the output is of
            another run, or another process writes it. Shards that are done stay.
    """
    workspace.language(language)
    files = collection_files(source)
    if output.resolve().is_relative_to(source.resolve()):
        raise NerError("the output lies within the input", where=str(output), remedy="Name a folder outside of it.")
    if output.exists() and not output.is_dir():
        raise NerError("the output is no folder", where=str(output), remedy="Remove it, or name another.")
    folder, identity = find_model(workspace, language, model)
    with write_errors(output), locks.hold(output / ".lock", OUTPUT):
        with bar(None, "read", unit="document") as progress:
            contents = plan(files, fields, options.shard_size, progress.update)
        check(contents, source, options)
        begin(output, manifest(identity, fields, options, contents), contents.problems)
        for leftover in [*output.glob(".part-*"), *output.glob("._*")]:  # of a run that was killed
            leftover.unlink()
        missing = [shard for shard in contents.shards if not shard_path(output, shard.index, options.format).exists()]
        job = Job(folder, identity, output, fields, options)
        annotated = sum(shard.count for shard in missing)
        total = sum(shard.count for shard in contents.shards)
        with bar(total, "annotate", initial=total - annotated, unit="document") as progress:
            annotate_shards(job, missing, processes or thread_count(), progress.update)
        (output / COMPLETE).touch()
    return Totals(contents.count, len(contents.shards), len(missing), len(contents.problems))


class Stopped(Exception):
    """Another process has failed, or the run was interrupted: a shard that was begun is given up."""


@contextmanager
def write_errors(output: Path) -> Iterator[None]:
    """Errors of the file system, as the command line tells them.

    Raises:
        NerError: something could not be written; a full disk may be mended by others, so the same command may succeed.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (ENOSPC, EDQUOT)
        where = str(error.filename or output)
        raise NerError(f"cannot be written: {error.strerror}", where=where, remedy=AGAIN, transient=full) from None


def find_model(workspace: Workspace, language: str, model: str) -> tuple[Path, ModelIdentity]:
    """The folder and identity of the model that ``model`` names.

    Raises:
        NerError: it is missing, or for another language.
    """
    name, version = model, ""
    if in_registry(model):
        folder, name, version = registered_model(workspace, language, model)
    elif not (folder := Path(model)).joinpath("MLmodel").is_file():
        raise NerError(
            "no MLflow model here",
            where=model,
            remedy="Name a folder that holds a file MLmodel; or champion, or a version of the registry.",
        )
    require_language(folder, language)
    return folder, ModelIdentity(name, version, folder_hash(folder))


def check(contents: Plan, source: Path, options: OutputOptions) -> None:
    """Refuse a collection without documents, and one with records that cannot be read unless they are to be skipped.

    Raises:
        NerError: it is such a collection.
    """
    problems = contents.problems
    if problems and not options.skip_problems:
        places = "\n  ".join(f"{each['file']}:{each['line']}: {each['problem']}" for each in problems[:NAMED])
        raise NerError(
            f"{len(problems):,} of the records cannot be read; no document was annotated in this run\n  {places}",
            where=str(source),
            remedy="Mend them, or leave them out and list them in a file: --skip-problems",
        )
    if not contents.count:
        raise NerError("no document in the input", where=str(source))


@dataclass(frozen=True, slots=True)
class Job:
    """What every process needs: the model's folder, and what to read and to write."""

    folder: Path
    model: ModelIdentity
    output: Path
    fields: Fields
    options: OutputOptions


def annotate_shards(job: Job, shards: Sequence[Shard], processes: int, advance: Callable[[int], object]) -> None:
    """Annotate and write the shards, each in one of the processes.

    A thread stands before each process; it reads, asks and writes, so that nothing is written once this process has
    ended, however it has ended. The threads of the processes together are as many as those of one model alone. Where
    one fails, the other shards that were begun are given up; what is written stays.

    Args:
        job: model, input and output.
        shards: those to be written.
        processes: at most so many.
        advance: called with the number of records that are done.

    Raises:
        NerError: a model's process does not load or answer.
        OSError: a shard cannot be written.
    """
    if not shards:
        return
    left, stop, lock = deque(shards), Event(), Lock()
    count = min(processes, len(shards))
    threads = max(1, thread_count() // count)

    def note(number: int) -> None:
        with lock:
            advance(number)

    def work() -> None:
        with conversation(job.folder, threads) as ask:
            while left and not stop.is_set():
                try:
                    shard = left.popleft()
                except IndexError:  # another thread took the last one
                    return
                with suppress(Stopped):
                    annotate_shard(job, shard, ask, stop, note)

    with ThreadPoolExecutor(count, thread_name_prefix="annotate") as executor:
        futures = [executor.submit(work) for _ in range(count)]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            stop.set()


def annotate_shard(job: Job, shard: Shard, ask: Ask, stop: Event, advance: Callable[[int], object]) -> None:
    """Annotate and write one shard; not, where ``stop`` is set meanwhile.

    Raises:
        Stopped: ``stop`` is set.
        NerError: the model does not answer.
        OSError: the shard cannot be written.
    """
    path = shard_path(job.output, shard.index, job.options.format)
    documents = read_shard(shard, job.fields)
    left = shard.count
    with shard_writer(path, job.options) as write:
        rows: list[dict[str, Any]] = []
        while chunk := list(islice(documents, CHUNK)):
            if stop.is_set():
                raise Stopped
            rows += answered(job, chunk, ask, path)
            if len(rows) >= GROUP:
                write(rows)
                rows = []
            advance(len(chunk))
            left -= len(chunk)
        if rows:
            write(rows)
    advance(left)


def answered(job: Job, chunk: list[Record], ask: Ask, path: Path) -> list[dict[str, Any]]:
    """The output records of some documents.

    Raises:
        NerError: the model does not answer.
    """
    try:
        answers = ask([document.text for document in chunk])
    except ProcessFailed as error:
        cause = "was killed, perhaps since memory is short" if error.killed else "does not answer"
        raise NerError(
            f"the model {cause}, at documents {chunk[0].id} to {chunk[-1].id}: {error}",
            where=f"{job.model.title}, for {path}",
            remedy=f"{AGAIN} Fewer --processes need less memory." if error.killed else AGAIN,
            transient=error.killed,
        ) from None
    return [
        output_record(document, answer, job.model, with_text=job.options.with_text)
        for document, answer in zip(chunk, answers, strict=True)
    ]
