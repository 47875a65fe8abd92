"""The commands around serving and the whole system; ``ner`` gathers them by the entry point group ``ner.commands``."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import click

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.extras import needs
from multiner.serving.addresses import http_address
from multiner.serving.housekeeping.commands import commands as housekeeping
from multiner.serving.operator.commands import operator
from multiner.serving.system import PARTS
from multiner.serving.system.drift import drift
from multiner.serving.system.score import score

LANGUAGE = click.option("--language", "-l", default=None, help="Language code; by default all.")


@click.group()
def commands() -> None:
    """Serving and the whole system."""


commands.add_command(drift)
commands.add_command(operator)
commands.add_command(score)


@commands.command()
@click.option("--profile", help="First set this profile in params.yaml: cpu, light, smoke, bert, demo.")
@click.option("--once", is_flag=True, help="End when the pipeline has ended and the API has answered.")
def run(profile: str | None, once: bool) -> None:
    """Run the main job once, then serve until Ctrl-C.

    Starts Airflow, MLflow and the gateway, runs the pipeline and shows its progress.
    """
    from multiner.serving.system import running

    workspace = Workspace.load()
    running.run(running.choose_profile(workspace, profile) if profile else workspace, once=once)


@commands.command()
@click.option("--foreground", is_flag=True, help="Stay in the foreground, for a service manager or a container.")
@click.option("--parts", help=f"Only these parts, separated by commas: {', '.join(PARTS)}.")
@click.option("--no-trigger", is_flag=True, help="Do not run the pipeline at once; wait for the schedule.")
def up(foreground: bool, parts: str | None, no_trigger: bool) -> None:
    """Start the system in the background.

    The pipeline runs at once, then on its schedule (airflow.schedule in params.yaml).
    """
    from multiner.serving.system import running

    names = [part.strip() for part in parts.split(",")] if parts else None
    if unknown := set(names or ()) - set(PARTS):
        raise click.BadParameter(
            f"unknown part {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}", param_hint="--parts"
        )
    if (names or no_trigger) and not foreground:
        raise click.UsageError("--parts and --no-trigger need --foreground")
    if foreground:
        running.up_foreground(Workspace.load(), names, trigger=not no_trigger)
    else:
        running.up(Workspace.load())


@commands.command()
@needs("serve")
def down() -> None:
    """End the system and all its processes."""
    from multiner.serving.system import running

    running.down(Workspace.load())


@commands.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def airflow(arguments: tuple[str, ...]) -> None:
    """Run Airflow's command line with the settings of `ner up`.

    For example: ner airflow celery worker. AIRFLOW__… variables override these settings;
    docs/operations/executors.md lists what a worker on another machine needs.
    """
    from multiner.serving.system.components import become_airflow

    become_airflow(Workspace.load(), list(arguments))


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@needs("serve")
def status(as_json: bool) -> None:
    """Show what runs, the champions and the live versions.

    Each champion is shown with the time of its training, its data and its test F1.
    """
    from multiner.serving.system import status as overview

    overview.show(Workspace.load(), as_json=as_json)


@commands.command()
@LANGUAGE
@click.option(
    "--if-any",
    is_flag=True,
    help="Do nothing if there is no champion yet. Keep the version that an operator chose, and do not yet retry a "
    "champion that failed to start.",
)
@click.option("--watch", is_flag=True, help="For timers: as --if-any, and do nothing if no gateway runs.")
@click.option("--start", is_flag=True, help="Start the gateway even if there is no champion yet.")
@needs("serve")
def deploy(language: str | None, if_any: bool, watch: bool, start: bool) -> None:
    """Make the champions live at the gateway.

    The gateway starts each champion beside the live version, tests it with the golden samples, then switches. If no
    gateway runs, the command starts one.
    """
    from multiner.serving.system import deployment

    workspace = Workspace.load()
    if language:
        workspace.language(language)  # refuses an unknown one
    languages = [language] if language else None
    if gateway := http_address("NER_GATEWAY_URL"):
        deployment.await_live(workspace, gateway, languages, if_any=if_any or watch, if_running=watch)
    else:
        deployment.deploy(
            workspace,
            languages,
            if_any=if_any or watch,
            if_running=watch,
            insist=not (if_any or watch),
            start=start,
            announce=click.echo,
        )


@commands.command()
@click.argument("language")
@click.option("--version", help="Go back to this version; by default to the former champion.")
@click.option("--reason", help="The reason, one line, for the journal.")
@needs("serve")
def rollback(language: str, version: str | None, reason: str | None) -> None:
    """Make the former champion champion again, and live.

    If no gateway runs, only the registry changes.
    """
    from multiner.pipeline import registry
    from multiner.pipeline.registry.announcements import announce_rollback
    from multiner.serving.system import deployment

    workspace = Workspace.load()
    workspace.language(language)  # refuses an unknown one
    gateway = http_address("NER_GATEWAY_URL")  # refused, if at all, before anything has changed
    target = registry.rollback(workspace, language, version, reason=reason)
    click.echo(f"{language}: version {target} is champion again")
    announce_rollback(workspace, language, target, reason)
    if gateway:
        deployment.await_live(workspace, gateway, [language], if_running=True)
    else:
        deployment.deploy(workspace, [language], if_running=True, announce=click.echo)


@commands.command()
@click.argument("texts", nargs=-1)
@click.option(
    "--file",
    "-f",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Read texts from this file, one per line.",
)
@click.option("--language", "-l", default="auto", show_default=True, help="Language code, or auto.")
@click.option(
    "--endpoint",
    help="The gateway's address. By default the workspace's gateway; if none runs, the champions are loaded here.",
)
@click.option(
    "--json/--text",
    "json_lines",
    default=None,
    help="JSON lines, or coloured text; by default text on a terminal only.",
)
@click.option("--limit", type=click.IntRange(min=1), help="The number of texts to read at most.")
@needs("serve")
def predict(
    texts: tuple[str, ...],
    files: tuple[Path, ...],
    language: str,
    endpoint: str | None,
    json_lines: bool | None,
    limit: int | None,
) -> None:
    """Find the entities in TEXTS, in files, or on standard input.

    In files and on standard input each line is a text.
    """
    from multiner.serving.system import predict

    lines = islice(predict.read_texts(texts, files, None if texts or files else sys.stdin.buffer), limit)
    if endpoint:
        results = predict.predict_remote(endpoint, lines, language)
    else:
        from multiner.serving.gateway import state

        workspace = Workspace.load()
        gateway = state.read_state(workspace)
        if gateway and gateway.profile == workspace.profile:
            results = predict.predict_remote(gateway.url, lines, language)
        else:
            results = predict.predict_here(workspace, lines, language)
    predict.write(results, sys.stdout, not sys.stdout.isatty() if json_lines is None else json_lines)


commands.commands.update(housekeeping.commands)
