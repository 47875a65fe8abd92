"""The command ``ner annotate``: what the ensemble predicts for files, and for large collections."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from multiner.pipeline.config.options import LANGUAGE
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.extras import needs


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@LANGUAGE
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="The file or folder to write.")
@click.option(
    "--model",
    metavar="champion|VERSION|FOLDER",
    help="By default the ensemble of the current profile; with --to, the champion.",
)
@click.option(
    "--column",
    type=click.IntRange(min=1),
    metavar="N",
    help="The token's column, counted from 1; by default the first.",
)
@click.option("--to", type=click.Choice(["jsonl", "parquet"]), help="Write a collection's entities, in shards.")
@click.option("--text-field", default="text", show_default=True, help="With --to: the field or column of the text.")
@click.option("--id-field", help="With --to: the field or column of the id; by default FILE:LINE is the id.")
@click.option("--with-text", is_flag=True, help="With --to: also write the text.")
@click.option(
    "--shard-size", type=click.IntRange(min=1), default=2000, show_default=True, help="With --to: documents in a shard."
)
@click.option("--skip-problems", is_flag=True, help="With --to: leave out and list the records that cannot be read.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --to: the number of processes; by default one for each core (NER_THREADS).",
)
@needs("serve")
def annotate(
    source: Path, language: str, output: Path, model: str | None, column: int | None, to: str | None, text_field: str,
    id_field: str | None, with_text: bool, shard_size: int, skip_problems: bool, processes: int | None,
) -> None:  # fmt: skip
    """Write the entities that the ensemble predicts: in the format of INPUT, or with --to those of a large collection.

    A column file (blank lines between sentences) gets a further last column of IOB2 tags; all columns, -DOCSTART-
    lines, comments and blank lines stay as they are. With the gold tag in the column before it, this is what conlleval
    and wnuteval read. The token is in the first column, or in that of --column: 2 in CoNLL-U, 3 in WebAnno TSV, 4 in
    CoNLL-2012. The tags are the model's own types. To score them against other types, such as WNUT17's six, train with
    `types: wnut17`.

    A folder in factRuEval-2016's format (.txt and .tokens) becomes one with predicted .spans and .objects, and a
    .task1 for the shared task's scorer.

    With --to, INPUT is a file or a folder of JSON lines (.jsonl, .ndjson), Parquet and text files (.txt, each a
    document). The output is a folder of shards with a record for each document. If a run was stopped, the same command
    continues it; docs/operations/collections.md says how.
    """
    if to:
        if column:
            raise click.UsageError("--column cannot be given with --to")
        from multiner.pipeline.bulk.collection import Fields
        from multiner.pipeline.bulk.output import OutputOptions
        from multiner.pipeline.bulk.run import run

        totals = run(
            Workspace.load(), language, source, output, model=model or "champion", fields=Fields(text_field, id_field),
            options=OutputOptions(to, with_text, shard_size, skip_problems), processes=processes,
        )  # fmt: skip
        left_out = f"; {totals.problems:,} records left out" if totals.problems else ""
        click.echo(
            f"{output}: {totals.documents:,} documents in {totals.shards:,} shards, of which {totals.written:,} were "
            f"written now{left_out}"
        )
        return
    context = click.get_current_context()
    for name in ("text_field", "id_field", "with_text", "shard_size", "skip_problems", "processes"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --to")
    from multiner.pipeline import annotate

    documents, entities = annotate.run(Workspace.load(), language, source, output, model, column)
    click.echo(f"{output}: {entities:,} entities in {documents:,} documents")
