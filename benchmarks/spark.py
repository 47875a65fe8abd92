"""Whether Spark and processes write the same records of a collection, how long both take, and their memory.

    python benchmarks/spark.py sentences.jsonl --id-field id --model ner-en

JSON lines in; Spark runs in local mode, with as many workers as there are processes. Needs the extra `spark` and a JVM.
Only figures are printed, no text.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import psutil
from pyarrow.parquet import read_table

from multiner.loading import model_source
from multiner.pipeline.bulk.collection import Fields
from multiner.pipeline.bulk.output import OutputOptions
from multiner.pipeline.bulk.run import run
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.spark import annotate

EVERY = 0.2  # seconds between looks at the memory


@dataclass
class Usage:
    """What the processes below this one took: seconds, and the highest memory of one in MB, by its command."""

    seconds: float = 0.0
    megabytes: dict[str, float] = field(default_factory=dict)


@contextmanager
def usage() -> Iterator[Usage]:
    """Watch the processes that this one starts."""
    found, stop, begin = Usage(), Event(), time.perf_counter()

    def watch() -> None:
        while not stop.wait(EVERY):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    name, resident = process.name(), process.memory_info().rss / 1e6
                    found.megabytes[name] = max(found.megabytes.get(name, 0.0), resident)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        found.seconds = time.perf_counter() - begin
        stop.set()
        thread.join()


def records(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder of Parquet, by id."""
    return sorted(read_table(folder).to_pylist(maps_as_pydicts="strict"), key=lambda row: row["id"])


def compare(options: argparse.Namespace, folder: Path) -> bool:
    """Annotate by processes and by Spark; print the figures; whether the records are the same."""
    from pyspark.sql import SparkSession

    workspace = Workspace.load()
    model, files = model_source(options.model)
    names = {"version": model.version, "name": model.name}
    fields = Fields(options.text_field, options.id_field)
    with usage() as processes:
        totals = run(
            workspace, options.language, options.source, folder / "processes", model=model.version or str(files),
            fields=fields, options=OutputOptions("parquet"), processes=options.workers,
        )  # fmt: skip
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = SparkSession.builder.master(f"local[{options.workers}]").config("spark.ui.enabled", "false").getOrCreate()
    with usage() as by_spark:
        frame = spark.read.json(str(options.source)).repartition(4 * options.workers)
        done = annotate(frame, options.model, text=options.text_field, id=options.id_field)
        done.write.parquet(str(folder / "spark"))
    spark.stop()
    same = records(folder / "processes") == records(folder / "spark")
    print(f"{totals.documents:,} documents, {options.workers} workers, {names}")
    for name, figures in (("processes", processes), ("Spark", by_spark)):
        memory = ", ".join(f"{command} {size:,.0f} MB" for command, size in sorted(figures.megabytes.items()))
        print(
            f"{name}: {figures.seconds:.1f} s, {totals.documents / figures.seconds:.1f} documents/s; at most {memory}"
        )
    print("the same records" if same else "the records differ")
    return same


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="JSON lines")
    parser.add_argument("--language", "-l", default="en")
    parser.add_argument("--model", default="ner-en", help="a name in the registry, or a folder (default ner-en)")
    parser.add_argument("--text-field", default="text")
    parser.add_argument("--id-field", required=True)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    try:
        with TemporaryDirectory(prefix="ner-benchmark-") as folder:
            parser.exit(0 if compare(options, Path(folder)) else 1)
    except NerError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
