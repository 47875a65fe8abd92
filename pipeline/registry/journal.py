"""The journal of a model: every switch of its champion, the newest first, as a tag of the registered model.

It is written before the alias moves, so that no switch goes unnoted; where a call was killed in between and is
repeated, its entry is replaced. It holds the newest entries that fit into a tag. Where a registry has none yet, it
begins with what the versions' tags tell, which only know the last switch to each version.
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
UNREADABLE = f"{TAG}.unreadable"  # keeps what stood in TAG and was no journal
TAG_LENGTH = 5000  # characters of a tag's value that every database of MLflow's holds
REASON_LENGTH = 200
PREVIOUS, SINCE, ROLLED_BACK = "ner.previous_champion", "ner.champion_since", "ner.rolled_back"  # tags of versions
ROLLBACK_TAKES = timedelta(minutes=1)  # between the tags of the two versions, at most
Kind = Literal["promotion", "rollback"]


@dataclass(frozen=True, slots=True)
class Switch:
    """The champion changed from version ``before`` (None: there was none) to ``after`` at ``at`` (ISO 8601, UTC).

    ``by`` says who or what switched, ``reason`` why, as far as is known.
    """

    at: str
    kind: Kind
    before: str | None
    after: str | None
    by: str | None = None
    reason: str | None = None


def actor() -> str:
    """Who or what works here: the DAG's run that a command belongs to, else the system's user."""
    if dag := os.environ.get("AIRFLOW_CTX_DAG_ID"):
        return f"DAG {dag}, run {os.environ.get('AIRFLOW_CTX_DAG_RUN_ID', 'unknown')}"
    try:
        return f"user {getpass.getuser()}"
    except (OSError, KeyError):  # a process without a name in the system's list, as in some containers
        return f"user {os.getuid()}"


def checked_reason(text: str | None) -> str | None:
    """A reason as one line of printable characters; None where nothing is left.

    Raises:
        NerError: it is too long.
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in text or "").split())
    if len(line) > REASON_LENGTH:
        raise NerError(f"the reason has {len(line)} characters, {REASON_LENGTH} at most are kept")
    return line or None


def dumps(switches: Sequence[Switch]) -> str:
    """The tag's value: as many switches, of those that come first, as fit."""
    entries: list[str] = []
    room = TAG_LENGTH - len("[]")
    for each in switches:
        fields = {"at": each.at, "kind": each.kind, "from": each.before, "to": each.after}
        fields |= {"by": each.by and each.by[:REASON_LENGTH], "reason": each.reason}
        given = {name: value for name, value in fields.items() if value is not None}
        entry = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
        room -= len(entry) + len(",")
        if room < 0:
            break
        entries.append(entry)
    return f"[{','.join(entries)}]"


def loads(value: str | None) -> list[Switch]:
    """The switches in a tag's value; none where there is no tag yet.

    Raises:
        ValueError: it is no journal.
    """
    found = json.loads(value or "[]")
    if not isinstance(found, list):
        raise ValueError("not a list")
    return [_switch(each) for each in found]


def _switch(entry: Any) -> Switch:
    if not isinstance(entry, dict):
        raise ValueError(f"not a switch: {entry!r}")
    given: list[Any] = [entry.get(name) for name in ("at", "kind", "from", "to", "by", "reason")]
    if given[1] not in get_args(Kind) or not all(value is None or isinstance(value, str) for value in given):
        raise ValueError(f"not a switch: {entry!r}")
    datetime.fromisoformat(given[0] or "")
    return Switch(*given)


def switches(client: MlflowClient, name: str) -> list[Switch]:
    """All that is known of a model's switches, the newest first."""
    return _known(client, name, client.get_registered_model(name).tags)


def note(client: MlflowClient, name: str, switch: Switch) -> None:
    """Put a switch at the head of a model's journal; to be called before any tag or alias of its versions changes."""
    tags = client.get_registered_model(name).tags
    known = _known(client, name, tags)
    if tags.get(TAG) and not read(tags):
        client.set_registered_model_tag(name, UNREADABLE, tags[TAG])
    if known and (known[0].kind, known[0].before, known[0].after) == (switch.kind, switch.before, switch.after):
        known = known[1:]  # of a call that was killed before the alias moved
    client.set_registered_model_tag(name, TAG, dumps([switch, *known]))


def _known(client: MlflowClient, name: str, tags: Mapping[str, str]) -> list[Switch]:
    if written := read(tags):
        return written
    found = client.search_model_versions(f"name = '{name}'", max_results=1000)
    return by_tags({str(version.version): version.tags for version in found})


def read(tags: Mapping[str, str]) -> list[Switch]:
    """The journal among a registered model's tags; one that cannot be read counts as none, with a warning."""
    try:
        return loads(tags.get(TAG))
    except ValueError as error:
        log.warning("the tag %s holds no journal: %s", TAG, error)
        return []


def by_tags(versions: Mapping[str, Mapping[str, str]]) -> list[Switch]:
    """What the tags of versions tell of switches, the newest first; by whom they do not say."""
    found: list[Switch] = []
    left = {version: tags[ROLLED_BACK] for version, tags in versions.items() if ROLLED_BACK in tags}
    for version, tags in versions.items():
        if (since := tags.get(SINCE)) is None:
            continue
        back = next((other for other, at in left.items() if other != version and _together(at, since)), None)
        if back:
            del left[back]
            found.append(Switch(since, "rollback", back, version))
        else:
            found.append(Switch(since, "promotion", tags.get(PREVIOUS), version))
    found += [Switch(at, "rollback", version, None) for version, at in left.items()]
    return sorted(found, key=lambda switch: switch.at, reverse=True)


def _together(rolled_back: str, since: str) -> bool:
    """Whether two tags are of the same rollback, which writes them one after the other."""
    return timedelta() <= datetime.fromisoformat(since) - datetime.fromisoformat(rolled_back) <= ROLLBACK_TAKES
