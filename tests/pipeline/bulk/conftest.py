"""PySpark is 450 MB, and no part of the lock: the test that needs it is collected where it is installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("pyspark") else ["test_spark.py"]
