"""A model over the rows of a Spark table: ``annotate(frame, "ner-en").write.parquet("out")``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multiner.loading import model_source
from multiner.pipeline.bulk.output import arrow_schema
from multiner.pipeline.core.environment import QUIET
from multiner.pipeline.inference.isolated_process import thread_environment

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def annotate(
    frame: DataFrame,
    source: str | Path,
    version: str | int | None = None,
    *,
    text: str = "text",
    id: str = "id",
    with_text: bool = False,
) -> DataFrame:
    """The entities of each row's text: the records that ``ner annotate --to parquet`` writes.

    MLflow's ``spark_udf`` brings the model, with the code that was frozen with it, to the executors; each Python worker
    loads it once, and uses one thread. An executor needs MLflow and the packages that the model names as its
    requirements; this package need not be there.

    Args:
        frame: a table with a row for each document; a missing text is an empty one.
        source: a model's name in the registry, or the folder of an MLflow model, as :func:`multiner.load` takes it.
        version: which version of the name; None: the champion when this is called.
        text: the column of the text.
        id: the column of the id.
        with_text: whether a record has the text.

    Raises:
        NerError: there is no such workspace, name, version or champion; or the model's files are missing.
    """
    import mlflow
    from pyspark.sql.functions import col, lit, struct

    model, folder = model_source(source, version)
    schema = arrow_schema(with_text=with_text)
    entities = mlflow.pyfunc.spark_udf(
        frame.sparkSession,
        str(folder),
        result_type=f"struct<entities:{spark_type(schema.field('entities').type)}>",
        env_manager="local",
        extra_env=QUIET | thread_environment(1),
    )
    return frame.select(
        col(id).cast("string").alias("id"),
        *([col(text).alias("text")] if with_text else []),
        entities(col(text))["entities"].alias("entities"),
        struct(lit(model.name).alias("name"), lit(model.version).alias("version")).alias("model"),
    )


def spark_type(type: pa.DataType) -> str:
    """An Arrow type in Spark's words."""
    import pyarrow.types as kinds

    if kinds.is_list(type):
        return f"array<{spark_type(type.value_type)}>"
    if kinds.is_map(type):
        return f"map<{spark_type(type.key_type)},{spark_type(type.item_type)}>"
    if kinds.is_struct(type):
        fields = [type.field(index) for index in range(type.num_fields)]
        return f"struct<{','.join(f'{field.name}:{spark_type(field.type)}' for field in fields)}>"
    return {"int64": "bigint", "double": "double", "string": "string"}[str(type)]
