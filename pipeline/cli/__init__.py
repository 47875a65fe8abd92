"""The command line: ``ner`` with a command for each stage; other packages add theirs by entry points."""

from __future__ import annotations

import click

from multiner.pipeline.additions.commands import language
from multiner.pipeline.audit.commands import compare, history, reproduce
from multiner.pipeline.cli.annotation import annotate
from multiner.pipeline.cli.entry import main, ner
from multiner.pipeline.cli.models import promote, register, waiting
from multiner.pipeline.cli.stages import (
    behave,
    card,
    encoder,
    ensemble,
    evaluate,
    export,
    out_of_fold,
    prepare,
    pull,
    readme,
    search,
    train,
    validate,
    vectors,
)
from multiner.pipeline.corpora.formats.commands import convert
from multiner.pipeline.growing.commands import corpus, review
from multiner.pipeline.tuning.commands import tune
from multiner.pipeline.workspaces.commands import workspace

__all__ = ["annotate", "commands", "main", "ner", "promote"]


@click.group()
def commands() -> None:
    """Stages of the pipeline."""


for command in (
    pull,
    encoder,
    vectors,
    validate,
    prepare,
    train,
    search,
    export,
    out_of_fold,
    ensemble,
    evaluate,
    annotate,
    behave,
    register,
    promote,
    waiting,
    readme,
    card,
    workspace,
    history,
    compare,
    reproduce,
    corpus,
    language,
    review,
    convert,
    tune,
):
    commands.add_command(command)
