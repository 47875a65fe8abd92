"""The data card: what a language's model was trained and measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any

from multiner.pipeline.config.corpora import corpora_of
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.corpora.manifest import read_manifest
from multiner.pipeline.registry.card import data_list
from multiner.pipeline.registry.lineage import corpora_behind, raw_folders
from multiner.pipeline.registry.store import model_name
from multiner.pipeline.validation import expected

TEMPLATE = Path(__file__).with_name("data_card.md")
LISTED = 10  # files of a corpus at most that the card lists one by one
GROWING = "Texts that `ner pull` or `ner corpus import` took in; they are not published."
SAMPLES = "Invented sentences."


def data_card(workspace: Workspace, language: str, metrics: Mapping[str, Any]) -> str:
    """The card of a language's data in Markdown, from manifest, type maps, expected counts and the metrics file."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=model_name(workspace, language),
        data_hash=metrics.get("data_hash") or "unknown",
        profile=workspace.profile,
        corpora=data_list(workspace, language),
        about="\n\n".join(_about(workspace, language)),
        counts=_counts(workspace, language),
        use=_use(metrics),
        types=_types(workspace, language),
        files="\n".join(_files(workspace, language)),
    )


def _folders(workspace: Workspace, language: str) -> list[str]:
    return [folder.name for folder in raw_folders(workspace, language)]


def _about(workspace: Workspace, language: str) -> list[str]:
    """A paragraph on each raw corpus that something is to be said of, beside the list's line."""
    paragraphs = []
    for corpus in corpora_behind(workspace, language):
        folder = workspace.raw_folder(corpus)
        if corpus in workspace.growing:
            text = GROWING
        else:
            text = SAMPLES if folder.parent != workspace.paths.raw else workspace.corpora[corpus].about
        if text:
            paragraphs.append(f"**{folder.name}.** {text.strip()}")
    return list(dict.fromkeys(paragraphs))


def _counts(workspace: Workspace, language: str) -> str:
    head = "| corpus | part | documents | sentences | tokens | entities | by type | repeated | also in |"
    rows = [head, "|---|---|---:|---:|---:|---:|---|---:|---|"]
    parts = {} if workspace.bundled else expected.load().parts
    for corpus in corpora_of(workspace.language(language)):
        for part, counts in parts.get(corpus, {}).items():
            types = ", ".join(f"{name} {count:,}" for name, count in counts.types.items())
            also = ", ".join(f"{name} {count:,}" for name, count in counts.overlaps.items() if count)
            figures = (counts.documents, counts.sentences, counts.tokens, counts.entities)
            numbers = " | ".join(f"{figure:,}" for figure in figures)
            rows.append(f"| {corpus} | {part} | {numbers} | {types} | {counts.repeated:,} | {also} |")
    return "\n".join(rows) if len(rows) > 2 else "Not counted."


def _use(metrics: Mapping[str, Any]) -> str:
    head = "| corpus | tune documents | gate documents | test documents | test entities |"
    rows = [head, "|---|---:|---:|---:|---:|"]
    for corpus, sizes in metrics.get("sizes", {}).items():
        documents = [sizes.get(part, {}).get("documents", 0) for part in ("dev_tune", "dev_gate", "test")]
        entities = sizes.get("test", {}).get("entities", 0)
        rows.append(f"| {corpus} | {' | '.join(f'{number:,}' for number in (*documents, entities))} |")
    return "\n".join(rows)


def _types(workspace: Workspace, language: str) -> str:
    rows = ["| corpus | its type | the model's |", "|---|---|---|"]
    for corpus in corpora_of(workspace.language(language)):
        if entry := workspace.corpora.get(corpus):
            rows += [f"| {corpus} | {own} | {type_ or 'left out'} |" for own, type_ in entry.types.items()]
    return "\n".join(rows)


def _files(workspace: Workspace, language: str) -> Iterator[str]:
    manifest = {} if workspace.bundled else read_manifest(workspace.root)
    for folder in _folders(workspace, language):
        files = manifest.get(folder, {})
        if len(files) > LISTED:
            digest = sha256("".join(f"{name} {value}\n" for name, value in sorted(files.items())).encode()).hexdigest()
            yield f"- `{folder}`: {len(files)} files; the list of names and hashes has the SHA-256 `{digest}`"
        yield from (f"- `{folder}/{name}`: `{value}`" for name, value in files.items() if len(files) <= LISTED)
