"""The registry's facts about a version, in the shapes of :mod:`multiner.serving.operator.model_schemas`."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from multiner.serving.addresses import Addresses
from multiner.serving.airflow.access import public_url
from multiner.serving.operator.model_schemas import ModelFacts

if TYPE_CHECKING:
    from multiner.pipeline.config.corpora import Corpus
    from multiner.pipeline.config.settings import Workspace
    from multiner.pipeline.registry.facts import RunRecord, VersionRecord
    from multiner.pipeline.registry.journal.entry import JournalEntry

ENSEMBLE = "ensemble"
PARTS = ("train", "dev", "test")
CACHED_RUNS = 16
REPORT_TAG = "ner.run_report"  # of a run, as multiner.pipeline.registry.run_report has it
Runs = MutableMapping[tuple[str, str], "RunRecord"]  # by run and verdict: a run changes with nothing else


def read(workspace: Workspace, language: str, version: str | None, runs: Runs) -> ModelFacts:
    """Read the facts of a version (None: of the champion); blocking, with MLflow's own errors. ``runs`` is a cache."""
    from multiner.pipeline.registry.facts import history, run_record
    from multiner.pipeline.registry.journal import switches
    from multiner.pipeline.registry.store import CHAMPION, model_name, open_store

    client, name = open_store(workspace), model_name(workspace, language)
    versions = history(client, name)
    facts = {
        "history": [_version(each) for each in versions],
        "switches": [_switch(each) for each in switches(client, name)] if versions else [],
        "links": links(workspace, language, name),
    }
    matches = (each for each in versions if (each.version == version if version else CHAMPION in each.aliases))
    if (record := next(matches, None)) is None:
        reason = f"{name} has no version {version}" if version else f"{name} has no champion"
        return ModelFacts.model_validate(facts | {"registry": f"{reason} in the registry."})
    key = (record.run_id, record.gate_key)
    run = runs.get(key) or run_record(client, record)
    if run is None:
        reason = f"The MLflow run {record.run_id} of version {record.version} was deleted for good, with its scores."
        return ModelFacts.model_validate(facts | {"registry": reason})
    if key not in runs:
        while len(runs) >= CACHED_RUNS:
            runs.pop(next(iter(runs)), None)
        runs[key] = run
    pages = links(workspace, language, name, record, run)
    return ModelFacts.model_validate(facts | _description(record, run, workspace.corpora) | {"links": pages})


def links(
    workspace: Workspace, language: str, name: str, version: VersionRecord | None = None, run: RunRecord | None = None
) -> dict[str, str]:
    """Pages of MLflow and Airflow, with the server's host, and of the gateway, as paths."""
    mlflow, airflow = Addresses.of(workspace).mlflow, public_url(workspace)
    pages = {
        "model": f"{mlflow}/#/models/{name}",
        "retraining": f"{airflow}/dags/retrain_{language}",
        "promotion": f"{airflow}/dags/promote_{language}",
        "validation": f"/reports/{language}/validation/",
        "report": f"/reports/{language}/report/",
    }
    if version and run:
        pages["version"] = f"{mlflow}/#/models/{name}/versions/{version.version}"
        pages["run"] = f"{mlflow}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        if report := run.tags.get(REPORT_TAG):
            pages["run_report"] = f"{pages['run']}/artifacts/{report}"
    return pages


def _version(record: VersionRecord) -> dict[str, Any]:
    passed = record.gate_passed
    gate = None if passed is None else {"passed": passed, "reasons": record.gate_reasons}
    return asdict(record) | {"created": record.created.isoformat(timespec="seconds"), "gate": gate}


def _switch(switch: JournalEntry) -> dict[str, Any]:
    return asdict(switch) | {"from_version": switch.before, "to_version": switch.version}


def _description(version: VersionRecord, run: RunRecord, catalogue: Mapping[str, Corpus]) -> dict[str, Any]:
    """The fields of :class:`ModelFacts` about one version."""
    return {
        "described": version.version,
        "aliases": version.aliases,
        "created": version.created.isoformat(timespec="seconds"),
        "champion_since": version.champion_since,
        "profile": run.tags.get("profile"),
        "git_commit": run.tags.get("git_commit"),
        "data": _data(run, catalogue),
        "scores": _scores(run.figures),
        "thresholds": [
            {"corpus": corpus, "wanted": precision} | limit
            for corpus, systems in run.figures.get("thresholds", {}).items()
            for precision, limit in systems.get(ENSEMBLE, {}).items()
            if limit and "gate" in limit  # those of older versions were found on documents that they were fitted to
        ],
        "reliability": {
            corpus: bins
            for corpus, splits in run.figures.get("corpora", {}).items()
            if (bins := _calibration(splits.get("test", {}).get(ENSEMBLE, {})).get("bins"))
        },
        "behaviour": run.gate.get("behaviour", {}).get("challenger") or None,
    }


def _data(run: RunRecord, catalogue: Mapping[str, Corpus]) -> dict[str, Any]:
    """The corpora that a run trained on and reports on, with their sizes."""
    trained = yaml.safe_load(run.params.get("languages.train_on", "[]"))
    reported = yaml.safe_load(run.params.get("languages.report_on", "[]"))
    sizes = run.sizes or run.figures.get("sizes", {})  # the latter hold no training part
    corpora = []
    for corpus in dict.fromkeys([*trained, *reported]):
        known = catalogue.get(corpus)
        title, licence = (known.title or corpus, known.licence) if known else (corpus, None)
        counts = sizes.get(corpus, {})
        parts = {part: _size(counts[part]) for part in PARTS if counts.get(part)}
        entry = {"corpus": corpus, "title": title, "licence": licence, "trained_on": corpus in trained, "parts": parts}
        corpora.append(entry)
    return {"hash": run.tags.get("data_hash"), "corpora": corpora, "sources": run.sources}


def _size(counts: Mapping[str, Any]) -> dict[str, Any]:
    entities = counts.get("entities")
    total = sum(entities.values()) if isinstance(entities, Mapping) else entities  # counted by type
    return {**counts, "entities": total}


def _scores(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every system on the test parts; the part without sentences of train only if the test part has such."""
    rows = []
    for corpus, splits in figures.get("corpora", {}).items():
        repeated = figures.get("overlapping_sentences", {}).get(corpus)
        for split, systems in splits.items():
            if not (split == "test" or (split.startswith("test") and repeated)):
                continue
            size = figures.get("sizes", {}).get(corpus, {}).get(split, {})
            order = sorted(systems.items(), key=lambda system: system[0] != ENSEMBLE)  # base models stay in their order
            rows.append(
                {
                    "corpus": corpus,
                    "split": split,
                    "documents": size.get("documents"),
                    "entities": size.get("entities"),
                    "systems": {name: system | {"ece": _calibration(system).get("ece")} for name, system in order},
                    "lead": figures.get("significance", {}).get(corpus, {}).get(split),
                }
            )
    return rows


def _calibration(system: Mapping[str, Any]) -> Mapping[str, Any]:
    return system.get("calibration") or {}
