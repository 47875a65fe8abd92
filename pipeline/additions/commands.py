"""The commands ``ner corpus add``, ``ner corpus list``, ``ner language add`` and ``ner language list``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from multiner.pipeline.config.corpora import Corpus
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.growing.commands import corpus

FILE = click.Path(path_type=Path)


@corpus.command()
@click.argument("file", type=FILE)
@click.option("--dev", type=FILE, help="File of the development part; without one, a share of FILE is held out.")
@click.option("--test", type=FILE, help="File of the test part; without one, a share of FILE is held out.")
@click.option("--name", required=True, help="Name of the corpus: small letters, digits, hyphens.")
@click.option("--language", "-l", required=True, help="Language code of its texts.")
@click.option("--format", "format_", default="columns", show_default=True, help="Its format, such as jsonl or doccano.")
@click.option(
    "--option",
    "-o",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the format, such as token_column=2.",
)
@click.option("--map", "maps", multiple=True, metavar="OLD=NEW", help="Rename a type; OLD= leaves it out. Repeatable.")
@click.option("--heldout", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Share to hold out.")
@click.option("--title", default="", help="What the corpus is, for the model card.")
@click.option("--license", "--licence", "licence", default=Corpus.licence, show_default=True, help="Its licence.")
@click.option("--replace", is_flag=True, help="Replace a corpus of this name that was added before.")
def add(
    file: Path,
    dev: Path | None,
    test: Path | None,
    name: str,
    language: str,
    format_: str,
    options: tuple[str, ...],
    maps: tuple[str, ...],
    heldout: float | None,
    title: str,
    licence: str,
    replace: bool,
) -> None:
    """Add a corpus of your own: FILE is its training part.

    All of it is read first; an error names file and line, and nothing is added then. The files are copied to data/raw,
    and a description is written to params/corpora/NAME.yaml, which you can edit. `ner language add` then makes models
    of it.
    """
    from multiner.pipeline.additions.corpus import NewCorpus, add_corpus

    pairs = [_pair(each, "--option") for each in options]
    description: dict[str, Any] = {
        "title": title or name,
        "licence": licence,
        "language": language,
        "format": format_,
        "options": {key: int(value) if re.fullmatch(r"-?\d+", value) else value for key, value in pairs},
        "share": [0.0, 1.0],
    }
    if heldout is not None:
        description["heldout"] = heldout
    types = dict(_pair(each, "--map") for each in maps)
    files = {split: path for split, path in (("train", file), ("dev", dev), ("test", test)) if path is not None}
    add_corpus(Workspace.load(), NewCorpus(name, files, description, types), again=replace)


def _pair(text: str, option: str) -> tuple[str, str]:
    """Key and value of ``KEY=VALUE``."""
    key, sign, value = text.partition("=")
    if not sign:
        raise click.UsageError(f"{option} {text}: write it as {option} NAME=VALUE")
    return key, value


@corpus.command("list")
def list_corpora() -> None:
    """List the corpora: the published ones, your own, and growing ones."""
    workspace = Workspace.load()
    users: dict[str, list[str]] = {}
    for code in workspace.languages:
        params = workspace.language(code)
        for name in dict.fromkeys([*params["train_on"], *params["report_on"]]):
            users.setdefault(name, []).append(code)
    rows = [
        (name, entry.language, "own" if entry.own else "published", ", ".join(sorted(entry.labels)), entry.licence)
        for name, entry in workspace.corpora.items()
    ]
    rows += [(name, each["language"], "growing", "", "") for name, each in workspace.growing.items()]
    for name, language, kind, types, licence in rows:
        used = f"used by {', '.join(users[name])}" if name in users else "not used"
        click.echo("; ".join(part for part in (f"{name}: {language}, {kind}, {used}", types, licence) if part))


@click.group()
def language() -> None:
    """Add languages, and list them."""


@language.command("add")
@click.argument("code")
@click.option(
    "--corpus", "corpora", multiple=True, metavar="NAME", help="A corpus to train on; by default all of CODE."
)
@click.option("--report-on", multiple=True, metavar="NAME", help="A corpus to report on; by default those of --corpus.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="An entity type; by default all of the corpora.")
@click.option("--encoder", help="A folder or a name on the hub; by default transformer.encoder of params.yaml.")
@click.option("--start", metavar="LANG", help="Train the encoder on the documents of this language first.")
@click.option("--vectors", help="Static vectors of the CNN: an installed spaCy pipeline or a folder; else none.")
@click.option("--shipped", metavar="PIPELINE", help="A pretrained spaCy pipeline as third leg; else none.")
def add_(
    code: str,
    corpora: tuple[str, ...],
    report_on: tuple[str, ...],
    types: tuple[str, ...],
    encoder: str | None,
    start: str | None,
    vectors: str | None,
    shipped: str | None,
) -> None:
    """Add the language CODE: to params.yaml, to each profile, and to dvc.yaml.

    Stages, DAGs, registry and gateway read it there. All checks come first; with an error nothing is changed.
    """
    from multiner.pipeline.additions.language import NewLanguage, add_language, corpora_of_language, types_of

    workspace = Workspace.load()
    train_on = list(corpora or corpora_of_language(workspace, code))
    new = NewLanguage(
        code, train_on, list(report_on or train_on), list(types or types_of(workspace, train_on)), encoder, start,
        vectors, shipped,
    )  # fmt: skip
    if not add_language(workspace, new):
        click.echo(f"{code}: nothing to do, it is configured")
        return
    click.echo(f"{code}: added to params.yaml, the profiles and dvc.yaml; trained on {', '.join(train_on)}")
    click.echo(f"next: dvc repro evaluate@{code}, or ner run")


@language.command("list")
def list_languages() -> None:
    """List the languages with their types, corpora and legs."""
    from multiner.pipeline.text.languages import language_name

    workspace = Workspace.load()
    for code in workspace.languages:
        params = workspace.language(code)
        click.echo(
            f"{code}: {language_name(code)}; {', '.join(params['types'])}; trained on {', '.join(params['train_on'])}; "
            f"legs {', '.join(workspace.legs(code))}"
        )
