"""Airflow plugin: buttons on the project's tasks that lead to the Data Docs, the reports and the models."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseOperatorLink


def language_of(dag_id: str, task_id: str) -> str | None:
    """The language of a task, from the ends of the names: ``retrain_en``, ``validate_ru``."""
    match = re.search(r"_([a-z]{2})$", task_id) or re.search(r"_([a-z]{2})$", dag_id)
    return match.group(1) if match else None


def trial_suffix() -> str:
    """The suffix of trial models' names, as :func:`multiner.pipeline.registry.store.model_name` has it."""
    root = Path(os.environ.get("NER_ROOT") or Path(__file__).resolve().parents[2])
    profile = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")).get("profile", "")
    return f"-{profile}" if profile.partition("-")[0] in ("smoke", "demo") else ""


def address(kind: str, dag_id: str, task_id: str) -> str:
    """The target of a task's button: ``validation`` and ``report`` at the gateway, ``model`` in MLflow.

    Empty where the task has no such page; Airflow then greys the button out.
    """
    language = language_of(dag_id, task_id)
    documents = os.environ.get("NER_DOCS_URL", "http://127.0.0.1:8000/reports")
    mlflow = os.environ.get("NER_MLFLOW_URL", "http://127.0.0.1:5000")
    if not language or not re.match(r"(data|retrain_[a-z]{2}|promote_[a-z]{2})$", dag_id):
        return ""
    if kind == "validation":
        return f"{documents}/{language}/validation/" if task_id.startswith("validate") else ""
    if kind == "report":
        return f"{documents}/{language}/report/" if task_id == "evaluate" else ""
    tasks = ("register", "judge", "approve", "promote", "deploy")
    return f"{mlflow}/#/models/ner-{language}{trial_suffix()}" if task_id in tasks else ""


class DataDocsLink(BaseOperatorLink):
    """From a validation to its Data Docs."""

    name = "Data Docs"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address; empty for tasks that validate nothing."""
        return address("validation", ti_key.dag_id, ti_key.task_id)


class ReportLink(BaseOperatorLink):
    """From an evaluation to its error report."""

    name = "Error report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address; empty for tasks that evaluate nothing."""
        return address("report", ti_key.dag_id, ti_key.task_id)


class ModelLink(BaseOperatorLink):
    """From registration, promotion and deployment to the model's versions."""

    name = "Model in MLflow"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address; empty for tasks that touch no registered model."""
        return address("model", ti_key.dag_id, ti_key.task_id)


class NerLinks(AirflowPlugin):
    """The links of every task; one that does not apply is empty."""

    name = "ner_links"
    global_operator_extra_links = [DataDocsLink(), ReportLink(), ModelLink()]  # noqa: RUF012 - Airflow's form
