"""The commands ``ner corpus …`` and ``ner review``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from multiner.pipeline.config.options import LANGUAGE
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.extras import needs
from multiner.pipeline.core.files import write_json

if TYPE_CHECKING:
    from multiner.pipeline.corpora.uncertain_texts import UncertainTexts

LABEL_STUDIO = "label-studio"


@click.group()
def corpus() -> None:
    """Add corpora, list them, and take texts into growing ones."""


@corpus.command("import")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@LANGUAGE
@click.option("--corpus", "name", required=True, metavar="NAME", help="The growing corpus that takes the texts.")
@click.option("--accept", is_flag=True, help="Take the texts although they break the bounds.")
def import_(source: Path, language: str, name: str, accept: bool) -> None:
    """Take the texts of FILE into a growing corpus; FILE may be a folder.

    FILE is an export of Label Studio in its format JSON (.json), JSON lines (.jsonl), CSV, or a column file (.conll);
    docs/operations/growing.md describes them. Texts that the corpus already has are left out; if their entities have
    changed, they replace the former ones. If an entity cuts a word, the file is refused, and the task or line named.
    """
    from multiner.pipeline.growing.declaration import growing_corpus
    from multiner.pipeline.growing.intake import import_file

    workspace = Workspace.load()
    corpus = growing_corpus(workspace, name)
    if corpus.language != language:
        raise NerError(
            f"{name} is a corpus of {corpus.language!r}",
            where="--language",
            remedy=f"Give: --language {corpus.language}",
        )
    import_file(workspace, corpus, source, beyond_bounds=accept)


@click.command()
@click.option("--language", "-l", help="Language code; by default all.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Write the corrected sentences to this file, in CoNLL format.",
)
@click.option(
    "--export",
    type=click.Choice([LABEL_STUDIO]),
    help="Write to --output the texts in doubt instead, as tasks for Label Studio.",
)
@click.option("--clear", is_flag=True, help="Then remove from the queue what --output has.")
@needs("serve")
def review(language: str | None, output: Path | None, export: str | None, clear: bool) -> None:
    """Count the corrections from the page and the texts in doubt, or write them to a file.

    The file of corrections has each sentence once, with its latest correction: token, tab, IOB2 tag. Above it, a
    -DOCSTART- line has an id, the time, and the model whose answer was corrected. The page takes corrections if
    serving.review is true.

    Texts in doubt are those with low scores, or whose legs disagree; the gateway keeps up to serving.review_uncertain
    of them. With --export label-studio they become tasks with the model's entities and scores. Their annotations come
    back with `ner corpus import`.
    """
    from multiner.pipeline.corpora.review_queue import ReviewQueue
    from multiner.pipeline.corpora.uncertain_texts import UncertainTexts

    workspace = Workspace.load()
    serving = workspace.params["serving"]
    most_bytes = int(1_000_000 * serving["review_megabytes"])
    queue = ReviewQueue(workspace.paths.review, most_bytes)
    uncertain = UncertainTexts(workspace.paths.review, serving["review_uncertain"], most_bytes)
    codes = [language] if language else workspace.languages
    for code in codes:
        workspace.language(code)
    if output and language:
        if export:
            click.echo(_export(workspace, uncertain, language, output, clear))
        else:
            count = queue.export(language, output, clear=clear)
            click.echo(f"{output}: {count:,} sentences{', and the queue is empty' if clear else ''}")
        return
    if output:
        raise click.UsageError("--output needs --language: the queue of each language is a file of its own")
    if clear or export:
        raise click.UsageError("--clear and --export need --output FILE")
    for code in codes:
        corrections = queue.read(code)
        latest = f", the latest at {corrections[-1].time} ({corrections[-1].model})" if corrections else ""
        doubtful = f"; {len(texts):,} texts in doubt" if (texts := uncertain.read(code)) else ""
        click.echo(f"{code}: {len(corrections):,} sentences{latest}{doubtful}")


def _export(workspace: Workspace, uncertain: UncertainTexts, language: str, output: Path, clear: bool) -> str:
    """Write the texts in doubt of a language as tasks; returns what was done, for the user."""
    from multiner.pipeline.corpora.formats.label_studio import import_task, labelling_interface

    texts = uncertain.read(language)
    if not texts:
        raise NerError(
            f"no texts in doubt for {language!r}",
            where=str(uncertain.path(language)),
            remedy="The gateway keeps them if serving.review_uncertain in params.yaml is above 0.",
        )
    tasks = [import_task(each.text, language, each.model, each.entities, round(1 - each.doubt, 4)) for each in texts]
    write_json(output, tasks)
    if clear:
        uncertain.clear(language, texts)
    interface = labelling_interface(workspace.language(language)["types"])
    removed = ", and they are removed from the queue" if clear else ""
    return f"{output}: {len(texts):,} tasks{removed}. The labelling interface of their project:\n{interface}"
