"""From challenger to champion: ask the gate, move the aliases, and note the verdict in the run."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline import golden
from pipeline.behaviour.cases import suite_hash
from pipeline.document import Document
from pipeline.errors import NerError
from pipeline.files import sha256_of
from pipeline.registry import gate
from pipeline.registry.card import CARD, with_behaviour
from pipeline.registry.champions import ROLLED_BACK, crown, model_folder, now, version_info
from pipeline.registry.registration import alias_version
from pipeline.registry.store import CHALLENGER, CHAMPION, exclusive, model_name, open_store
from pipeline.settings import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

PASSED, REASONS, KEY = "gate.passed", "gate.reasons", "gate.key"
TAG_LENGTH = 5000


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


def promote(workspace: Workspace, language: str) -> Promotion:
    """Make the challenger champion if it passes the gate; otherwise it stays challenger and its run says why.

    Idempotent: a verdict once reached on the same two versions, documents and rules is not reached again.

    Raises:
        NerError: nothing was registered, or the prepared documents are missing.
    """
    name = model_name(workspace, language)
    with exclusive(workspace.paths.mlruns / f".{name}.lock"):
        client = open_store(workspace)
        challenger, champion = alias_version(client, name, CHALLENGER), alias_version(client, name, CHAMPION)
        if challenger is None and champion is None:
            raise NerError(
                f"{name}: nothing was registered yet", remedy=f"Register a model first: ner register -l {language}"
            )
        if challenger is None or challenger == champion:
            crown(client, name, champion)  # clears an alias that a killed call left
            return Promotion(name, champion, champion, False, [f"version {champion} is champion already"])
        tags = client.get_model_version(name, challenger).tags
        if ROLLED_BACK in tags:
            reason = f"version {challenger} was rolled back at {tags[ROLLED_BACK]} and is not promoted again by itself"
            return Promotion(name, challenger, champion, False, [reason])
        documents = gate.gate_documents(workspace, language)
        key = verdict_key(workspace, language, challenger, champion, documents)
        if tags.get(KEY) == key:
            verdict = gate.GateVerdict(tags[PASSED] == "true", json.loads(tags[REASONS]))
        else:
            verdict = gate.judge(
                model_folder(version_info(client, name, challenger)),
                model_folder(version_info(client, name, champion)) if champion else None,
                documents,
                language=language,
                types=workspace.language(language)["types"],
                options=workspace.params["promotion"],
                seed=workspace.params["seed"],
            )
            note(client, name, challenger, champion, verdict, key)
        if verdict.passed:
            crown(client, name, challenger)
        crowned = challenger if verdict.passed else champion
        return Promotion(name, challenger, crowned, verdict.passed, verdict.reasons, verdict.final)


def verdict_key(
    workspace: Workspace, language: str, challenger: str, champion: str | None, documents: dict[str, list[Document]]
) -> str:
    """A hash over everything that a verdict follows from."""
    parts = {
        "versions": [challenger, champion],
        "rules": workspace.params["promotion"],
        "seed": workspace.params["seed"],
        "golden": sha256_of(golden.FILE),
        "behaviour": suite_hash(language),
        "documents": {corpus: [document.to_json() for document in part] for corpus, part in documents.items()},
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def note(
    client: MlflowClient, name: str, version: str, champion: str | None, verdict: gate.GateVerdict, key: str
) -> None:
    """Write a verdict into the challenger's run (tags, a JSON file, metrics, the card) and onto its version."""
    run_id = client.get_model_version(name, version).run_id
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
    client.log_dict(run_id, record, f"gate/version-{version}-against-{champion or 'none'}.json")
    if behaviour := verdict.details.get("behaviour"):
        note_behaviour(client, run_id, behaviour["challenger"])
    for tag, value in ((PASSED, str(verdict.passed).lower()), (REASONS, reasons)):
        client.set_tag(run_id, tag, value[:TAG_LENGTH])
        client.set_model_version_tag(name, version, tag, value)
    if verdict.final:
        client.set_model_version_tag(name, version, KEY, key)


def note_behaviour(client: MlflowClient, run_id: str, found: dict[str, Any]) -> None:
    """Put the pass rates of the behaviour suite into a run: metrics ``behaviour.<capability>``, and its model card."""
    from mlflow.entities import Metric

    rates = found["capabilities"] | {"overall": found["overall"]}
    at = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(f"behaviour.{name}", rate, at, 0) for name, rate in rates.items()])
    with TemporaryDirectory(prefix="ner-card-") as folder:
        written = Path(client.download_artifacts(run_id, CARD, folder)).read_text(encoding="utf-8")
    client.log_text(run_id, with_behaviour(written, rates, found["cases"]), CARD)
