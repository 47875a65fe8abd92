"""The command `ner drift`: whether live traffic still resembles the champion's training texts, and the week before."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError

if TYPE_CHECKING:
    from multiner.pipeline.drift.check import DriftCheck
    from multiner.pipeline.drift.comparison import Thresholds

NO_CHAMPION = "no champion yet"


@click.command()
@click.argument("language")
@click.option("--json", "as_json", is_flag=True, help="As JSON, in one line.")
@click.option(
    "--report",
    is_flag=True,
    help="Also write the page under /reports and the line of `ner status`; send a notice of a drift.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there is a drift.")
def drift(language: str, as_json: bool, report: bool, exit_code: bool) -> None:
    """Compare the texts of the last seven days with the champion's training texts and with the week before.

    The gateways count live texts in histograms, which hold no text. The section `drift` of params.yaml has the
    thresholds.
    """
    workspace = Workspace.load()
    workspace.language(language)  # refuses an unknown one
    thresholds = thresholds_of(workspace)
    outcome = check_traffic(workspace, language, thresholds)
    if outcome and report:
        from multiner.pipeline.drift.report import write_report
        from multiner.pipeline.notices import send

        write_report(workspace.paths.drift(language), outcome, thresholds)
        if outcome.drifted:
            text = f"{language}: {outcome.summary}"
            send(workspace, "drift", text, language=language, version=outcome.version, retrain=outcome.retrain)
    if as_json:
        click.echo(json.dumps(outcome.to_json() if outcome else nothing(language), ensure_ascii=False))
    elif outcome:
        show(outcome)
    else:
        click.echo(f"{language}: {NO_CHAMPION}")
    if exit_code and outcome and outcome.drifted:
        sys.exit(1)


def nothing(language: str) -> dict[str, Any]:
    """The outcome for JSON where there is no champion."""
    return {"language": language, "version": None, "drift": False, "retrain": False, "summary": NO_CHAMPION}


def thresholds_of(workspace: Workspace) -> Thresholds:
    """The thresholds in params.yaml."""
    from multiner.pipeline.drift.comparison import Thresholds

    settings = workspace.params["drift"]
    return Thresholds(settings["min_texts"], settings["min_psi"], settings["max_p"])


def check_traffic(workspace: Workspace, language: str, thresholds: Thresholds) -> DriftCheck | None:
    """Check the traffic that the gateways have counted; None where there is no champion.

    Raises:
        NerError: the registry or the state store cannot be read.
    """
    from multiner.pipeline import registry
    from multiner.pipeline.drift.check import DAYS, check
    from multiner.pipeline.registry.drift_reference import registered_reference
    from multiner.pipeline.registry.failures import RegistryUnavailable
    from multiner.serving.gateway.state import store_url
    from multiner.serving.routing.state_store import StateStore
    from multiner.serving.routing.traffic import read_traffic

    champion = registry.champion(workspace, language)
    if champion is None:
        return None
    try:
        reference = registered_reference(workspace, language, champion.name, champion.version).sketch
    except RegistryUnavailable:
        raise
    except NerError:  # an older version: the week before can be compared all the same
        reference = None
    store = StateStore(store_url(workspace))
    since = datetime.now(UTC).date() - timedelta(days=2 * DAYS)
    traffic = asyncio.run(store.run(partial(read_traffic, prefix=f"{workspace.profile}/", since=since)))
    store.close()
    retrain = workspace.params["drift"]["retrain"]
    return check(language, champion.version, traffic, reference, thresholds, retrain=retrain)


def show(outcome: DriftCheck) -> None:
    """Print the outcome as a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{outcome.language}, champion version {outcome.version}: {outcome.summary}", markup=False)
    for note in outcome.notes:
        console.print(note, markup=False)
    if not outcome.shifts:
        return
    table = Table(box=None, pad_edge=False)
    for title in ("measure", "against"):
        table.add_column(title)
    for title in ("texts", "texts there", "PSI", "p"):
        table.add_column(title, justify="right")
    table.add_column("drift")
    for shift in outcome.shifts:
        numbers = f"{shift.texts:,.0f}", f"{shift.reference:,.0f}", f"{shift.psi:.3f}", f"{shift.p:.2g}"
        table.add_row(shift.measure, shift.against, *numbers, "yes" if shift.drifted else "no")
    console.print(table)
