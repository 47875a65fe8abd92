"""Whether a challenger waits for the gate: registered, but not judged, as after a gate that could not judge."""

from __future__ import annotations

import click

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.champions import ROLLED_BACK
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.gate.promotion import KEY
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.store import CHALLENGER, CHAMPION, model_name, open_store


@registry_errors()
def waiting_challenger(workspace: Workspace, language: str) -> str | None:
    """The version of the challenger that the gate has not judged yet; None if there is none.

    Raises:
        NerError: the language is unknown, or the registry cannot be read.
    """
    workspace.language(language)
    client, name = open_store(workspace), model_name(workspace, language)
    challenger = alias_version(client, name, CHALLENGER)
    if challenger is None or challenger == alias_version(client, name, CHAMPION):
        return None
    tags = client.get_model_version(name, challenger).tags
    return None if ROLLED_BACK in tags or KEY in tags else challenger


@click.command()
@click.option("--language", "-l", required=True, help="Language code, as in params.yaml.")
def waiting(language: str) -> None:
    """Say whether a challenger waits to be judged by `ner promote`.

    The DAG promote_LANG asks this every hour, so that a challenger that the gate could not judge is judged again.
    """
    version = waiting_challenger(Workspace.load(), language)
    if version is None:
        click.echo("nothing to do: no challenger waits to be judged")
    else:
        click.echo(f"version {version} waits to be judged")
