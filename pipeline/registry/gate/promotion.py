"""Promotion: ask the gate about the challenger, move the aliases, and note the verdict in the run."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.dvc_cache import require_whole
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import sha256_of
from multiner.pipeline.evaluation.behaviour.cases import suite_hash
from multiner.pipeline.inference import golden
from multiner.pipeline.registry import journal
from multiner.pipeline.registry.card import CARD, with_behaviour
from multiner.pipeline.registry.champions import model_folder, set_champion, version_info
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.former_switches import ROLLED_BACK, SINCE
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import FormerBest, GateVerdict, basis_hash, gate_documents
from multiner.pipeline.registry.gate.entries import verdict_entry
from multiner.pipeline.registry.journal_entry import now
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.runs import deleted_run, require_files, run_id_of
from multiner.pipeline.registry.store import CHALLENGER, CHAMPION, model_name, open_store, registry_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

PASSED, REASONS, KEY, F1 = "gate.passed", "gate.reasons", "gate.key", "gate.f1"
TAG_LENGTH = 5000
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Promotion:
    """The outcome for a challenger: ``version`` was judged, ``champion`` is champion now (None: there is none).

    ``final`` is False if the gate could not judge; the next call asks it again.
    """

    name: str
    version: str
    champion: str | None
    promoted: bool
    reasons: list[str]
    final: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """A challenger to be judged against a champion (None: there is none).

    ``basis`` is the hash of the documents and types of their F1, ``key`` that of everything that the verdict depends
    on; ``verdict`` is an earlier one with this key.
    """

    challenger: str
    champion: str | None
    documents: dict[str, list[Document]]
    basis: str
    best: FormerBest | None
    key: str
    verdict: GateVerdict | None


@registry_errors()
def promote(workspace: Workspace, language: str) -> Promotion:
    """Make the challenger champion if it passes the gate; otherwise it stays challenger, and its run says why.

    The same two versions, documents and rules are judged once. The registry is not locked while the gate works, so
    that a rollback need not wait; if the champion has changed by then, the challenger is judged again.

    Raises:
        NerError: the language is unknown, nothing was registered, the prepared documents or the files of a version are
            missing, the challenger's MLflow run was deleted, or the champion keeps changing.
    """
    workspace.language(language)  # refuses an unknown one
    name = model_name(workspace, language)
    with registry_lock(workspace, f".{name}.gate.lock", locks.GATE):  # one gate at a time, which nothing else waits for
        for _ in range(ATTEMPTS):
            with registry_lock(workspace, f".{name}.lock"):
                client = open_store(workspace)
                trial = look(client, workspace, language, name)
            if isinstance(trial, Promotion):
                return trial
            verdict = trial.verdict or judge(client, workspace, language, name, trial)
            with registry_lock(workspace, f".{name}.lock"):
                if promotion := settle(client, name, trial, verdict):
                    return promotion
    raise NerError(
        f"{name}: the champion changed {ATTEMPTS} times while a challenger was being judged",
        remedy=f"The page /models shows who switched. Run again: ner promote -l {language}",
        transient=True,
    )


def look(client: MlflowClient, workspace: Workspace, language: str, name: str) -> Promotion | Trial:
    """The two versions to be judged, or the outcome where nothing is to be judged."""
    challenger, champion = alias_version(client, name, CHALLENGER), alias_version(client, name, CHAMPION)
    if champion is not None and challenger in (None, champion):
        set_champion(client, name, champion)  # removes the alias challenger after a killed call
        return Promotion(name, champion, champion, False, [f"version {champion} is champion already"])
    if challenger is None:
        raise NerError(
            f"{name}: nothing was registered yet", remedy=f"Register a model first: ner register -l {language}"
        )
    tags = client.get_model_version(name, challenger).tags
    if ROLLED_BACK in tags:
        reason = f"version {challenger} was rolled back at {tags[ROLLED_BACK]} and is not promoted again by itself"
        return Promotion(name, challenger, champion, False, [reason])
    require_whole(workspace.root, [workspace.paths.documents(language)])
    documents = gate_documents(workspace, language)
    basis = basis_hash(documents, workspace.language(language)["types"])
    best = best_before(client, name, basis, champion)
    key = verdict_key(workspace, language, challenger, champion, basis, best)
    verdict = GateVerdict(tags[PASSED] == "true", json.loads(tags[REASONS])) if tags.get(KEY) == key else None
    if error := deleted_run(client, name, challenger):
        if verdict is None:
            raise error
        verdict.reasons.append(f"version {challenger}: {error.message}")
    if verdict is None or verdict.passed:
        for version in filter(None, (challenger, champion)):
            require_files(name, version)
    return Trial(challenger, champion, documents, basis, best, key, verdict)


def best_before(client: MlflowClient, name: str, basis: str, champion: str | None) -> FormerBest | None:
    """The best champion before ``champion`` on ``basis``, as far as F1 was measured; without those rolled back."""
    tag = f1_tag(basis)
    former = [
        FormerBest(str(version.version), float(version.tags[tag]))
        for version in client.search_model_versions(f"name = '{name}'", max_results=1000)
        if tag in version.tags and SINCE in version.tags and ROLLED_BACK not in version.tags
    ]
    return max((best for best in former if best.version != champion), key=lambda best: best.f1, default=None)


def f1_tag(basis: str) -> str:
    """The tag of versions with their F1 on the documents and types of the hash ``basis``."""
    return f"{F1}.{basis[:16]}"


def judge(client: MlflowClient, workspace: Workspace, language: str, name: str, trial: Trial) -> GateVerdict:
    """The gate's verdict on a challenger."""
    return gate.judge(
        model_folder(version_info(client, name, trial.challenger)),
        model_folder(version_info(client, name, trial.champion)) if trial.champion else None,
        trial.documents,
        language=language,
        types=workspace.language(language)["types"],
        options=workspace.params["promotion"],
        seed=workspace.params["seed"],
        best=trial.best,
    )


