"""The commands `ner gc`, `ner backup`, `ner restore` and `ner upgrade`."""

from __future__ import annotations

from pathlib import Path

import click

from multiner.pipeline.config.settings import Workspace


@click.group()
def commands() -> None:
    """House-keeping."""


@commands.command()
@click.option("--yes", "--delete", "delete", is_flag=True, help="Delete; without it, only say what would be deleted.")
@click.option("--verbose", "-v", is_flag=True, help="Also name each thing, and the reason why each version stays.")
def gc(delete: bool, verbose: bool) -> None:
    """Delete what nothing needs any more: old versions, deleted runs, caches, checkpoints, logs, old records.

    Champions, challengers, rollback targets, versions in use and what these need always stay; the section keep of
    params.yaml says what else does. The system may run meanwhile.
    """
    from multiner.serving.housekeeping.gc import Kept, collect
    from multiner.serving.housekeeping.removal import readable

    total, verb = 0, "deleted" if delete else "would delete"
    for removal in collect(Workspace.load(), delete=delete):
        if isinstance(removal, Kept):
            for line in removal.lines if verbose else ():
                click.echo(f"stays: {line}")
            continue
        total += removal.size
        note = f" ({removal.note})" if removal.note else ""
        size = f", {readable(removal.size)}" if removal.size else ""
        count = f"{verb} {removal.count:,}{size}" if removal.count else "nothing"
        click.echo(f"{removal.kind}: {count}{note}")
        for item in removal.items if verbose else ():
            click.echo(f"  {item}")
    click.echo(f"{verb} {readable(total)} in all" + ("" if delete else "; ner gc --yes deletes it"))


@commands.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write an archive of the registry, its models, the pointers to the data, the review queue and Airflow's state.

    The system may run meanwhile. FILE must be new; only its owner can read it. It holds no corpora and no secret but
    the key of Airflow's connections.
    """
    from multiner.serving.housekeeping.backup import backup
    from multiner.serving.housekeeping.removal import readable

    elsewhere = backup(Workspace.load(), file)
    click.echo(f"{file}: {readable(file.stat().st_size)}")
    for name in elsewhere:
        click.echo(f"not in it: the database that {name} names; back it up too, PostgreSQL with pg_dump")


@commands.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--into", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new or empty folder.")
def restore(file: Path, into: Path) -> None:
    """Unpack an archive of `ner backup` into an empty folder, and check every file.

    The folder becomes a workspace: with NER_ROOT set to it, ner predict answers with its champions. To go on training
    there, add the code; docs/operations/housekeeping.md says how.
    """
    from multiner.serving.housekeeping.backup import restore

    manifest, folder = restore(file, into)
    click.echo(f"restored {len(manifest['files']):,} files of {manifest['at']} into {folder}")
    click.echo(f"the code was at commit {manifest['commit'] or 'unknown'}")
    for name in manifest["elsewhere"]:
        click.echo(f"not restored: the database that {name} named; it has a backup of its own")


@commands.command()
def upgrade() -> None:
    """Bring the databases of an older release up to date, after a backup of them.

    They are MLflow's, Airflow's and the gateways' state. The system must not run. If MLflow's is elsewhere
    (PostgreSQL), upgrade it with mlflow db upgrade; ner up upgrades Airflow's elsewhere.
    """
    from multiner.serving.housekeeping.upgrade import upgrade

    if upgrade(Workspace.load(), click.echo) is None:
        click.echo("nothing to do: the databases are of this release")
