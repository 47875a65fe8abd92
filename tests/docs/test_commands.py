"""The documentation names commands, options and parameters that exist, and every option of every command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
import yaml

SECTIONS = (
    "promotion",
    "serving",
    "drift",
    "airflow",
    "usage",
    "notices",
    "keep",
    "prepare",
    "ensemble",
    "transformer",
)
REMOVED = {("CHANGELOG.md", "serving.docs_port")}  # the changelog says that it has gone


@pytest.fixture(scope="module")
def pages(root: Path) -> dict[str, str]:
    paths = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture(scope="module")
def ner() -> click.Group:
    """The whole command line, as ``ner`` gathers it."""
    group = click.Group()
    for entry in entry_points(group="ner.commands"):
        group.commands.update(entry.load().commands)
    return group


def options(command: click.Command) -> set[str]:
    return {
        name for each in command.params if isinstance(each, click.Option) for name in (*each.opts, *each.secondary_opts)
    }


def leaves(group: click.Group, name: str = "ner") -> Iterator[tuple[str, click.Command]]:
    """The commands that are no groups, by their full names."""
    for key, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{name} {key}")
        else:
            yield f"{name} {key}", command


def test_every_command_line_that_a_page_shows_is_right(pages: dict[str, str], ner: click.Group) -> None:
    lines = [
        (page, call)
        for page, text in pages.items()
        for call in re.findall(r"`ner ([a-z][^`]*)`|^\$ ner ([a-z].*)$", text, flags=re.M)
    ]
    assert len(lines) > 100
    for page, call in lines:
        words, command = re.split(r"#| -- ", "".join(call))[0].replace("…", "").split(), ner
        while isinstance(command, click.Group) and words and words[0].split("/")[0] in command.commands:
            command = command.commands[words.pop(0).split("/")[0]]
        assert command is not ner, (page, call)
        if not command.ignore_unknown_options:
            shown = {word for word in words if re.match(r"--?[a-z]", word)}
            assert shown <= options(command) | {"--help"}, (page, call)


def test_every_option_is_on_a_page(pages: dict[str, str], ner: click.Group) -> None:
    text = "\n".join(pages.values())
    for name, command in leaves(ner):
        for option in command.params:
            if isinstance(option, click.Option):
                names = "|".join(re.escape(each) for each in (*option.opts, *option.secondary_opts))
                assert re.search(rf"(?<![\w-])(?:{names})(?![\w-])", text), (name, option.opts)


def test_every_parameter_that_a_page_names_exists(root: Path, pages: dict[str, str]) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    pattern = rf"`({'|'.join(SECTIONS)})\.(?!py)(\w+)(?:`|:| )"
    names = [(page, *match) for page, text in pages.items() for match in re.findall(pattern, text)]
    assert len(names) > 50
    wrong = [(page, f"{section}.{key}") for page, section, key in names if key not in params[section]]
    assert set(wrong) <= REMOVED


def test_every_make_target_that_a_page_names_exists(root: Path, pages: dict[str, str]) -> None:
    rules = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    names = {(page, name) for page, text in pages.items() for name in re.findall(r"(?:`|\$ )make ([\w-]+)", text)}
    assert len(names) > 10
    assert [(page, name) for page, name in names if name not in rules] == []
