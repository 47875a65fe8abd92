"""From challenger to champion: ask the gate, move the aliases, and note the verdict in the run."""

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
from multiner.pipeline.registry.card import CARD, with_behaviour
from multiner.pipeline.registry.champions import (
    ROLLED_BACK,
    SINCE,
    crown,
    model_folder,
    now,
    version_info,
)
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import Best, basis_hash, gate_documents
from multiner.pipeline.registry.gate.verdict import GateVerdict
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.runs import deleted_run, require_files, run_id_of
from multiner.pipeline.registry.store import (
    CHALLENGER,
    CHAMPION,
    model_name,
    open_store,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

PASSED, REASONS, KEY, F1 = "gate.passed", "gate.reasons", "gate.key", "gate.f1"
TAG_LENGTH = 5000
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Promotion:
    """What became of a challenger: ``version`` was looked at, ``champion`` serves now (None: nothing does).

    ``final`` is as the gate's: False where it could not judge, and the next call asks again.
    """

    name: str
    version: str
    champion: str | None
    promoted: bool
    reasons: list[str]
    final: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """A challenger that is to be judged against a champion (None: there is none).

    ``basis`` is the hash of what their F1 is measured on, ``key`` that of all that the verdict follows from;
    ``verdict`` was reached before, if it was.
    """

    challenger: str
    champion: str | None
    documents: dict[str, list[Document]]
    basis: str
    best: Best | None
    key: str
    verdict: GateVerdict | None


@registry_errors()
def promote(workspace: Workspace, language: str) -> Promotion:
    """Make the challenger champion if it passes the gate; otherwise it stays challenger and its run says why.

    Idempotent: a verdict once reached on the same two versions, documents and rules is not reached again. The
    registry is free while the gate works, so that a rollback need not wait for it; a challenger whose champion has
    changed by then is judged anew.

    Raises:
        NerError: an unknown language, nothing was registered, the prepared documents or the files of a version are
            missing, the challenger's MLflow run was deleted, or the champion keeps changing.
    """
    workspace.language(language)  # refuses an unknown one
    name, mlruns = model_name(workspace, language), workspace.paths.mlruns
    with locks.hold(mlruns / f".{name}.gate.lock", locks.GATE):  # one gate at a time, which nothing else waits for
        for _ in range(ATTEMPTS):
            with locks.hold(mlruns / f".{name}.lock", locks.REGISTRY):
                client = open_store(workspace)
                trial = look(client, workspace, language, name)
            if isinstance(trial, Promotion):
                return trial
            verdict = trial.verdict or judged(client, workspace, language, name, trial)
            with locks.hold(mlruns / f".{name}.lock", locks.REGISTRY):
                if done := settle(client, name, trial, verdict):
                    return done
    raise NerError(
        f"{name}: the champion changed {ATTEMPTS} times while a challenger was being judged",
        remedy=f"Look who switches (ner status), then run again: ner promote -l {language}",
        transient=True,
    )


def look(client: MlflowClient, workspace: Workspace, language: str, name: str) -> Promotion | Trial:
    """Who is to be judged against whom; or what came of it, where nothing is to be judged."""
    challenger, champion = alias_version(client, name, CHALLENGER), alias_version(client, name, CHAMPION)
    if champion is not None and challenger in (None, champion):
        crown(client, name, champion)  # clears an alias that a killed call left
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
    known = GateVerdict(tags[PASSED] == "true", json.loads(tags[REASONS])) if tags.get(KEY) == key else None
    deleted = deleted_run(client, name, challenger)
    if known and deleted:
        known.reasons.append(f"version {challenger}: {deleted.message}")
    elif deleted:
        raise deleted
    if known is None or known.passed:
        for version in filter(None, (challenger, champion)):
            require_files(name, version)
    return Trial(challenger, champion, documents, basis, best, key, known)


def best_before(client: MlflowClient, name: str, basis: str, champion: str | None) -> Best | None:
    """The best of the champions before ``champion`` whose F1 on ``basis`` is known; those rolled back do not count."""
    tag = f1_tag(basis)
    found = [
        Best(str(version.version), float(version.tags[tag]))
        for version in client.search_model_versions(f"name = '{name}'", max_results=1000)
        if tag in version.tags and SINCE in version.tags and ROLLED_BACK not in version.tags
    ]
    return max((best for best in found if best.version != champion), key=lambda best: best.f1, default=None)


def f1_tag(basis: str) -> str:
    """The tag of a version that holds its F1 on what has the hash ``basis``."""
    return f"{F1}.{basis[:16]}"


def judged(client: MlflowClient, workspace: Workspace, language: str, name: str, trial: Trial) -> GateVerdict:
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
    """Note the verdict and crown who passed; None, and nothing done, where the champion is no more the one compared."""
    tags = client.get_model_version(name, trial.challenger).tags
    if alias_version(client, name, CHAMPION) != trial.champion or ROLLED_BACK in tags:
        return None
    if trial.verdict is None:
        note(client, name, trial, verdict)
    if verdict.passed:
        crown(client, name, trial.challenger)
    champion = trial.challenger if verdict.passed else trial.champion
    return Promotion(name, trial.challenger, champion, verdict.passed, verdict.reasons, verdict.final)


def verdict_key(
    workspace: Workspace, language: str, challenger: str, champion: str | None, basis: str, best: Best | None = None
) -> str:
    """A hash over everything that a verdict follows from."""
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
    """Write a verdict into the challenger's run (tags, a JSON file, metrics, the card) and onto its version.

    Both versions are tagged with their F1, which later challengers are held against.
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
    if not deleted_run(client, name, version):  # as it may have been while the gate was at work
        client.log_dict(run_id, record, f"gate/version-{version}-against-{champion or 'none'}.json")
        if behaviour := verdict.details.get("behaviour"):
            note_behaviour(client, run_id, behaviour["challenger"])
        for tag, value in tags.items():
            client.set_tag(run_id, tag, value[:TAG_LENGTH])
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, value)
    of = {"challenger": version, "champion": champion}
    for role, f1 in verdict.details.get("f1", {}).items():
        client.set_model_version_tag(name, of[role], f1_tag(trial.basis), str(f1))
    if verdict.final:
        client.set_model_version_tag(name, version, KEY, trial.key)


def note_behaviour(client: MlflowClient, run_id: str, found: dict[str, Any]) -> None:
    """Put the pass rates of the behaviour suite into a run: metrics ``behaviour.<capability>``, and its model card."""
    from mlflow.entities import Metric

    rates = found["capabilities"] | {"overall": found["overall"]}
    at = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(f"behaviour.{name}", rate, at, 0) for name, rate in rates.items()])
    with TemporaryDirectory(prefix="ner-card-") as folder:
        written = Path(client.download_artifacts(run_id, CARD, folder)).read_text(encoding="utf-8")
    client.log_text(run_id, with_behaviour(written, rates, found["cases"]), CARD)
