"""The command ``ner tune``."""

from __future__ import annotations

from pathlib import Path

import click

from multiner.pipeline.config.settings import Workspace


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "--examples",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Annotated sentences: .jsonl with text and entities, .csv, .conll, or an export of Label Studio (.json).",
)
@click.option(
    "--name", default="tuned", show_default=True, help="End of the name of the profile that gets the outputs."
)
def tune(model: str, examples: Path, name: str) -> None:
    """Continue MODEL on your own annotated sentences, and register the result as challenger.

    MODEL is a name of the registry (ner-en: its champion), a name with an alias or a version (ner-en@challenger,
    ner-en@3), or the folder of an MLflow model. Its transformer learns from the examples and from documents of its
    original training. A part of the examples is held out.

    The F1 before and after is shown, on held-out examples and on the language's own development documents. Nothing is
    promoted: `ner promote` judges the challenger. `tune` in params.yaml has the settings; docs/tuning.md explains them.
    """
    from multiner.pipeline.tuning.run import run

    workspace = Workspace.load()
    result = run(workspace, model, examples, name)
    learnt, stop, check = result.parts
    click.echo(f"continued {result.start}: {learnt} examples to learn from, {stop} to stop on, {check} to check on")
    click.echo(f"meta-classifier: {'fitted anew' if result.fitted else 'kept'}")
    for corpus, before in result.before.items():
        after = result.after[corpus]
        place = "held-out examples" if corpus == "examples" else f"{corpus}, development"
        click.echo(f"{place}: F1 {before:.2f} before, {after:.2f} after ({after - before:+.2f})")
    version = result.registration
    click.echo(f"registered version {version.version} of {version.name} as challenger; to judge it: ner promote")
