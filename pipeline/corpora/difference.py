"""The differences that ``ner pull --accept`` shows: changed files, numbers of sentences and entities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import is_system_file

READERS = {"conll2003": "conll2003", "wnut17": "wnut17", "factRuEval-2016": "factrueval-object"}
"""For a folder of raw data the corpus whose reader reads all of its files."""
OBJECT_TYPES = frozenset({"Person", "Location", "LocOrg", "Org"})


@dataclass(frozen=True)
class Counts:
    """The size of a corpus; ``malformed`` is its reader's refusal, in which case the counts are of plain lines."""

    sentences: int
    entities: int
    malformed: str | None = None


def file_changes(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, list[str]]:
    """Names of the files ``added``, ``removed`` and ``changed`` from one manifest entry to another."""
    return {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
    }


def count(folder: Path, corpus: str) -> Counts | None:
    """Sentences and entities that a corpus's reader finds, or else its lines show; None where it has no reader."""
    if corpus not in READERS:
        return None
    from multiner.pipeline.corpora import read_corpus

    with TemporaryDirectory(prefix="ner-count-") as temporary:
        (Path(temporary) / corpus).symlink_to(folder.resolve(), target_is_directory=True)
        try:
            parts = [read_corpus(Path(temporary), READERS[corpus], split) for split in ("train", "dev", "test")]
        except NerError as error:
            sentences, entities = count_lines(folder)
            problem = f"{error.where}: {error.message}".replace(f"{temporary}/", "")
            return Counts(sentences, entities, problem)
    documents = [document for part in parts for document in part]
    return Counts(
        sum(len(document.sentences) for document in documents), sum(len(document.spans) for document in documents)
    )


def count_lines(folder: Path) -> tuple[int, int]:
    """Numbers of sentences (blocks of lines) and of entities (lines that begin one), without a reader."""
    sentences = entities = 0
    for path in folder.rglob("*"):
        if is_system_file(path):
            continue
        if path.suffix == ".objects":
            kinds = [line.split()[1:2] for line in _lines(path)]
            entities += sum(bool(kind) and kind[0] in OBJECT_TYPES for kind in kinds)
        elif path.suffix in {".tokens", ".conll", ".annotated"} or path.name in {"train.txt", "valid.txt", "test.txt"}:
            within = False
            for line in _lines(path):
                begins = bool(line.strip()) and line.split()[0] != "-DOCSTART-"
                sentences += begins and not within
                within = begins
                entities += begins and path.suffix != ".tokens" and line.split()[-1].startswith("B-")
    return sentences, entities


def describe(corpus: str, changes: Mapping[str, list[str]], old: Counts | None, new: Counts | None) -> list[str]:
    """Lines for the user that say what accepting the data changes."""
    lines = [f"{corpus}: " + ", ".join(f"{len(names)} files {kind}" for kind, names in changes.items())]
    for kind, names in changes.items():
        shown = [f"  {kind}: {name}" for name in names[:10]]
        lines += shown + ([f"  … and {len(names) - 10} more {kind}"] if len(names) > 10 else [])
    for what in ("sentences", "entities") if new else ():
        after = getattr(new, what)
        before = getattr(old, what) if old else None
        lines.append(f"  {what}: {'unknown' if before is None else f'{before:,}'} → {after:,}")
    if new and new.malformed:
        lines.append(f"  malformed, so counted by lines: {new.malformed}")
    return lines


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
