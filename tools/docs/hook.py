"""The hook of mkdocs.yml: pages from outside docs/, and the parts of pages that are generated from the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

import architecture
import commands
import github
import http_api
import parameters
import python_api
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import dags

ROOT = Path(__file__).resolve().parents[2]
PAGES = {  # Markdown files outside docs/, and where the site has them
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
GENERATED: dict[str, Callable[[Path], str]] = {  # by the NAME in <!-- generated: NAME -->
    "architecture": architecture.picture,
    "commands": commands.markdown,
    "dags": dags.markdown,
    "http": http_api.markdown,
    "parameters": parameters.markdown,
    "python": python_api.markdown,
}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
MARKER = re.compile(r"<!-- generated: (\w+) -->")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and the other files of the repository that pages link to."""
    for source, place in PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    for page in list(files.documentation_pages()):
        for match in LINK.finditer(page.content_string):
            target = target_of(repository_path(page.src_uri), match[1])
            place = place_of(target)
            if place not in files.src_uris and (ROOT / target).is_file():
                files.append(File.generated(config, place, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the places that the site has for files, and fill in what is generated.

    Raises:
        KeyError: a page has a marker of a name that is not in GENERATED.
    """
    own = repository_path(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        place = place_of(target_of(own, match[1]))
        return relpath(place, dirname(page.file.src_uri) or ".") + (match[2] or "")

    text = github.rewritten(LINK.sub(link, markdown))
    return MARKER.sub(lambda match: GENERATED[match[1]](ROOT), text)


def repository_path(src_uri: str) -> str:
    """The path in the repository of a file of the site."""
    sources = {place: source for source, place in PAGES.items()}
    return sources.get(src_uri, f"docs/{src_uri}")


def target_of(page: str, link: str) -> str:
    """The path in the repository that a link on a page leads to."""
    return normpath(join(dirname(page), link))


def place_of(target: str) -> str:
    """The place in the site of a file of the repository; those outside docs/ are text, whatever their name."""
    if target in PAGES:
        return PAGES[target]
    return target.removeprefix("docs/") if target.startswith("docs/") else f"files/{target.lstrip('.')}.txt"
