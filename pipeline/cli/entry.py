"""The entry point of ``ner``: it gathers the commands of all packages, and prints errors without a stack trace."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points
from pathlib import Path

import click

from multiner.pipeline.config.settings import Paths, read_yaml
from multiner.pipeline.core.environment import silence_telemetry, thread_count
from multiner.pipeline.core.error_location import origin
from multiner.pipeline.core.errors import PERMANENT, TRANSIENT, NerError
from multiner.pipeline.core.extras import missing
from multiner.pipeline.workspaces.state import OWN_STAGE

MENDABLE = frozenset(  # errors of the system that a person has to mend; others, of a network for example, may pass
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ner-pipeline")
def ner() -> None:
    """Retrain, register and serve named entity recognition for English and Russian.

    `ner run` does the whole job once; `ner up` starts the system that does it on a schedule. `dvc repro` runs the
    stages whose inputs have changed; each stage also has a command of its own here.

    Exit codes: 0 done; 1 a person must act; 2 wrong options or arguments; 75 failed for now, try again later (Airflow
    does); 130 stopped by the user.
    """


def _begin_stage() -> None:
    """In a stage that DVC runs: end with DVC; refuse inputs that it restored damaged, and another task's stage.

    Raises:
        NerError: there are such, or the working copy was made for another stage.
    """
    if stage := os.environ.get("DVC_STAGE"):
        from multiner.pipeline.core.dvc_cache import inputs_of, require_whole
        from multiner.pipeline.core.processes import end_with_dvc

        end_with_dvc()
        if stage != (own := os.environ.get(OWN_STAGE, stage)):
            raise NerError(f"DVC runs {stage}, which is another task's", where=own, remedy=f"Run {stage} by its task.")
        root = Path(os.environ["DVC_ROOT"])
        require_whole(root, inputs_of(root, stage))


def _usage_recorded() -> AbstractContextManager[None]:
    """In a stage that DVC runs: record the resources that it uses."""
    if not (stage := os.environ.get("DVC_STAGE")):
        return nullcontext()
    from multiner.pipeline.core import usage

    root = Path(os.environ["DVC_ROOT"])
    try:
        profile = str(read_yaml(root / "params.yaml").get("profile"))
    except NerError:  # the command itself says so, if it needs the parameters
        return nullcontext()
    return usage.recorded(Paths(root, profile).usage(stage))


def main() -> None:
    """Entry point of ``ner``: gathers the command groups of all packages, and prints errors without a stack trace."""
    silence_telemetry()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names and texts that the terminal's encoding lacks
    for entry in sorted(entry_points(group="ner.commands"), key=lambda each: each.name):
        for name, command in entry.load().commands.items():
            ner.add_command(command, name)
    try:
        thread_count()
        _begin_stage()
        with _usage_recorded():
            ner(standalone_mode=False)
    except NerError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        click.secho(f"error: {missing(error, 'pipeline')}", fg="red", err=True)
        sys.exit(PERMANENT)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        click.secho(f"error: {place}{error.strerror or error} ({origin(error)})", fg="red", err=True)
        sys.exit(PERMANENT if error.errno in MENDABLE else TRANSIENT)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except Exception as error:
        full = os.strerror(errno.ENOSPC)
        if full not in str(error):
            raise
        click.secho(f"error: {full} ({origin(error)})", fg="red", err=True)  # of a library with errors of its own
        sys.exit(PERMANENT)
