"""Which versions of a registered model stay. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from multiner.pipeline.registry.gate.promotion import FORMER_CHAMPIONS
from multiner.pipeline.registry.journal.former_switches import PREVIOUS, ROLLED_BACK, SINCE
from multiner.pipeline.registry.store import CHAMPION


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version with its aliases and tags."""

    version: str
    aliases: Collection[str]
    tags: Mapping[str, str]


def kept_versions(versions: Sequence[RegisteredVersion], newest: int, in_use: Collection[str]) -> dict[str, str]:
    """The versions that stay, each with the reason.

    Args:
        versions: all versions of a model.
        newest: how many of the newest stay in any case.
        in_use: the versions that a gateway serves or keeps warm, or that an operator has ordered.
    """
    reasons: dict[str, str] = {}
    by_age = sorted(versions, key=lambda each: int(each.version), reverse=True)
    for each in by_age:
        if each.aliases:
            reasons[each.version] = ", ".join(sorted(each.aliases))
    for each in by_age:
        if each.aliases and (target := each.tags.get(PREVIOUS)):
            reasons.setdefault(target, f"rollback target of version {each.version}")
    for version in in_use:
        reasons.setdefault(version, "in use at the gateway")
    for version in _former_champions(versions):
        reasons.setdefault(version, "former champion, which the gate compares with")
    for each in by_age[:newest]:
        reasons.setdefault(each.version, f"one of the newest {newest}")
    present = {each.version for each in versions}
    return {version: reason for version, reason in reasons.items() if version in present}


def _former_champions(versions: Sequence[RegisteredVersion]) -> list[str]:
    """The latest champions before this one that were not rolled back: as many as the gate compares with."""
    former = [
        each
        for each in versions
        if SINCE in each.tags and ROLLED_BACK not in each.tags and CHAMPION not in each.aliases
    ]
    former.sort(key=lambda each: each.tags[SINCE], reverse=True)
    return [each.version for each in former[:FORMER_CHAMPIONS]]
