"""The documentation as a site: it builds without warnings, asks no other server for anything, and has everything."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import multiner
from multiner.pipeline.config.schema import Params

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("generators")]
LOADING = re.compile(r"<(?:script|img|iframe|source|link|object|embed)\b[^>]*?\b(?:src|href|data)=[\"']?([^\"'\s>]+)")


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def article(site: Path, page: str) -> str:
    """The content of a page as text; code too."""
    content = (site / page).read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
    return html.unescape(re.sub(r"<[^>]+>", "", content))


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        targets = LOADING.findall(page.read_text(encoding="utf-8"))
        assert len(targets) > 2
        assert not [target for target in targets if "//" in target], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_every_list_and_table_is_one_and_every_marker_is_filled_in(site: Path) -> None:
    for page in site.rglob("*.html"):
        content = page.read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
        assert "<!-- generated" not in content
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", content, flags=re.S)
        assert not re.findall(r"^\s*(?:[-*] |\| |```).*", re.sub(r"<[^>]+>", "", text), flags=re.M), page.name


def test_the_reference_has_every_command_and_option(site: Path) -> None:
    import commands

    text, count = article(site, "reference/commands.html"), 0
    for name, command in leaves(commands.command_line(), "ner"):
        section = text.partition(f"$ {name} ")[2].partition("\n$ ner ")[0]
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in section, (name, option)
                count += 1
    assert count > 80


def leaves(command: object, name: str) -> Iterator[tuple[str, object]]:
    yield name, command
    for key, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, f"{name} {key}")


def test_the_reference_has_every_parameter(site: Path) -> None:
    content = (site / "reference" / "parameters.html").read_text(encoding="utf-8")
    keys = list(fields(Params))
    assert len(keys) > 100
    for key in keys:
        section, _, name = key.partition(".")
        assert f"<code>{name or section}</code>" in content, key


def fields(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{above}.{name}" if above else name
        yield key
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, key)


def test_the_reference_has_every_dag_with_its_tasks(site: Path, root: Path) -> None:
    text = article(site, "reference/dags.html")
    ids = re.findall(r"^\s*(\w+)¶$", text, flags=re.M)
    languages = ("en", "ru")
    assert set(ids) >= {"data", "drift", "housekeeping", "reconcile", *(f"retrain_{code}" for code in languages)}
    stages = re.findall(r"^  (\w+):$", (root / "dvc.yaml").read_text(encoding="utf-8"), flags=re.M)
    assert len(stages) > 8
    assert [stage for stage in stages if stage not in text] == []


def test_the_reference_has_every_endpoint_and_schema(site: Path, root: Path) -> None:
    import http_api

    text, document = article(site, "reference/http.html"), http_api.document(root)
    assert len(document["paths"]) > 15
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in text
    for schema in document["components"]["schemas"]:
        assert f"{schema}¶" in text


def test_the_reference_has_every_public_name(site: Path) -> None:
    content = (site / "reference" / "python.html").read_text(encoding="utf-8")
    names = {name: getattr(multiner, name).__module__ for name in multiner.__all__}
    assert [name for name in names if f'id="multiner.{name}"' not in content] == []
