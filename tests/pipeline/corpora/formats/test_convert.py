"""``ner convert``: files, folders and streams; losses are said, and errors leave nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from multiner.pipeline.cli import commands
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.formats import FORMATS

CONLL = "-DOCSTART-\tO\n\nIngrid\tB-PER\nHalvorsen\tI-PER\n😀\tO\n\n"


def convert(*arguments: str | Path, input: str = "") -> Result:
    result = CliRunner().invoke(commands, ["convert", *map(str, arguments)], input=input.encode())
    if isinstance(result.exception, NerError):
        raise result.exception
    return result


@pytest.mark.parametrize("name", FORMATS)
def test_to_each_format_and_back(name: str, tmp_path: Path) -> None:
    source, middle, back = tmp_path / "a.conll", tmp_path / "b", tmp_path / "c.conll"
    source.write_text(CONLL, encoding="utf-8")
    assert convert(source, middle, "--from", "columns", "--to", name).exit_code == 0
    done = convert(middle, back, "--from", name, "--to", "columns", "-l", "en")
    assert done.output.startswith(f"{back}: 1 documents, 1 entities")
    assert back.read_text(encoding="utf-8") == CONLL
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.conll", "b", "c.conll"]


def test_streams_options_and_types() -> None:
    arguments = ["-", "-", "--from", "columns", "--to", "columns", "--out", "scheme=BIOES", "--type", "PER=Person"]
    done = convert(*arguments, "--in", "token-column=1", "--out", "document-mark=", input=CONLL)
    assert done.stdout == "Ingrid\tB-Person\nHalvorsen\tE-Person\n😀\tO\n\n"
    assert done.stderr == "-: 1 documents, 1 entities\n"
    assert "\t" in convert(*arguments, "--type", "PER=", input=CONLL).stdout
    assert "Person" not in convert(*arguments[:-2], "--type", "PER=", input=CONLL).stdout


def test_losses_are_said() -> None:
    line = '{"text": "Ingrid  left.", "label": [[0, 6, "PER"], [0, 12, "EVENT"]]}\n'
    done = convert("-", "-", "--from", "doccano", "--to", "columns", input=line)
    assert "lost: nested or overlapping entities (1); the texts' own blanks, in documents (1)" in done.stderr


def test_the_help_lists_formats_and_options() -> None:
    done = convert("--help")
    assert all(form.title in done.output for form in FORMATS.values())
    assert "token_column=1" in done.output


def test_the_page_has_every_format(root: Path) -> None:
    page = (root / "docs" / "api" / "corpora.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| .+ \| (one|many) documents? \| (yes|no) \| (yes|no) \|$", page, flags=re.M)
    words = {True: "yes", False: "no"}
    table = {
        (name, "one" if form.folder else "many", words[form.nested], words[form.scores])
        for name, form in FORMATS.items()
    }
    assert set(rows) == table


def test_wrong_arguments(tmp_path: Path) -> None:
    source, output = tmp_path / "a.conll", tmp_path / "b"
    source.write_text("a B-PER\nb\n", encoding="utf-8")
    with pytest.raises(NerError, match="expected 2 columns"):
        convert(source, output, "--from", "columns", "--to", "brat")
    with pytest.raises(NerError, match="unknown format"):
        convert(source, output, "--from", "xml", "--to", "brat")
    with pytest.raises(NerError, match="there already"):
        convert(source, source, "--from", "columns", "--to", "conllu")
    assert convert(source, "-", "--from", "columns", "--to", "brat").exit_code == 2
    assert convert(source, output, "--from", "columns", "--to", "brat", "--in", "scheme").exit_code == 2
    assert [each.name for each in tmp_path.iterdir()] == ["a.conll"]
