"""The commands that register a trained model and promote a registered one."""

from __future__ import annotations

import click

from multiner.pipeline.config.options import LANGUAGE
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError


@click.command()
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


@click.command()
@click.argument("version", required=False)
@LANGUAGE
@click.option("--reason", help="With VERSION: the reason, one line, for the journal.")
@click.option("--judge-only", is_flag=True, help="Write the verdict, and leave the champion as it is.")
@click.option(
    "--approved", metavar="VERSION", help="Approve this challenger, which passed the gate: it becomes champion."
)
@click.option(
    "--rejected", metavar="VERSION", help="Reject this challenger, which passed the gate: the champion stays."
)
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
        raise click.UsageError("VERSION and --reason go together: ner promote VERSION -l LANG --reason TEXT")
    if sum(map(bool, (version, judge_only, approved, rejected))) > 1:
        raise click.UsageError("give only one of VERSION, --judge-only, --approved and --rejected")
    if by and not (approved or rejected):
        raise click.UsageError("--by needs --approved or --rejected")
    workspace = Workspace.load()
    if version is not None and reason is not None:
        target = promote_version(workspace, language, version, reason=reason)
        click.echo(f"{language}: version {target} is champion by order; to make it live at once: ner deploy")
        return
    if rejected is not None:
        rejection = reject(workspace, language, rejected, by=by)
        if rejection is None:
            click.echo(f"nothing to do: version {rejected} is champion already")
            return
        announce_rejection(workspace, language, rejected, str(rejection.by))
        stays = "the champion stays" if rejection.before else "there is no champion yet"
        click.echo(f"version {rejected} was rejected by {rejection.by}: {stays}")
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


@click.command()
@LANGUAGE
def waiting(language: str) -> None:
    """Say whether a challenger waits to be judged by `ner promote`, or to be approved.

    The DAG promote_LANG asks this every hour, so that a challenger that the gate could not judge is judged again, and a
    question that a restart has ended is asked again.
    """
    from multiner.pipeline.registry.waiting import waiting_challenger

    if version := waiting_challenger(Workspace.load(), language):
        click.echo(f"version {version} waits to be judged or approved")
    else:
        click.echo("nothing to do: no challenger waits")
