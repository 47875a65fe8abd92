"""The system as a whole: ``ner run``, ``up``, ``down``, ``status``, ``deploy``."""

from __future__ import annotations

PARTS = ("airflow", "mlflow", "serving")
