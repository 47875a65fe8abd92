"""The command ``ner convert``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import click

from multiner.pipeline.core.errors import NerError

STREAM = "-"


def format_table() -> str:
    """The formats and their options, for ``--help``."""
    from multiner.pipeline.corpora.formats import FORMATS, options_of

    def options(function: Callable[..., Any]) -> str:
        return ", ".join(f"{name}={each.default!s}" for name, each in options_of(function).items()) or "none"

    rows = []
    for name, form in FORMATS.items():
        rows += [f"  {name}", f"    {form.title}"]
        rows += [f"    --in:  {options(form.reader)}", f"    --out: {options(form.writer)}"]
    return "\n".join(rows)


class _WithFormats(click.Command):
    """A command whose help ends with the table of formats, which is made only then."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\nFormats, with their options and the defaults of these:\n{format_table()}\n")


def options_given(pairs: Sequence[str], name: str) -> dict[str, Any]:
    """Options of a format from ``NAME=VALUE``. Raises UsageError for anything else."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise click.UsageError(f"{name} takes NAME=VALUE, such as scheme=BIOES, not {pair!r}")
        options[key] = value
    return options


@click.command(cls=_WithFormats)
@click.argument("source", metavar="FILE")
@click.argument("output", metavar="OUTPUT")
@click.option("--from", "origin", required=True, metavar="FORMAT", help="The format of FILE.")
@click.option("--to", "target", required=True, metavar="FORMAT", help="The format of OUTPUT.")
@click.option(
    "--language", "-l", default="xx", show_default=True,
    help="Whose rules split texts into tokens, where FILE has none; xx: the rules that all languages share.",
)  # fmt: skip
@click.option("--in", "reading", multiple=True, metavar="NAME=VALUE", help="An option of FILE's format.")
@click.option("--out", "writing", multiple=True, metavar="NAME=VALUE", help="An option of OUTPUT's format.")
@click.option("--type", "types", multiple=True, metavar="FROM=TO", help="Rename a type; FROM= leaves it out.")
def convert(
    source: str, output: str, origin: str, target: str, language: str, reading: tuple[str, ...],
    writing: tuple[str, ...], types: tuple[str, ...],
) -> None:  # fmt: skip
    """Convert a corpus from one format into another.

    FILE may be a folder, whose files of the format are read. In brat and webanno each document is a file of its own, so
    OUTPUT is a folder; else it is a file. "-" is standard input or output. What OUTPUT cannot hold is said on standard
    error. For example:

    \b
    ner convert project/ --from brat --to conllu corpus.conllu
    ner convert train.txt --from columns --in label-column=4 --in scheme=IOB1 --to docbin train.spacy
    """
    from multiner.pipeline.corpora import formats

    form = formats.format_named(target)
    if output == STREAM and form.folder:
        raise click.UsageError(f"{target} needs a folder for OUTPUT: each document is a file of its own")
    if output != STREAM and Path(output).exists():
        raise NerError("the output is there already", where=output, remedy="Remove it, or name another.")
    renamed = options_given(types, "--type")
    with warnings.catch_warnings(record=True) as losses:
        warnings.simplefilter("always", formats.ConversionLoss)
        stream = BytesIO(sys.stdin.buffer.read()) if source == STREAM else source
        documents = formats.read(
            stream, origin, language=language, overlaps="keep",
            **formats.reading_options(origin, options_given(reading, "--in")),
        )  # fmt: skip
        documents = formats.with_types(documents, renamed)
        formats.write(documents, sys.stdout.buffer if output == STREAM else output, target,
                      **options_given(writing, "--out"))  # fmt: skip
    for loss in losses:
        click.echo(str(loss.message), err=True)
    entities = sum(len(document.spans) for document in documents)
    click.echo(f"{output}: {len(documents):,} documents, {entities:,} entities", err=output == STREAM)
