"""The commands ``ner workspace …``, which the tasks of the DAGs run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from multiner.pipeline.config.settings import find_root
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.object_store import required_store
from multiner.pipeline.notices.local_file import FILE, default_file

NER = str(Path(sys.executable).parent / "ner")


def _run_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """The run's name: the option, else that of Airflow's DAG run."""
    dag, run = os.environ.get("AIRFLOW_CTX_DAG_ID"), os.environ.get("AIRFLOW_CTX_DAG_RUN_ID")
    if not value and not (dag and run):
        raise click.UsageError("give the run's name: --run NAME")
    return value or f"{dag}/{run}"


RUN = click.option("--run", callback=_run_name, help="The run's name; by default that of Airflow's DAG run.")


@click.group()
def workspace() -> None:
    """A task in a working copy of its own, for workers without a common folder (NER_STORE names the object store)."""


@workspace.command()
@RUN
def pull(run: str) -> None:
    """Begin a run at this workspace's commit, pointers and dvc.lock: `ner pull` in a copy of it."""
    from multiner.pipeline.workspaces import tasks

    sys.exit(tasks.pull(find_root(), required_store(), run, [NER, "pull"]))


@workspace.command()
@click.option("--from", "origin", required=True, metavar="NAME", help="A published state: data, or candidate-LANG.")
@RUN
def begin(origin: str, run: str) -> None:
    """Begin a run at the state that another has published."""
    from multiner.pipeline.workspaces import tasks

    tasks.begin(required_store(), run, origin)
    click.echo(f"begins with what was published last as {origin}")


@workspace.command()
@click.argument("address", metavar="STAGE@LANG")
@RUN
def stage(address: str, run: str) -> None:
    """Run a stage of dvc.yaml, and no other.

    Its outputs go to DVC's remote, its entry of dvc.lock to the run's state.
    """
    from multiner.pipeline.workspaces import tasks

    sys.exit(tasks.run_stage(required_store(), run, address))


@workspace.command()
@click.option("--name", required=True, help="What later runs begin with: data, or candidate-LANG.")
@RUN
def publish(name: str, run: str) -> None:
    """Make a run's state the one that later runs begin with."""
    from multiner.pipeline.workspaces.state import Runs

    Runs(required_store()).publish(name, run)


@workspace.command(context_settings={"ignore_unknown_options": True})
@click.option("--needs", multiple=True, required=True, metavar="STAGE@LANG", help="Its outputs, and those before it.")
@click.option("--from", "origin", metavar="NAME", help="A published state, in place of the run's.")
@click.option("--publish", "name", metavar="NAME", help="Publish the run's state when the command has succeeded.")
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
@RUN
def run(needs: tuple[str, ...], origin: str | None, name: str | None, arguments: tuple[str, ...], run: str) -> None:
    """Run another command of `ner` in a copy: ner workspace run --needs evaluate@en -- register -l en.

    The registry must be at MLFLOW_TRACKING_URI: a copy has none that lasts.
    """
    from multiner.pipeline.workspaces import tasks
    from multiner.pipeline.workspaces.state import Runs

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise NerError("not set", where="MLFLOW_TRACKING_URI", remedy="Name the MLflow server of all machines.")
    store, root = required_store(), find_root()
    os.environ.setdefault(FILE, str(default_file(root)))  # the copy's own would go with it
    locks = root / "mlruns"
    code = tasks.run_command(store, [NER, *arguments], needs=needs, run=run, origin=origin, locks=locks)
    if name and not code:
        Runs(store).publish(name, run)
    sys.exit(code)
