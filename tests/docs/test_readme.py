"""The README stays true: its table is that of the committed figures, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from multiner.pipeline.evaluation.readme_table import update


def test_the_results_table_is_up_to_date(root: Path) -> None:
    assert not update(root / "README.md", root / "metrics" / "cpu", check=True), "run: ner readme"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_and_pictures_are_there(root: Path) -> None:
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))]
    assert len(links) > 50
    for page, link in links:
        path, _, anchor = link.partition("#")
        if "://" not in link:
            target = page.parent / path if path else page
            assert target.is_file(), (page.name, link)
            assert not anchor or anchor in anchors(target), (page.name, link)


def test_make_targets_and_parameters_are_there(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    rules = re.findall(r"^([\w-]+):", (root / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    assert set(re.findall(r"\bmake ([\w-]+)", text)) <= set(rules)
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    knobs = re.findall(r"`(transformer|spacy|serving)\.(\w+)", text)
    profiles = re.findall(r"^\| `(\w+)` \| ", text, flags=re.M)
    assert knobs
    assert profiles
    for group, key in knobs:
        assert key in params[group], (group, key)
    for profile in profiles:
        assert (root / "params" / f"{profile}.yaml").is_file() or profile in {"cpu"}, profile
