"""The commands ``ner history``, ``ner compare`` and ``ner reproduce``."""

from __future__ import annotations

import json

import click

from multiner.pipeline.config.options import LANGUAGE
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.extras import needs

JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.command()
@click.argument("language")
@JSON
@needs("serve")
def history(language: str, as_json: bool) -> None:
    """Show what became of each version, the newest first.

    It lists registrations, verdicts and switches of the champion: when, by whom, why, with the F1 and the address of
    the gate's report.
    """
    from multiner.pipeline.audit import history as journal

    content = journal.history(Workspace.load(), language)
    click.echo(json.dumps(content, ensure_ascii=False, indent=2) if as_json else journal.table(content))


@click.command()
@click.argument("first", metavar="VERSION")
@click.argument("second", metavar="VERSION")
@LANGUAGE
@click.option(
    "--examples", type=click.IntRange(min=0), default=10, show_default=True, help="Sentences to show at most; 0: none."
)
@JSON
def compare(first: str, second: str, language: str, examples: int, as_json: bool) -> None:
    """Compare two registered versions on the same documents.

    Prints the F1 for each corpus and type, with the second version's lead over the first and its 95 % interval (paired
    bootstrap): first on the gate halves of the development parts, then on the test parts. Below are sentences in which
    the versions differ. They quote the corpora, so --json leaves them out. A VERSION is a number, or champion.
    """
    from multiner.pipeline.audit import comparison

    result = comparison.compare(Workspace.load(), language, first, second, 0 if as_json else examples)
    if as_json:
        click.echo(json.dumps(comparison.as_json(result), indent=2))
        return
    click.echo(comparison.table(result))
    if examples:
        click.echo("\n" + comparison.examples(result))


@click.command()
@click.argument("version")
@LANGUAGE
@click.option("--check", "only_check", is_flag=True, help="Only check that everything needed is there; train nothing.")
@click.option(
    "--noise",
    type=click.FloatRange(min=0),
    default=0.3,
    show_default=True,
    help="F1 points by which the ensemble may differ on each development and test part.",
)
@click.option(
    "--any-environment", is_flag=True, help="Go on even if installed packages differ from the version's lock."
)
def reproduce(version: str, language: str, only_check: bool, noise: float, any_environment: bool) -> None:
    """Train a registered version again and compare the figures.

    Works in a temporary copy, with the version's commit, the changes that its run has logged, its parameters, and its
    data from DVC's cache or remote. Every stage runs, so it takes as long as the training did. On the same machine the
    figures should be equal; on other hardware, or with another number of threads, they differ a little. Exit code 1:
    something is missing, or the figures do not agree.
    """
    from multiner.pipeline.audit import agreement, reproduction

    workspace = Workspace.load()
    if only_check:
        reproduction.check(workspace, language, version, click.echo, any_environment=any_environment)
        return
    result = reproduction.reproduce(
        workspace, language, version, click.echo, noise=noise, any_environment=any_environment
    )
    click.echo(agreement.report(result))
    if result.breaches:
        raise NerError(
            "the figures do not agree with the registered ones",
            where=f"version {version}",
            remedy="The lines above say where; docs/operations/audit.md says what may be the cause.",
        )
