"""Facts about a version out of the MLflow registry, in the shapes of :mod:`multiner.serving.operator.model_schemas`."""

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
    Kept,
    Lead,
    ModelFacts,
    Part,
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
RUNS_KEPT = 16
Runs = MutableMapping[tuple[str, str], "RunRecord"]  # by run and verdict: what a run holds changes with nothing else


def read(workspace: Workspace, language: str, version: str | None, runs: Runs) -> ModelFacts:
    """The facts of a version (None: of the champion); blocking. ``runs`` keeps what was read of runs.

    Raises:
        Exception: whatever MLflow raises where its store cannot be read.
    """
    from multiner.pipeline.registry.facts import history, run_record
    from multiner.pipeline.registry.journal import switches
    from multiner.pipeline.registry.store import CHAMPION, model_name, open_store

    client, name = open_store(workspace), model_name(workspace, language)
    versions = history(client, name)
    known = ModelFacts(
        history=[version_facts(each) for each in versions],
        switches=[switch_facts(each) for each in switches(client, name)] if versions else [],
        links=links(workspace, language, name),
    )
    wanted = [each for each in versions if (each.version == version if version else CHAMPION in each.aliases)]
    if not wanted:
        missing = f"{name} has no version {version}" if version else f"{name} has no champion"
        return known.model_copy(update={"registry": f"{missing} in the registry."})
    found = wanted[0]
    key = (found.run_id, found.gate_key)
    run = runs.get(key) or run_record(client, found)
    if run is None:
        lost = f"The MLflow run {found.run_id} of version {found.version} was deleted for good, with its scores."
        return known.model_copy(update={"registry": lost})
    if key not in runs:
        while len(runs) >= RUNS_KEPT:
            runs.pop(next(iter(runs)), None)
        runs[key] = run
    return known.model_copy(update=described(found, run) | {"links": links(workspace, language, name, found, run)})


def links(
    workspace: Workspace,
    language: str,
    name: str,
    version: VersionRecord | None = None,
    run: RunRecord | None = None,
) -> dict[str, str]:
    """Where MLflow and Airflow show more, on the server's machine, and the gateway itself: paths without a host."""
    at, airflow = Addresses.of(workspace), public_url(workspace)
    found = {
        "model": f"{at.mlflow}/#/models/{name}",
        "retraining": f"{airflow}/dags/retrain_{language}",
        "promotion": f"{airflow}/dags/promote_{language}",
        "validation": f"/reports/{language}/validation/",
        "report": f"/reports/{language}/report/",
    }
    if version and run:
        found["version"] = f"{at.mlflow}/#/models/{name}/versions/{version.version}"
        found["run"] = f"{at.mlflow}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    return found


def version_facts(record: VersionRecord) -> VersionFacts:
    """A row of the history."""
    judged = record.gate_passed is not None
    return VersionFacts(
        version=record.version,
        aliases=list(record.aliases),
        created=record.created.isoformat(timespec="seconds"),
        champion_since=record.champion_since,
        previous=record.previous,
        rolled_back=record.rolled_back,
        gate=GateFacts(passed=record.gate_passed, reasons=list(record.gate_reasons)) if judged else None,
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
    """The fields of :class:`ModelFacts` that tell of one version."""
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
        counted = sizes.get(corpus, {})
        parts = {part: _part(counted[part]) for part in PARTS if counted.get(part)}
        in_training = corpus in trained
        corpora.append(CorpusFacts(corpus=corpus, title=title, licence=licence, trained_on=in_training, parts=parts))
    return DataFacts(hash=run.tags.get("data_hash"), corpora=corpora, sources=run.sources)


def _part(counts: Mapping[str, Any]) -> Part:
    entities = counts.get("entities")
    total = sum(entities.values()) if isinstance(entities, Mapping) else entities  # counted by type
    return Part(documents=counts["documents"], sentences=counts.get("sentences"), entities=total)


def scores(figures: Mapping[str, Any]) -> list[CorpusScores]:
    """Every system on the test parts; the one without the sentences of train only where there are such sentences."""
    rows = []
    for corpus, splits in figures.get("corpora", {}).items():
        repeated = figures.get("overlapping_sentences", {}).get(corpus)
        for split, systems in splits.items():
            if not (split == "test" or (split.startswith("test") and repeated)):
                continue
            size = figures.get("sizes", {}).get(corpus, {}).get(split, {})
            lead = figures.get("significance", {}).get(corpus, {}).get(split)
            order = sorted(systems, key=lambda name: name != ENSEMBLE)  # stable: the legs stay in their order
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
    """From which score of the ensemble on 95 or 99 % are right, by corpus."""
    return [
        Threshold(
            corpus=corpus,
            wanted=int(wanted),
            score=limit["score"] if limit else None,
            dev=_kept(limit, "dev"),
            test=_kept(limit, "test"),
        )
        for corpus, systems in figures.get("thresholds", {}).items()
        for wanted, limit in systems.get(ENSEMBLE, {}).items()
    ]


def _kept(limit: Mapping[str, Any] | None, part: str) -> Kept | None:
    found = (limit or {}).get(part)
    return Kept(**{name: found[name] for name in Kept.model_fields}) if found else None


def behaviour(gate: Mapping[str, Any]) -> BehaviourFacts | None:
    """Pass rates out of a gate's record."""
    found = gate.get("behaviour", {}).get("challenger")
    return BehaviourFacts(**{name: found[name] for name in BehaviourFacts.model_fields}) if found else None
