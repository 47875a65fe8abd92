"""The notices of what the registry's commands have changed, or refused to change."""

from __future__ import annotations

from datetime import UTC, datetime

from multiner.pipeline import notices
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.gate.promotion import Promotion
from multiner.pipeline.registry.store import model_name

EVER = datetime.min.replace(tzinfo=UTC)


def announce_verdict(workspace: Workspace, language: str, promotion: Promotion) -> None:
    """Send a notice of a promotion or verdict; none where nothing was judged, and one for each verdict."""
    name, version, champion = promotion.name, promotion.version, promotion.champion
    facts = {"language": language, "model": name, "version": version, "report": promotion.report or ""}
    if promotion.promoted:
        notices.send(workspace, "promotion", f"{name} version {version} is champion", **facts)
        return
    if not promotion.final or champion == version:
        return
    stays = f"version {champion} stays champion" if champion else "there is no champion yet"
    facts |= {"champion": champion or ""}
    event: notices.Event = "promotion" if promotion.passed else "refusal"
    outcome = "passed the gate and waits for approval" if promotion.passed else "was not promoted"
    if not notices.was_sent(workspace, event, EVER, **facts):
        text = "\n".join([f"{name} version {version} {outcome}: {stays}", *promotion.reasons])
        notices.send(workspace, event, text, **facts)


def announce_rejection(workspace: Workspace, language: str, version: str, by: str) -> None:
    """Send a notice, once, that a person rejected a version that had passed the gate."""
    name = model_name(workspace, language)
    facts = {"language": language, "model": name, "version": version, "by": by}
    if not notices.was_sent(workspace, "refusal", EVER, **facts):
        notices.send(workspace, "refusal", f"{name} version {version} was rejected by {by}", **facts)


def announce_rollback(workspace: Workspace, language: str, version: str, reason: str | None) -> None:
    """Send a notice that a version is champion again."""
    name = model_name(workspace, language)
    text = f"{name} version {version} is champion again" + (f": {reason}" if reason else "")
    notices.send(workspace, "rollback", text, language=language, model=name, version=version)
