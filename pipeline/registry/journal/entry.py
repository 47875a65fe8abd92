"""An entry of a model's journal: what happened to a version, when, by whom and why; and its form as a tag's value."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from multiner.pipeline.core.errors import NerError

TAG_LENGTH = 5000  # characters of a tag's value that every database of MLflow's holds
REASON_LENGTH = 200  # of a person's reason
REASONS_LENGTH = 1500  # of the gate's
Kind = Literal["registration", "passed", "refusal", "undecided", "rejection", "promotion", "order", "rollback"]
SWITCHES: tuple[Kind, ...] = ("promotion", "order", "rollback")  # the kinds that move the alias champion


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What happened to ``version``.

    The kinds: ``registration``; ``passed``, it passed the gate and waits for approval; ``refusal`` by the gate;
    ``undecided``, the gate could not judge; ``rejection``, a person rejected what had passed; ``promotion`` after the
    gate; ``order``, an operator made it champion without the comparison; ``rollback`` to it.

    Attributes:
        at: when (ISO 8601, UTC).
        kind: one of those above.
        before: the champion until then, or at that time; None: there was none.
        version: None where the tags of an older registry do not show it.
        by: the DAG run or the user; None: not noted.
        reason: the operator's reason, or those of the gate; None: not noted.
        scores: F1 in percent by what it was measured on: ``conll2003 test``, ``gate half``.
        run_id: the MLflow run of the version.
        report: the path of the gate's report among the artifacts of that run.
        verdict_key: the hash of everything that the gate's verdict depends on.
    """

    at: str
    kind: Kind
    before: str | None
    version: str | None
    by: str | None = None
    reason: str | None = None
    scores: dict[str, float] = field(default_factory=dict)
    run_id: str | None = None
    report: str | None = None
    verdict_key: str | None = None

    def repeats(self, other: JournalEntry) -> bool:
        """Whether this is the event of the earlier entry ``other``, told again after a kill.

        A switch repeats the latest switch only: the caller passes no other.
        """
        if (self.kind, self.version) != (other.kind, other.version):
            return False
        if self.kind in SWITCHES:
            return self.before == other.before
        if self.kind in ("passed", "refusal", "rejection"):
            return self.verdict_key == other.verdict_key
        return self.kind == "registration"


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def utc(milliseconds: int) -> str:
    """The time so many milliseconds after the beginning of 1970, as entries have it."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat()


def actor() -> str:
    """The DAG run that this command belongs to, else the user of this process."""
    if dag := os.environ.get("AIRFLOW_CTX_DAG_ID"):
        return f"DAG {dag}, run {os.environ.get('AIRFLOW_CTX_DAG_RUN_ID', 'unknown')}"
    try:
        return f"user {getpass.getuser()}"
    except (OSError, KeyError):  # a user without a name, as in some containers
        return f"user {os.getuid()}"


def decided_by(person: str | None) -> str | None:
    """The entry's ``by`` of a person's decision, with the command that carries it out; None without a person."""
    name = one_line(person)
    return f"{name} ({actor()})" if name else None


def one_line(text: str | None) -> str | None:
    """The text as one line of printable characters; None if it is empty."""
    return " ".join("".join(each if each.isprintable() else " " for each in text or "").split()) or None


def checked_reason(text: str | None) -> str | None:
    """A person's reason as one line of printable characters; None if it is empty. Raises NerError if it is too long."""
    line = one_line(text)
    if line and len(line) > REASON_LENGTH:
        raise NerError(f"the reason has {len(line)} characters, {REASON_LENGTH} at most are kept")
    return line


def dumps(entry: JournalEntry) -> str:
    """The tag's value, which fits into every database: reasons that are too long are cut, scores too many left out."""
    reason = one_line(entry.reason)
    if reason and len(reason) > REASONS_LENGTH:
        reason = f"{reason[: REASONS_LENGTH - 1]}…"
    entry = replace(entry, reason=reason, by=entry.by and entry.by[:REASON_LENGTH])
    value = _json(entry)
    return value if len(value) <= TAG_LENGTH else _json(replace(entry, scores={}))


def _json(entry: JournalEntry) -> str:
    present = {name: value for name, value in asdict(entry).items() if value not in (None, {})}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"))


def loads(value: str) -> JournalEntry:
    """The entry in a tag's value. Raises ValueError if it is none."""
    return entry_of(json.loads(value))


def entry_of(content: Any) -> JournalEntry:
    """The entry with these fields; unknown ones are left out. Raises ValueError if it is none."""
    if not isinstance(content, dict):
        raise ValueError(f"no entry: {content!r}")
    values: dict[str, Any] = {each.name: content.get(each.name) for each in fields(JournalEntry)}
    scores = values.pop("scores") or {}
    if values["kind"] not in get_args(Kind) or not all(isinstance(value, str | None) for value in values.values()):
        raise ValueError(f"no entry: {content!r}")
    if not isinstance(scores, dict) or not all(isinstance(score, int | float) for score in scores.values()):
        raise ValueError(f"no scores: {scores!r}")
    datetime.fromisoformat(values["at"] or "")
    return JournalEntry(**values, scores=scores)
