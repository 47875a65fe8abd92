"""The journal of a model: every switch of its champion, the newest first, as a tag of the registered model.

An entry is written before the alias moves, so that no switch is missing; if the call is killed in between, its
repetition replaces the entry. The tag holds as many of the newest entries as fit. In a registry without a journal it
begins with the switches that the versions' tags show, the last one to each version.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from multiner.pipeline.core.errors import NerError

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
TAG = "ner.champion_switches"
UNREADABLE = f"{TAG}.unreadable"  # gets the content of TAG that is no journal
TAG_LENGTH = 5000  # characters of a tag's value that every database of MLflow's holds
REASON_LENGTH = 200
PREVIOUS, SINCE, ROLLED_BACK = "ner.previous_champion", "ner.champion_since", "ner.rolled_back"  # tags of versions
ROLLBACK_TAKES = timedelta(minutes=1)  # between the tags of the two versions, at most
Kind = Literal["promotion", "rollback"]


@dataclass(frozen=True, slots=True)
class Switch:
    """The champion changed from version ``before`` (None: there was none) to ``after`` at ``at`` (ISO 8601, UTC).

    ``after`` is None where the tags do not show it, ``by`` (who switched) and ``reason`` where they were not noted.
    """

    at: str
    kind: Kind
    before: str | None
    after: str | None
    by: str | None = None
    reason: str | None = None


def actor() -> str:
    """The DAG run that this command belongs to, else the user of this process."""
    if dag := os.environ.get("AIRFLOW_CTX_DAG_ID"):
        return f"DAG {dag}, run {os.environ.get('AIRFLOW_CTX_DAG_RUN_ID', 'unknown')}"
    try:
        return f"user {getpass.getuser()}"
    except (OSError, KeyError):  # a user without a name, as in some containers
        return f"user {os.getuid()}"


def checked_reason(text: str | None) -> str | None:
    """A reason as one line of printable characters; None if it is empty. Raises NerError if it is too long."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text or "").split())
    if len(line) > REASON_LENGTH:
        raise NerError(f"the reason has {len(line)} characters, {REASON_LENGTH} at most are kept")
    return line or None


def dumps(switches: Sequence[Switch]) -> str:
    """The tag's value: the first switches, as many as fit."""
    entries: list[str] = []
    room = TAG_LENGTH - len("[]")
    for each in switches:
        fields = {"at": each.at, "kind": each.kind, "from": each.before, "to": each.after}
        fields |= {"by": each.by and each.by[:REASON_LENGTH], "reason": each.reason}
        present = {name: value for name, value in fields.items() if value is not None}
        entry = json.dumps(present, ensure_ascii=False, separators=(",", ":"))
        room -= len(entry) + len(",")
        if room < 0:
            break
        entries.append(entry)
    return f"[{','.join(entries)}]"


def loads(value: str | None) -> list[Switch]:
    """The switches in a tag's value; none where there is no tag yet. Raises ValueError if it is no journal."""
    entries = json.loads(value or "[]")
    if not isinstance(entries, list):
        raise ValueError("not a list")
    return [_switch(entry) for entry in entries]


def _switch(entry: Any) -> Switch:
    if not isinstance(entry, dict):
        raise ValueError(f"not a switch: {entry!r}")
    fields: list[Any] = [entry.get(name) for name in ("at", "kind", "from", "to", "by", "reason")]
    if fields[1] not in get_args(Kind) or not all(value is None or isinstance(value, str) for value in fields):
        raise ValueError(f"not a switch: {entry!r}")
    datetime.fromisoformat(fields[0] or "")
    return Switch(*fields)


def switches(client: MlflowClient, name: str) -> list[Switch]:
    """The switches of a model, the newest first."""
    return _switches(client, name, client.get_registered_model(name).tags)


def note(client: MlflowClient, name: str, switch: Switch) -> None:
    """Put a switch at the head of a model's journal; call it before a tag or alias of the versions changes."""
    tags = client.get_registered_model(name).tags
    before = _switches(client, name, tags)
    if tags.get(TAG) and not read(tags):
        client.set_registered_model_tag(name, UNREADABLE, tags[TAG])
    if before and (before[0].kind, before[0].before, before[0].after) == (switch.kind, switch.before, switch.after):
        before = before[1:]  # the call before was killed before the alias moved
    client.set_registered_model_tag(name, TAG, dumps([switch, *before]))


def _switches(client: MlflowClient, name: str, tags: Mapping[str, str]) -> list[Switch]:
    if journal := read(tags):
        return journal
    versions = client.search_model_versions(f"name = '{name}'", max_results=1000)
    return by_tags({str(version.version): version.tags for version in versions})


def read(tags: Mapping[str, str]) -> list[Switch]:
    """The journal among a registered model's tags; one that cannot be read counts as none, with a warning."""
    try:
        return loads(tags.get(TAG))
    except ValueError as error:
        log.warning("the tag %s holds no journal: %s", TAG, error)
        return []


def by_tags(versions: Mapping[str, Mapping[str, str]]) -> list[Switch]:
    """The switches that the tags of versions show, the newest first, without who switched."""
    result: list[Switch] = []
    rolled_back = {version: tags[ROLLED_BACK] for version, tags in versions.items() if ROLLED_BACK in tags}
    for version, tags in versions.items():
        if (since := tags.get(SINCE)) is None:
            continue
        back = next((other for other, at in rolled_back.items() if other != version and _together(at, since)), None)
        if back:
            del rolled_back[back]
            result.append(Switch(since, "rollback", back, version))
        else:
            result.append(Switch(since, "promotion", tags.get(PREVIOUS), version))
    result += [Switch(at, "rollback", version, None) for version, at in rolled_back.items()]
    return sorted(result, key=lambda switch: switch.at, reverse=True)


def _together(rolled_back: str, since: str) -> bool:
    """Whether the same rollback has written both tags."""
    return timedelta() <= datetime.fromisoformat(since) - datetime.fromisoformat(rolled_back) <= ROLLBACK_TAKES
