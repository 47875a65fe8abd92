"""The journal of a model: registrations, verdicts of the gate, and every switch of the champion.

Each entry is a numbered tag of the registered model, so the journal is where the registry is: in its database, which
all hosts share and a backup holds. Entries are added and never changed; the key of the tag ends with the hash of its
value, so that a change by other means shows. A switch is entered before the alias moves, so that none is missing; the
repetition of a killed call adds no second entry.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from multiner.pipeline.registry.journal import former_switches
from multiner.pipeline.registry.journal.entry import SWITCHES, JournalEntry, actor, dumps, loads
from multiner.pipeline.registry.runs import if_exists, run_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)
KEY = re.compile(r"ner\.journal\.(\d{6,})\.([0-9a-f]{12})")
TEST = re.compile(r"(.+)/test/ensemble/f1")


def entries(client: MlflowClient, name: str) -> list[JournalEntry]:
    """The whole journal of a model, the newest entry first."""
    return _entries(client, name, client.get_registered_model(name).tags)


def switches(client: MlflowClient, name: str) -> list[JournalEntry]:
    """The switches of a model's champion, the newest first."""
    return [entry for entry in entries(client, name) if entry.kind in SWITCHES]


def note(client: MlflowClient, name: str, entry: JournalEntry) -> JournalEntry:
    """Add an entry to a model's journal, with who works here, and the run and the test scores of its version.

    The caller holds the lock of the registry, and adds a switch before a tag or alias of the versions changes.

    Returns:
        the entry as it stands in the journal: an earlier one if this is the repetition of a killed call.
    """
    tags = client.get_registered_model(name).tags
    journal = _entries(client, name, tags)
    earlier = [each for each in journal if each.kind in SWITCHES][:1] if entry.kind in SWITCHES else journal
    if repetition := next((each for each in earlier if entry.repeats(each)), None):
        return repetition
    numbers = _numbered(tags)
    if not numbers:
        former_switches.fix(client, name, tags)
    entry = _completed(client, name, entry)
    value = dumps(entry)
    number = 1 + max((number for number, _ in numbers), default=0)
    client.set_registered_model_tag(name, f"ner.journal.{number:06d}.{_digest(value)}", value)
    return entry


def f1_on_test(run: Run | None) -> dict[str, float]:
    """The ensemble's F1 on the test parts, in percent, by corpus; empty without a run."""
    metrics: Mapping[str, Any] = run.data.metrics if run else {}
    return {match[1]: value for metric, value in metrics.items() if (match := TEST.fullmatch(metric))}


def _entries(client: MlflowClient, name: str, tags: Mapping[str, str]) -> list[JournalEntry]:
    numbers = _numbered(tags)
    missing = set(range(1, max(numbers, default=(0, ""))[0])) - {number for number, _ in numbers}
    if missing:
        log.warning("%s: entries of the journal were removed by other means: %s", name, sorted(missing))
    former = (former_switches.read(tags) or []) if numbers else former_switches.of_model(client, name, tags)
    present = (_entry(name, key, tags[key]) for _, key in sorted(numbers, reverse=True))
    return [entry for entry in present if entry] + former


def _numbered(tags: Mapping[str, str]) -> list[tuple[int, str]]:
    """The number and the key of each entry's tag."""
    return [(int(match[1]), key) for key in tags if (match := KEY.fullmatch(key))]


def _entry(name: str, key: str, value: str) -> JournalEntry | None:
    """The entry of a tag; None, with a warning, if it cannot be read."""
    if not key.endswith(_digest(value)):
        log.warning("%s: the entry %s of the journal was changed by other means", name, key)
    try:
        return loads(value)
    except ValueError as error:
        log.warning("%s: the entry %s of the journal cannot be read: %s", name, key, error)
        return None


def _digest(value: str) -> str:
    return sha256(value.encode()).hexdigest()[:12]


def _completed(client: MlflowClient, name: str, entry: JournalEntry) -> JournalEntry:
    """The entry with who works here, the run of its version, and the F1 that the run has on the test parts."""
    version = if_exists(client.get_model_version, name, entry.version) if entry.version else None
    run_id = version.run_id if version else None
    tested = {f"{corpus} test": round(f1, 2) for corpus, f1 in f1_on_test(run_of(client, run_id)).items()}
    return replace(entry, by=entry.by or actor(), run_id=run_id or None, scores=tested | entry.scores)
