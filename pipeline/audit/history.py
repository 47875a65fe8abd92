"""``ner history``: the journal of a language's model, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import journal
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.journal.entry import SWITCHES, JournalEntry
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.runs import if_exists
from multiner.pipeline.registry.store import CHAMPION, model_name, open_store, registry_exists


@registry_errors()
def history(workspace: Workspace, language: str) -> dict[str, Any]:
    """The model's name, its champion (None: there is none), and the entries of its journal, the newest first.

    Raises:
        NerError: the language is unknown, or no version was registered yet.
    """
    workspace.language(language)  # refuses an unknown one
    name = model_name(workspace, language)
    client = open_store(workspace) if registry_exists(workspace) else None
    if client is None or if_exists(client.get_registered_model, name) is None:
        raise NerError(f"{name}: nothing was registered yet", remedy=f"Train a model, then: ner register -l {language}")
    entries = [as_json(entry) for entry in journal.entries(client, name)]
    return {"model": name, "champion": alias_version(client, name, CHAMPION), "entries": entries}


def as_json(entry: JournalEntry) -> dict[str, Any]:
    """An entry's fields; ``report`` is the address of the gate's report in MLflow."""
    fields = asdict(entry)
    if entry.report:
        fields["report"] = f"runs:/{entry.run_id}/{entry.report}" if entry.run_id else None
    return fields


def table(content: dict[str, Any]) -> str:
    """A line for each entry, the newest first, and below it the scores, the reasons and the gate's report."""
    champion, entries = content["champion"], content["entries"]
    standing = f"version {champion} is champion" if champion else "there is no champion"
    lines = [f"{content['model']}: {standing}; entries of the journal: {len(entries)}, the newest first"]
    if (latest := _latest_switch(entries)) and latest["version"] not in (champion, None):
        lines.append(
            f"The latest switch in the journal is to version {latest['version']}: the alias was moved by other means, "
            "or a switch was broken off."
        )
    for entry in entries:
        version = entry["version"] or "unknown"
        if entry["kind"] in SWITCHES and entry["before"]:
            version = f"{entry['before']} -> {version}"
        lines.append(f"\n{entry['at']}  {entry['kind']:<12}  {version:<10}  {entry['by'] or 'by whom was not noted'}")
        scores = ", ".join(f"{part} {f1:.2f}" for part, f1 in entry["scores"].items())
        details = {"F1": scores, "why": entry["reason"], "report": entry["report"]}
        lines += [f"    {title}: {text}" for title, text in details.items() if text]
    return "\n".join(lines)


def _latest_switch(entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return next((entry for entry in entries if entry["kind"] in SWITCHES), None)
