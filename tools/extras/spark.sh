# Without Java: what the tables' columns are called.
python -c "import pyarrow as pa; from multiner.spark import spark_type; assert spark_type(pa.int64()) == 'bigint'"
