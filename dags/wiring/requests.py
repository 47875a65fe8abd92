"""What a run is asked for: by hand with parameters in Airflow's page, or by the events that set it off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import Param

ALL = "all"
PLAN = "plan"  # the first task of a run
FORCED = "goes on: every stage runs"  # what it returns where force is asked for


@dataclass(frozen=True)
class Request:
    """What a run is asked for.

    Attributes:
        languages: those to be retrained; None: all.
        force: whether stages run although nothing has changed.
        dry_run: whether only to say what would run.
    """

    languages: frozenset[str] | None = None
    force: bool = False
    dry_run: bool = False

    def includes(self, language: str) -> bool:
        """Whether the language is to be retrained."""
        return self.languages is None or language in self.languages

    @property
    def extra(self) -> dict[str, Any]:
        """What an event hands on of it; nothing where all is as usual."""
        languages = {} if self.languages is None else {"languages": sorted(self.languages)}
        return languages | ({"force": True} if self.force else {})


def parameters(languages: Iterable[str] = ()) -> dict[str, Param]:
    """The parameters of a DAG, for its form in Airflow's page; with several languages, which of them."""
    language = Param(
        ALL, type="string", enum=[ALL, *languages], title="Language", description_md="Which language is retrained."
    )
    own = {
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description_md="Run every stage of the retraining, although nothing has changed.",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description_md="Change nothing: the log of the task *plan* says what would run.",
        ),
    }
    return ({"language": language} if languages else {}) | own


def request_of(context: Mapping[str, Any], events: Iterable[Any] = ()) -> Request:
    """What the run of a task's context is asked for.

    A run that events set off does what they want all together. Airflow lists the first of events that come at once
    (and the run is the only one for all of them), so ``events``, those of the Asset, count from the first one on.
    """
    listed = [event for each in (context.get("triggering_asset_events") or {}).values() for event in each]
    if listed:
        first = min(event.timestamp for event in listed)
        extras = [event.extra or {} for event in [*listed, *(each for each in events if each.timestamp >= first)]]
        limited = all("languages" in extra for extra in extras)
        languages = frozenset(code for extra in extras for code in extra.get("languages", ()))
        return Request(languages if limited else None, any(extra.get("force") for extra in extras))
    params = context.get("params") or {}
    language = params.get("language", ALL)
    return Request(
        None if language == ALL else frozenset({language}), bool(params.get("force")), bool(params.get("dry_run"))
    )
