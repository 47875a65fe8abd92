"""Adds a corpus: its files to data/raw, their hashes to the manifest, its description to params/corpora."""

from __future__ import annotations

import re
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from multiner.pipeline.additions.checks import check_code
from multiner.pipeline.config.corpora import SPLITS, Corpus, OtherFormat, read_entry
from multiner.pipeline.config.settings import CORPORA_FOLDER, Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, temporary_folder, write_atomically
from multiner.pipeline.core.iob2 import OUTSIDE
from multiner.pipeline.corpora import formats, read_corpus
from multiner.pipeline.corpora.formats import ConversionLoss
from multiner.pipeline.corpora.manifest import hash_files, list_files, read_manifest, write_manifest
from multiner.pipeline.corpora.versioning import is_versioned, push, track, writing

HEAD = "# Written by `ner corpus add`. Its files are in data/raw, with their SHA-256 in data/manifest.json.\n"
NAME = re.compile(r"[a-z][a-z0-9-]{1,39}")


@dataclass(frozen=True)
class NewCorpus:
    """A corpus to be added.

    Attributes:
        name: its name in params.yaml, and that of its folder.
        files: the file of each split; of a split without one, a share of the training file is held out.
        description: the content of its YAML file, as far as the caller gives it.
        types: map of types, for those that are not to keep their name; an empty name leaves a type out.
    """

    name: str
    files: Mapping[str, Path]
    description: Mapping[str, Any]
    types: Mapping[str, str]


def add_corpus(workspace: Workspace, corpus: NewCorpus, *, again: bool = False) -> bool:
    """Add a corpus, and print what it holds; returns whether anything changed.

    Args:
        workspace: the workspace.
        corpus: the corpus.
        again: whether it may replace a corpus of the same name that was added before.

    Raises:
        NerError: a file cannot be read (names the line), or the name is taken. Nothing is changed then.
    """
    _check_name(workspace, corpus.name)
    check_code(corpus.description["language"], "--language")
    target = workspace.paths.raw / corpus.name
    with locks.hold(workspace.paths.run / "growing.lock", locks.GROWING), temporary_folder(target) as staged:
        names = {split: split + ("" if path.is_dir() else path.suffix) for split, path in corpus.files.items()}
        for split, name in names.items():
            _copy(corpus.files[split], staged / name)
        files = {split: names.get(split, names["train"]) for split in SPLITS}
        with _own_names(staged, {name: corpus.files[split] for split, name in names.items()}):
            description, documents, losses = _described(corpus, files, staged)
        content = HEAD + _dumped(description)
        hashes = {name: sha for name, sha in hash_files(staged, list_files(staged)).items() if sha}
        manifest, file = read_manifest(workspace.root), workspace.root / CORPORA_FOLDER / f"{corpus.name}.yaml"
        same = file.is_file() and yaml.safe_load(file.read_text(encoding="utf-8")) == description
        whole = manifest.get(corpus.name) == hashes == hash_files(target, list_files(target))
        for line in (*table(documents), *losses):
            print(line)
        if same and whole:
            print(f"{corpus.name}: nothing to do, it was added before")
            return _version(workspace, target)
        if file.is_file() and not again:
            raise NerError(
                f"{corpus.name} is there, with other files or another description",
                where=f"{CORPORA_FOLDER}/{corpus.name}.yaml",
                remedy="Choose another name, or replace it: --replace.",
            )
        _write(workspace, target, staged, {**manifest, corpus.name: hashes})
        with write_atomically(file) as out:
            out.write(content)
    print(f"{corpus.name}: {', '.join(sorted(hashes))} in data/raw/{corpus.name}; description: {file.name}")
    return _version(workspace, target) or True


def _check_name(workspace: Workspace, name: str) -> None:
    published = {each for entry in workspace.corpora.values() if not entry.own for each in (entry.name, entry.folder)}
    if not NAME.fullmatch(name):
        raise NerError(f"{name!r} is no name", where="--name", remedy="Take small letters, digits and hyphens.")
    if name in {*published, *workspace.growing, "packages"}:
        raise NerError(f"{name} is the name of other raw data", where="--name", remedy="Choose another one.")


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise NerError("no such file or folder", where=str(source), remedy="Mend the path. Nothing was added.")
    if target.resolve().is_relative_to(source.resolve()):
        raise NerError("this folder holds data/raw itself", where=str(source), remedy="Name the corpus's own folder.")
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)


