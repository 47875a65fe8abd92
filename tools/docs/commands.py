"""The reference of the command line, from the tree of click's commands."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from inspect import cleandoc
from pathlib import Path

import click

from multiner.pipeline.cli.entry import ner


def command_line() -> click.Group:
    """``ner`` with the commands of all packages."""
    for entry in entry_points(group="ner.commands"):
        for name, command in entry.load().commands.items():
            ner.add_command(command, name)
    return ner


def markdown(root: Path) -> str:
    """A section for each command: its help, its usage, its arguments and options."""
    return "\n\n".join(_sections(command_line(), "ner", None))


def _sections(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent)
    level = "##" if name.count(" ") < 2 else "###"
    usage = " ".join(command.collect_usage_pieces(context))
    text = cleandoc(command.help or "").replace("\b\n", "")
    yield f"{level} `{name}`"
    yield escape(text)
    yield f"```console\n$ {name} {usage}\n```"
    if rows := [_row(parameter, context) for parameter in command.params if not getattr(parameter, "hidden", False)]:
        yield "\n".join(["| option | meaning |", "|---|---|", *rows])
    if isinstance(command, click.Group):
        for key in sorted(command.commands):
            if not command.commands[key].hidden:
                yield from _sections(command.commands[key], f"{name} {key}", context)


def _row(parameter: click.Parameter, context: click.Context) -> str:
    if isinstance(parameter, click.Option):
        names, meaning = parameter.get_help_record(context) or (", ".join(parameter.opts), "")
        return f"| `{names}` | {cell(meaning)} |"
    choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
    meaning = f"one of {', '.join(f'`{choice}`' for choice in choices)}" if choices else "an argument"
    return f"| `{parameter.make_metavar(context)}` | {meaning} |"


def cell(text: str) -> str:
    """The text as a cell of a table."""
    return escape(" ".join(text.split())).replace("|", "\\|")


def escape(text: str) -> str:
    """The text with the signs that Markdown would read as HTML, outside of code."""
    parts = text.split("`")
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))
