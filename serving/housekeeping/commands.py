"""The commands `ner gc`, `ner backup`, `ner restore` and `ner upgrade`."""

from __future__ import annotations

import click

from multiner.pipeline.config.settings import Workspace


@click.command()
@click.option("--yes", "--delete", "delete", is_flag=True, help="Delete; without it, only say what would be deleted.")
@click.option("--verbose", "-v", is_flag=True, help="Also name each thing, and the reason why each version stays.")
def gc(delete: bool, verbose: bool) -> None:
    """Delete what nothing needs any more: old versions, deleted runs, caches, checkpoints, logs, old records.

    The section keep of params.yaml says what stays. Champions, challengers, rollback targets, versions in use and what
    these need always stay. The system may run meanwhile.
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