@contextmanager
def _own_names(staged: Path, sources: Mapping[str, Path]) -> Iterator[None]:
    """In errors, the user's files in place of their copies in ``staged``."""
    try:
        yield
    except NerError as error:
        where = error.where or ""
        for name, path in sources.items():
            where = where.replace(str(staged / name), str(path))
        encoding = "Or name its encoding: --option encoding=iso-8859-1." if "not UTF-8" in error.message else ""
        remedy = " ".join(filter(None, [error.remedy, encoding, "Nothing was added."]))
        raise NerError(error.message, where=where or "ner corpus add", remedy=remedy) from None


def _described(
    corpus: NewCorpus, files: Mapping[str, str], staged: Path
) -> tuple[dict[str, Any], dict[str, list[Document]], list[str]]:
    """The whole description of a corpus, its documents by split, and what its annotation loses, for the user."""
    description = {**corpus.description, "files": dict(files)}
    with warnings.catch_warnings(action="ignore", category=ConversionLoss):
        labels = _labels(corpus.name, description, staged)
    if unknown := [name for name in corpus.types if name not in labels]:
        remedy = f"Types in the files: {', '.join(labels)}."
        raise NerError(f"no entity has the type {unknown[0]!r}", where="--map", remedy=remedy)
    description["types"] = {label: corpus.types.get(label, label) or None for label in labels}
    for label, name in description["types"].items():
        if name and (name == OUTSIDE or name.split() != [name]):
            problem = "it stands for no entity" if name == OUTSIDE else "it has a blank"
            remedy = f"Rename it: --map {label!r}=NAME; or leave it out: --map {label!r}="
            raise NerError(f"{name!r} cannot be the name of a type: {problem}", where="--map", remedy=remedy)
    with warnings.catch_warnings(record=True) as losses:
        warnings.simplefilter("always", ConversionLoss)
        entry = _entry(corpus.name, description, staged)
        documents = {split: read_corpus(staged.parent, entry, split) for split in SPLITS}
    return description, documents, list(dict.fromkeys(str(each.message).replace(f"{staged}/", "") for each in losses))


def _entry(name: str, description: Mapping[str, Any], staged: Path) -> Corpus:
    """The corpus that a description describes, with its files in ``staged``."""
    with temporary_folder(staged.parent / f".{name}.description") as folder:
        path = folder / f"{name}.yaml"
        path.write_text(_dumped({"types": {"?": "?"}} | dict(description)), encoding="utf-8")
        return replace(read_entry(path, own=True), folder=staged.name)


def _labels(name: str, description: Mapping[str, Any], staged: Path) -> list[str]:
    """The types in the files, those of nested entities among them."""
    entry = _entry(name, description, staged)
    if not isinstance(entry.form, OtherFormat):  # no nested entities; the types of these are in the map already
        documents = [each for split in SPLITS for each in read_corpus(staged.parent, entry, split)]
    else:
        form, files = entry.form, dict.fromkeys(entry.parts.values())
        options = formats.reading_options(form.name, form.options)
        language = entry.language
        documents = [
            each
            for file in files
            for each in formats.read(staged / file, form.name, language=language, overlaps="keep", **options)
        ]
    return sorted({span.label for document in documents for span in document.spans})


def _dumped(description: Mapping[str, Any]) -> str:
    return str(
        yaml.safe_dump(dict(description), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    )


def table(documents: Mapping[str, Sequence[Document]]) -> list[str]:
    """The sizes of the splits, a line each."""
    lines = []
    for split, part in documents.items():
        types = Counter(span.label for document in part for span in document.spans)
        sentences = sum(len(document.sentences) for document in part)
        by_type = ", ".join(f"{label} {count:,}" for label, count in sorted(types.items()))
        lines.append(f"{split:5}  {len(part):,} documents, {sentences:,} sentences, entities: {by_type or 'none'}")
    return lines


def _write(workspace: Workspace, target: Path, staged: Path, manifest: Mapping[str, Mapping[str, str]]) -> None:
    """Put the staged files in place while no stage of DVC reads them, and then their hashes into the manifest."""
    with replace_folder(target) as new, writing(workspace.root, target):
        shutil.copytree(staged, new, dirs_exist_ok=True)
    write_manifest(workspace.root, manifest)


def _version(workspace: Workspace, folder: Path) -> bool:
    """Put a folder of data/raw under DVC; returns whether it had changed."""
    pointers = track(workspace.root, [folder]) if is_versioned(workspace.root) else []
    if pointers:
        print(f"versioned by DVC: {pointers[0].name}")
        if problem := push(workspace.root, pointers):
            print(f"not copied to the DVC remote: {problem}")
    return bool(pointers)
