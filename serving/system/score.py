"""The command ``ner score``: a model's scores on a corpus of one's own."""

from __future__ import annotations

import json

import click

from multiner.pipeline.corpora.formats.commands import options_given


@click.command()
@click.argument("corpus", type=click.Path())
@click.option("--from", "origin", required=True, metavar="FORMAT", help="The corpus's format: see ner convert --help.")
@click.option("--model", required=True, metavar="NAME|FOLDER|URL", help="As ner-en; or the address of a gateway.")
@click.option("--in", "reading", multiple=True, metavar="NAME=VALUE", help="An option of the format.")
@click.option("--type", "types", multiple=True, metavar="FROM=TO", help="Rename a type; FROM= leaves it out.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON in place of a table.")
def score(
    corpus: str, origin: str, model: str, reading: tuple[str, ...], types: tuple[str, ...], as_json: bool
) -> None:
    """Score a model on a corpus of your own: strict F1, precision and recall, over all and by type.

    CORPUS is a file or folder in a format of `ner convert`. An entity is right if its characters and its type are. The
    intervals hold F1 with 95 % confidence, by bootstrap over documents; a corpus of one document has none.

    \b
    ner score notes.conllu --from conllu --model ner-en
    ner score project/ --from brat --model http://127.0.0.1:8000 --type Person=PER --type Date=
    """
    from multiner.evaluation import evaluate
    from multiner.pipeline.corpora import formats

    documents = formats.read(corpus, origin, **formats.reading_options(origin, options_given(reading, "--in")))
    result = evaluate(model, formats.with_types(documents, options_given(types, "--type")))
    click.echo(json.dumps(result.to_json()) if as_json else str(result))
