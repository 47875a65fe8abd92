"""Spark and processes write the same records. Collected where PySpark is installed, as by `make test-spark`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow.parquet import read_table
from pyspark.sql import SparkSession

from multiner.pipeline.bulk.collection import Fields
from multiner.pipeline.bulk.output import OutputOptions
from multiner.pipeline.bulk.run import run
from multiner.pipeline.config.settings import Workspace
from multiner.spark import annotate

from .models import save_model, write_sentences

SENTENCES = 2000
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse"))).getOrCreate()
    yield session
    session.stop()


@pytest.mark.parametrize("with_text", [True, False])
def test_spark_and_processes_write_the_same_records(
    spark: SparkSession, root: Path, tmp_path: Path, with_text: bool
) -> None:
    model = save_model(tmp_path / "model")
    source = write_sentences(tmp_path / "sentences.jsonl", SENTENCES)
    by_processes, by_spark = tmp_path / "processes", tmp_path / "spark"

    options = OutputOptions("parquet", with_text=with_text, shard_size=300)
    fields = Fields(id="id")
    run(Workspace.load(root=root), "en", source, by_processes, model=str(model), fields=fields, options=options)
    frame = spark.read.json(str(source)).repartition(3)
    annotate(frame, model, with_text=with_text).write.parquet(str(by_spark))

    expected = read_table(by_processes)
    found = read_table(by_spark)
    assert found.schema.names == expected.schema.names
    assert sorted(rows(found), key=number) == rows(expected)
    assert len(rows(found)) == SENTENCES


def rows(table) -> list[dict]:  # noqa: ANN001
    return table.to_pylist(maps_as_pydicts="strict")


def number(row: dict) -> int:
    return int(row["id"])
