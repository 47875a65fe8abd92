"""Whether a challenger waits: not judged, as after a gate that could not judge, or passed and nobody has decided."""

from __future__ import annotations

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry import journal
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate.verdict_notes import KEY, PASSED
from multiner.pipeline.registry.journal.former_switches import ROLLED_BACK
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.store import CHALLENGER, CHAMPION, model_name, open_store


@registry_errors()
def waiting_challenger(workspace: Workspace, language: str) -> str | None:
    """The version of the challenger that waits; None if there is none.

    It waits until the gate has judged it. With ``promotion.approval`` one that passed waits until a person has decided,
    or the time for that has passed: a restart of the system may have ended the question.

    Raises:
        NerError: the language is unknown, or the registry cannot be read.
    """
    workspace.language(language)
    client, name = open_store(workspace), model_name(workspace, language)
    challenger = alias_version(client, name, CHALLENGER)
    if challenger is None or challenger == alias_version(client, name, CHAMPION):
        return None
    tags = client.get_model_version(name, challenger).tags
    if ROLLED_BACK in tags:
        return None
    if KEY not in tags:
        return challenger
    if not workspace.params["promotion"]["approval"] or tags.get(PASSED) != "true":
        return None
    decision = ("rejection", challenger, tags[KEY])
    rejected = any((each.kind, each.version, each.verdict_key) == decision for each in journal.entries(client, name))
    return None if rejected else challenger
