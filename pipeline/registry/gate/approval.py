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

NOBODY = "nobody within the time limit"  # in place of a person, where the DAG's question was not answered


@registry_errors()
def reject(workspace: Workspace, language: str, version: str, *, by: str | None = None) -> JournalEntry | None:
    """Enter in the journal that a version that passed the gate was rejected. No alias moves.

    Args:
        by: the person who rejected it, or ``NOBODY``; None: the user of this process.

    Returns:
        the entry; that of an earlier call with the same verdict if there is one. None: nobody answered, and the version
        is champion already, approved by the command for example.

    Raises:
        NerError: the language is unknown, the gate has not passed this version, or it is champion already.
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
        champion = alias_version(client, name, CHAMPION)
        if champion == version:
            if by == NOBODY:
                return None
            raise NerError(
                f"version {version} is champion already, so it is too late to reject it",
                where=name,
                remedy=f"To go back to the champion before: ner rollback {language}",
            )
        rejection = JournalEntry(
            at=now(),
            kind="rejection",
            before=champion,
            version=version,
            by=decided_by(by),
            verdict_key=entry.tags.get(KEY),
        )
        return journal.note(client, name, rejection)