def settle(client: MlflowClient, name: str, trial: Trial, verdict: GateVerdict) -> Promotion | None:
    """Note the verdict and promote a challenger that passed; None, without a change, if the champion has changed."""
    tags = client.get_model_version(name, trial.challenger).tags
    if alias_version(client, name, CHAMPION) != trial.champion or ROLLED_BACK in tags:
        return None
    if trial.verdict is None:
        note(client, name, trial, verdict)
    report = report_path(trial.challenger, trial.champion)
    entry = verdict_entry(trial.challenger, trial.champion, trial.key, verdict, report, promoted=verdict.passed)
    if verdict.passed:
        set_champion(client, name, trial.challenger, entry)
    else:
        journal.note(client, name, entry)
    champion = trial.challenger if verdict.passed else trial.champion
    return Promotion(name, trial.challenger, champion, verdict.passed, verdict.reasons, verdict.final)


def report_path(version: str, champion: str | None) -> str:
    """The path of a verdict among the artifacts of the challenger's run."""
    return f"gate/version-{version}-against-{champion or 'none'}.json"


def verdict_key(
    workspace: Workspace,
    language: str,
    challenger: str,
    champion: str | None,
    basis: str,
    best: FormerBest | None = None,
) -> str:
    """A hash over everything that a verdict depends on: equal keys need no second judgement."""
    parts = {
        "versions": [challenger, champion],
        "rules": workspace.params["promotion"],
        "seed": workspace.params["seed"],
        "golden": sha256_of(golden.FILE),
        "behaviour": suite_hash(language),
        "basis": basis,
        "best": asdict(best) if best else None,
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def note(client: MlflowClient, name: str, trial: Trial, verdict: GateVerdict) -> None:
    """Write a verdict into the challenger's run (tags, a JSON file, metrics, the card) and its version's tags.

    Both versions are tagged with their F1, for comparison with later challengers.
    """
    version, champion = trial.challenger, trial.champion
    run_id = run_id_of(client.get_model_version(name, version))
    reasons = json.dumps(verdict.reasons, ensure_ascii=False)
    record = {
        "model": name,
        "version": version,
        "champion": champion,
        "passed": verdict.passed,
        "reasons": verdict.reasons,
        "at": now(),
        **verdict.details,
    }
    tags = {PASSED: str(verdict.passed).lower(), REASONS: reasons}
    if not deleted_run(client, name, version):  # it may have been deleted while the gate was at work
        client.log_dict(run_id, record, report_path(version, champion))
        if behaviour := verdict.details.get("behaviour"):
            note_behaviour(client, run_id, behaviour["challenger"])
        for tag, value in tags.items():
            client.set_tag(run_id, tag, value[:TAG_LENGTH])
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, value)
    versions = {"challenger": version, "champion": champion}
    for role, f1 in verdict.details.get("f1", {}).items():
        client.set_model_version_tag(name, versions[role], f1_tag(trial.basis), str(f1))
    if verdict.final:
        client.set_model_version_tag(name, version, KEY, trial.key)


def note_behaviour(client: MlflowClient, run_id: str, report: dict[str, Any]) -> None:
    """Log the pass rates of the behaviour suite in a run: metrics ``behaviour.<capability>``, and the model card."""
    from mlflow.entities import Metric

    rates = report["capabilities"] | {"overall": report["overall"]}
    at = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(f"behaviour.{name}", rate, at, 0) for name, rate in rates.items()])
    with TemporaryDirectory(prefix="ner-card-") as folder:
        card = Path(client.download_artifacts(run_id, CARD, folder)).read_text(encoding="utf-8")
    client.log_text(run_id, with_behaviour(card, rates, report["cases"]), CARD)
