"""The beginning of a journal: the champion's switches from before each entry had a tag of its own.

They stand in one tag of the registered model, which is never changed once entries follow. In a registry that is older
than that tag, the tags of the versions show the last switch to each version.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from multiner.pipeline.registry.journal.entry import TAG_LENGTH, JournalEntry, entry_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
TAG = "ner.champion_switches"
UNREADABLE = f"{TAG}.unreadable"  # gets the content of TAG that is no list of switches
PREVIOUS, SINCE, ROLLED_BACK = "ner.previous_champion", "ner.champion_since", "ner.rolled_back"  # tags of versions
ROLLBACK_TAKES = timedelta(minutes=1)  # between the tags of the two versions, at most
NAMES = {"at": "at", "kind": "kind", "from": "before", "to": "version", "by": "by", "reason": "reason"}


def of_model(client: MlflowClient, name: str, tags: Mapping[str, str]) -> list[JournalEntry]:
    """The switches in a registered model's tags, or those that the tags of its versions show; the newest first."""
    if TAG in tags and (switches := read(tags)) is not None:
        return switches
    versions = client.search_model_versions(f"name = '{name}'", max_results=1000)
    return by_tags({str(version.version): version.tags for version in versions})


def fix(client: MlflowClient, name: str, tags: Mapping[str, str]) -> None:
    """Make sure that the tag of the former switches is there and readable, before the first entry follows them."""
    if TAG in tags and read(tags) is not None:
        return
    switches = of_model(client, name, tags)
    if TAG in tags:
        client.set_registered_model_tag(name, UNREADABLE, tags[TAG])
    client.set_registered_model_tag(name, TAG, dumps(switches))


def read(tags: Mapping[str, str]) -> list[JournalEntry] | None:
    """The former switches among a registered model's tags; None, with a warning, if the tag does not hold such."""
    try:
        return loads(tags.get(TAG))
    except ValueError as error:
        log.warning("the tag %s holds no switches: %s", TAG, error)
        return None


def dumps(switches: Sequence[JournalEntry]) -> str:
    """The tag's value: the first switches, as many as fit."""
    entries: list[str] = []
    room = TAG_LENGTH - len("[]")
    for switch in switches:
        fields = {key: value for key, name in NAMES.items() if (value := getattr(switch, name)) is not None}
        entry = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        room -= len(entry) + len(",")
        if room < 0:
            break
        entries.append(entry)
    return f"[{','.join(entries)}]"


def loads(value: str | None) -> list[JournalEntry]:
    """The switches in the tag's value; none where there is no tag. Raises ValueError if it holds something else."""
    entries = json.loads(value or "[]")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("not a list of switches")
    return [entry_of({name: entry.get(key) for key, name in NAMES.items()}) for entry in entries]


def by_tags(versions: Mapping[str, Mapping[str, str]]) -> list[JournalEntry]:
    """The switches that the tags of versions show, the newest first, without who switched."""
    result: list[JournalEntry] = []
    rolled_back = {version: tags[ROLLED_BACK] for version, tags in versions.items() if ROLLED_BACK in tags}
    for version, tags in versions.items():
        if (since := tags.get(SINCE)) is None:
            continue
        back = next((other for other, at in rolled_back.items() if other != version and _together(at, since)), None)
        if back:
            del rolled_back[back]
            result.append(JournalEntry(since, "rollback", back, version))
        else:
            result.append(JournalEntry(since, "promotion", tags.get(PREVIOUS), version))
    result += [JournalEntry(at, "rollback", version, None) for version, at in rolled_back.items()]
    return sorted(result, key=lambda switch: switch.at, reverse=True)


def _together(rolled_back: str, since: str) -> bool:
    """Whether the same rollback has written both tags."""
    return timedelta() <= datetime.fromisoformat(since) - datetime.fromisoformat(rolled_back) <= ROLLBACK_TAKES
