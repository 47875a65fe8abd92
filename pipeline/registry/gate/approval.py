"""A person's rejection of a challenger that passed the gate; the approval is part of :func:`.promotion.promote`."""

from __future__ import annotations

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import journal
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate.verdict_notes import KEY, PASSED
from multiner.pipeline.registry.journal.entry import JournalEntry, decided_by, now
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.runs import if_exists
from multiner.pipeline.registry.store import CHAMPION, model_name, open_store, registry_lock


@registry_errors()
def reject(workspace: Workspace, language: str, version: str, *, by: str | None = None) -> JournalEntry:
    """Enter in the journal that a version that passed the gate was rejected. No alias moves.

    Args:
        by: the person who rejected it; None: the user of this process.

    Returns:
        the entry; that of an earlier call with the same verdict if there is one.

    Raises:
        NerError: the language is unknown, or the gate has not passed this version.
    """
    workspace.language(language)  # refuses an unknown one
    name = model_name(workspace, language)
    with registry_lock(workspace, f".{name}.lock"):
        client = open_store(workspace)
        entry = if_exists(client.get_model_version, name, version)
        if entry is None or entry.tags.get(PASSED) != "true":
            raise NerError(
                f"version {version} has not passed the gate, so nobody can reject it",
                where=name,
                remedy=f"Look at the verdicts: ner history {language}",
            )
        rejection = JournalEntry(
            at=now(),
            kind="rejection",
            before=alias_version(client, name, CHAMPION),
            version=version,
            by=decided_by(by),
            verdict_key=entry.tags.get(KEY),
        )
        return journal.note(client, name, rejection)
