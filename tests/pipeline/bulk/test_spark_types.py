"""The columns of a record in Spark's words; nothing here needs Spark."""

from __future__ import annotations

from multiner.pipeline.bulk.output import arrow_schema
from multiner.spark import spark_type


def test_the_columns_in_sparks_words() -> None:
    opinion = "struct<label:string,score:double,start:bigint,end:bigint>"
    entity = f"struct<start:bigint,end:bigint,text:string,label:string,score:double,legs:map<string,{opinion}>>"
    schema = arrow_schema(with_text=True)
    assert {field.name: spark_type(field.type) for field in schema} == {
        "id": "string",
        "text": "string",
        "entities": f"array<{entity}>",
        "model": "struct<name:string,version:string>",
    }
    assert arrow_schema(with_text=False).names == ["id", "entities", "model"]
