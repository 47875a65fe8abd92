"""The commands ``ner corpus …``."""

from __future__ import annotations

from pathlib import Path

import click

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError


@click.group()
def corpus() -> None:
    """Growing corpora, which params.yaml declares under `growing`."""


@corpus.command("import")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--language", "-l", required=True, help="Language code, as in params.yaml.")
@click.option("--corpus", "name", required=True, metavar="NAME", help="The growing corpus that takes the texts.")
@click.option("--accept", is_flag=True, help="Take them although they differ from what the corpus holds.")
def import_(source: Path, language: str, name: str, accept: bool) -> None:
    """Take the texts of FILE into a growing corpus; FILE may be a folder.

    FILE is an export of Label Studio in its format JSON (.json), JSON lines (.jsonl), CSV, or a column file (.conll);
    docs/operations/growing.md describes them. Texts that the corpus has already are left out, and those with other
    entities replace the former ones. An entity that cuts a word refuses the file, with the task or line.
    """
    from multiner.pipeline.growing.declaration import growing_corpus
    from multiner.pipeline.growing.intake import import_file

    workspace = Workspace.load()
    corpus = growing_corpus(workspace, name)
    if corpus.language != language:
        raise NerError(f"{name} is a corpus of {corpus.language!r}", where="--language", remedy="Give its language.")
    import_file(workspace, corpus, source, beyond_bounds=accept)
