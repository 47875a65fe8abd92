"""Promotion by an operator's order: the version must load and answer, but is not compared with the champion."""

from __future__ import annotations

import math

from multiner.pipeline import notices
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.champions import model_folder, set_champion, version_info
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.journal.entry import JournalEntry, checked_reason, now
from multiner.pipeline.registry.registration import alias_version, known_version
from multiner.pipeline.registry.store import CHAMPION, model_name, open_store, registry_lock


@registry_errors()
def promote_version(workspace: Workspace, language: str, version: str, *, reason: str, by: str | None = None) -> str:
    """Make a version champion by an operator's order; returns it as the registry writes it.

    Its files must be there, and it must load in a fresh process and answer the golden samples. Neither its scores nor
    its speed are judged, and the mark of an earlier rollback from it is removed.

    Args:
        reason: a line of 200 characters at most.
        by: who orders it; by default the user, or the DAG run, of this process.

    Raises:
        NerError: the reason is missing or too long; there is no such version, it is champion already, its files were
            deleted, or it fails to load or answer; or the champion changed meanwhile. Nothing has changed then.
    """
    workspace.language(language)  # refuses an unknown one
    line = checked_reason(reason)
    if line is None:
        raise NerError("a promotion by hand needs a reason", remedy='Give one: --reason "…"; the journal keeps it.')
    name = model_name(workspace, language)
    client = open_store(workspace)
    target, current = known_version(client, name, version), alias_version(client, name, CHAMPION)
    if target is None:
        raise NerError(f"{name} has no version {version}", remedy="The page /models and MLflow list the versions.")
    if target == current:
        raise NerError(f"{name} version {target} is champion already", remedy=f"See: ner history {language}")
    folder = model_folder(version_info(client, name, target))
    rules = workspace.params["promotion"] | {"max_latency_ms": math.inf}
    verdict = gate.check_golden(folder, language, gate.types_of(folder), rules)
    if not verdict.passed:
        raise NerError(
            f"not promoted: {'; '.join(verdict.reasons)}", where=f"{name} version {target}", transient=not verdict.final
        )
    with registry_lock(workspace, f".{name}.lock"):
        if (champion := alias_version(client, name, CHAMPION)) != current:
            raise NerError(
                f"not promoted: version {champion} became champion meanwhile",
                where=f"{name} version {target}",
                remedy=f"See: ner history {language}. To promote all the same, give the order again.",
            )
        set_champion(client, name, target, JournalEntry(now(), "order", current, target, by, line))
    text = f"{name} version {target} is champion by an operator's order: {line}"
    notices.send(workspace, "promotion", text, language=language, model=name, version=target)
    return target
