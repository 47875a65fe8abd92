"""The Assets by which one DAG sets off the next."""

from __future__ import annotations

from airflow.sdk import Asset

RAW_DATA = Asset("ner-data", uri="ner://data/raw")


def candidate(language: str) -> Asset:
    """A trained, evaluated and registered model of a language, not yet judged."""
    return Asset(f"ner-candidate-{language}", uri=f"ner://models/{language}/candidate")


def live(language: str) -> Asset:
    """The champion of a language, deployed."""
    return Asset(f"ner-live-{language}", uri=f"ner://models/{language}/live")
