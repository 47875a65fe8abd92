"""The registry's facts about a version, in the shapes of :mod:`multiner.serving.operator.model_schemas`."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import yaml

from multiner.serving.addresses import Addresses
from multiner.serving.airflow.access import public_url
from multiner.serving.operator.model_schemas import (
    BehaviourFacts,
    Bin,
    CorpusFacts,
    CorpusScores,
    DataFacts,
    GateFacts,
    Lead,
    ModelFacts,
    PartSize,
    ScoresFrom,
    SwitchFacts,
    SystemScore,
    Threshold,
    VersionFacts,
)

if TYPE_CHECKING:
    from multiner.pipeline.config.settings import Workspace
    from multiner.pipeline.registry.facts import RunRecord, VersionRecord
    from multiner.pipeline.registry.journal import Switch

ENSEMBLE = "ensemble"
PARTS = ("train", "dev", "test")
CACHED_RUNS = 16
Runs = MutableMapping[tuple[str, str], "RunRecord"]  # by run and verdict: a run changes with nothing else


def read(workspace: Workspace, language: str, version: str | None, runs: Runs) -> ModelFacts:
    """Read the facts of a version (None: of the champion); blocking. ``runs`` is a cache.

    Raises:
        Exception: MLflow's own where its store cannot be read.
    """
    from multiner.pipeline.registry.facts import history, run_record
    from multiner.pipeline.registry.journal import switches
    from multiner.pipeline.registry.store import CHAMPION, model_name, open_store

    client, name = open_store(workspace), model_name(workspace, language)
    versions = history(client, name)
    facts = ModelFacts(
        history=[version_facts(each) for each in versions],
        switches=[switch_facts(each) for each in switches(client, name)] if versions else [],
        links=links(workspace, language, name),
    )
    matches = (each for each in versions if (each.version == version if version else CHAMPION in each.aliases))
    if (record := next(matches, None)) is None:
        reason = f"{name} has no version {version}" if version else f"{name} has no champion"
        return facts.model_copy(update={"registry": f"{reason} in the registry."})
    key = (record.run_id, record.gate_key)
    run = runs.get(key) or run_record(client, record)
    if run is None:
        reason = f"The MLflow run {record.run_id} of version {record.version} was deleted for good, with its scores."
        return facts.model_copy(update={"registry": reason})
    if key not in runs:
        while len(runs) >= CACHED_RUNS:
            runs.pop(next(iter(runs)), None)
        runs[key] = run
    return facts.model_copy(update=described(record, run) | {"links": links(workspace, language, name, record, run)})


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
    return pages


def version_facts(record: VersionRecord) -> VersionFacts:
    """A row of the history."""
    passed = record.gate_passed
    gate = None if passed is None else GateFacts(passed=passed, reasons=list(record.gate_reasons))
    return VersionFacts(
        version=record.version,
        aliases=list(record.aliases),
        created=record.created.isoformat(timespec="seconds"),
        champion_since=record.champion_since,
        previous=record.previous,
        rolled_back=record.rolled_back,
        gate=gate,
    )


def switch_facts(switch: Switch) -> SwitchFacts:
    """A row of the journal."""
    return SwitchFacts(
        at=switch.at,
        kind=switch.kind,
        from_version=switch.before,
        to_version=switch.after,
        by=switch.by,
        reason=switch.reason,
    )


def described(version: VersionRecord, run: RunRecord) -> dict[str, Any]:
    """The fields of :class:`ModelFacts` about one version."""
    corpora = run.figures.get("corpora", {})
    return {
        "described": version.version,
        "aliases": list(version.aliases),
        "created": version.created.isoformat(timespec="seconds"),
        "champion_since": version.champion_since,
        "profile": run.tags.get("profile"),
        "git_commit": run.tags.get("git_commit"),
        "data": data_facts(run),
        "scores": scores(run.figures),
        "thresholds": thresholds(run.figures),
        "reliability": {
            corpus: [Bin(**row) for row in bins]
            for corpus, splits in corpora.items()
            if (bins := _calibration(splits.get("test", {}).get(ENSEMBLE, {})).get("bins"))
        },
        "behaviour": behaviour(run.gate),
    }


def data_facts(run: RunRecord) -> DataFacts:
    """The corpora that a run trained on and reports on, with their sizes."""
    from multiner.pipeline.registry.card import CORPORA

    trained = yaml.safe_load(run.params.get("languages.train_on", "[]"))
    reported = yaml.safe_load(run.params.get("languages.report_on", "[]"))
    sizes = run.sizes or run.figures.get("sizes", {})  # the latter hold no training part
    corpora = []
    for corpus in dict.fromkeys([*trained, *reported]):
        title, licence = CORPORA.get(corpus, (corpus, None))
        counts = sizes.get(corpus, {})
        parts = {part: _size(counts[part]) for part in PARTS if counts.get(part)}
        in_training = corpus in trained
        corpora.append(CorpusFacts(corpus=corpus, title=title, licence=licence, trained_on=in_training, parts=parts))
    return DataFacts(hash=run.tags.get("data_hash"), corpora=corpora, sources=run.sources)


def _size(counts: Mapping[str, Any]) -> PartSize:
    entities = counts.get("entities")
    total = sum(entities.values()) if isinstance(entities, Mapping) else entities  # counted by type
    return PartSize(documents=counts["documents"], sentences=counts.get("sentences"), entities=total)


def scores(figures: Mapping[str, Any]) -> list[CorpusScores]:
    """Every system on the test parts; the part without sentences of train only if the test part has such."""
    rows = []
    for corpus, splits in figures.get("corpora", {}).items():
        repeated = figures.get("overlapping_sentences", {}).get(corpus)
        for split, systems in splits.items():
            if not (split == "test" or (split.startswith("test") and repeated)):
                continue
            size = figures.get("sizes", {}).get(corpus, {}).get(split, {})
            lead = figures.get("significance", {}).get(corpus, {}).get(split)
            order = sorted(systems, key=lambda name: name != ENSEMBLE)  # the base models stay in their order
            rows.append(
                CorpusScores(
                    corpus=corpus,
                    split=split,
                    documents=size.get("documents"),
                    entities=size.get("entities"),
                    systems={name: _score(systems[name]) for name in order},
                    lead=Lead(**{name: lead[name] for name in Lead.model_fields}) if lead else None,
                )
            )
    return rows


def _score(system: Mapping[str, Any]) -> SystemScore:
    return SystemScore(
        f1=system["f1"], precision=system["precision"], recall=system["recall"], ece=_calibration(system).get("ece")
    )


def _calibration(system: Mapping[str, Any]) -> Mapping[str, Any]:
    return system.get("calibration") or {}


def thresholds(figures: Mapping[str, Any]) -> list[Threshold]:
    """The scores of the ensemble from which 95 or 99 % of the entities are right, by corpus."""
    return [
        Threshold(
            corpus=corpus,
            wanted=int(precision),
            score=limit["score"] if limit else None,
            dev=_scores_from(limit, "dev"),
            test=_scores_from(limit, "test"),
        )
        for corpus, systems in figures.get("thresholds", {}).items()
        for precision, limit in systems.get(ENSEMBLE, {}).items()
    ]


def _scores_from(limit: Mapping[str, Any] | None, part: str) -> ScoresFrom | None:
    scores = (limit or {}).get(part)
    return ScoresFrom(**{name: scores[name] for name in ScoresFrom.model_fields}) if scores else None


def behaviour(gate: Mapping[str, Any]) -> BehaviourFacts | None:
    """The pass rates in a gate's record."""
    rates = gate.get("behaviour", {}).get("challenger")
    return BehaviourFacts(**{name: rates[name] for name in BehaviourFacts.model_fields}) if rates else None
