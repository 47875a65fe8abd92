"""Whether a challenger waits for the gate: registered, but not judged, as after a gate that could not judge."""

from __future__ import annotations

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate.verdict_notes import KEY
from multiner.pipeline.registry.journal.former_switches import ROLLED_BACK
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.store import CHALLENGER, CHAMPION, model_name, open_store


@registry_errors()
def waiting_challenger(workspace: Workspace, language: str) -> str | None:
    """The version of the challenger that the gate has not judged yet; None if there is none.

    Raises:
        NerError: the language is unknown, or the registry cannot be read.
    """
    workspace.language(language)
    client, name = open_store(workspace), model_name(workspace, language)
    challenger = alias_version(client, name, CHALLENGER)
    if challenger is None or challenger == alias_version(client, name, CHAMPION):
        return None
    tags = client.get_model_version(name, challenger).tags
    return None if ROLLED_BACK in tags or KEY in tags else challenger
