"""Takes new and changed texts into growing corpora: read, compare, check, write a batch, version it with DVC."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from multiner.pipeline.config.corpora import corpora_of, corpus_entry
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError, joined
from multiner.pipeline.core.files import replace_folder
from multiner.pipeline.corpora import read_corpus
from multiner.pipeline.corpora.growing import held_sentences, read_growing, without_held
from multiner.pipeline.corpora.versioning import is_versioned, push, run_dvc, track, writing
from multiner.pipeline.growing.bounds import breaches
from multiner.pipeline.growing.declaration import GrowingCorpus, growing_corpus
from multiner.pipeline.growing.records import read_path, read_source
from multiner.pipeline.validation.stage import describe


@dataclass(frozen=True)
class Batch:
    """What a source has that a corpus lacks.

    Attributes:
        documents: the new texts, and those with other entities than before.
        changed: how many of them replace an accepted document.
        accepted: the corpus's documents so far, by id.
        held: how many sentences stand in a development or test part, so that they will not train.
    """

    documents: list[Document]
    changed: int
    accepted: dict[str, Document]
    held: int = 0

    def __str__(self) -> str:
        held = f"; {self.held:,} sentences stand in a development or test part and do not train" if self.held else ""
        return f"{len(self.documents) - self.changed:,} new and {self.changed:,} changed texts{held}"


def take_in(workspace: Workspace, *, accept: str | None = None, dry_run: bool = False) -> bool:
    """Take what the declared sources have that is new; print what was done. Returns whether anything was.

    A corpus whose source is refused stays as it is, and the others are taken in all the same.

    Args:
        workspace: the workspace.
        accept: a growing corpus whose batch is taken although it breaks bounds.
        dry_run: only print what is new.

    Raises:
        NerError: a source cannot be read, or a batch breaks bounds (names the rows).
    """
    errors, anything = [], False
    with locks.hold(workspace.paths.run / "growing.lock", locks.GROWING):
        for name in workspace.growing:
            corpus = growing_corpus(workspace, name)
            try:
                documents = read_source(workspace, corpus)
                if dry_run:
                    print(f"{name}: would take in {find_batch(workspace, corpus, documents)}")
                else:
                    anything |= add(workspace, corpus, documents, beyond_bounds=name == accept)
            except NerError as error:
                error.message = f"{name}: {error.message}"
                errors.append(error)
        if not dry_run:
            anything |= _version(workspace)
    if errors:
        raise joined(errors)
    return anything


def import_file(workspace: Workspace, corpus: GrowingCorpus, path: Path, *, beyond_bounds: bool = False) -> bool:
    """Take a file or folder into a growing corpus, as :func:`take_in`."""
    with locks.hold(workspace.paths.run / "growing.lock", locks.GROWING):
        documents = read_path(path.resolve(), corpus, workspace.root)
        if not documents:
            raise NerError("no annotated text in it", where=str(path))
        anything = add(workspace, corpus, documents, beyond_bounds=beyond_bounds)
        return _version(workspace) or anything


def find_batch(workspace: Workspace, corpus: GrowingCorpus, documents: Sequence[Document]) -> Batch:
    """Those of ``documents`` that the corpus lacks, or has with other entities. Raises NerError if it is damaged."""
    pointer = corpus.folder.with_name(f"{corpus.folder.name}.dvc")
    if pointer.is_file() and not corpus.folder.is_dir() and is_versioned(workspace.root):  # as in a fresh clone
        run_dvc(workspace.root, "pull", pointer.relative_to(workspace.root).as_posix())
    accepted = read_growing(corpus.folder)
    new = [one for one in documents if one.id not in accepted or _content(one) != _content(accepted[one.id])]
    changed = sum(one.id in accepted for one in new)
    held = without_held(new, _held(workspace, corpus.language))[1] if new else 0
    return Batch(new, changed, accepted, held)


def add(workspace: Workspace, corpus: GrowingCorpus, documents: Sequence[Document], *, beyond_bounds: bool) -> bool:
    """Write what is new in ``documents`` as a batch of the corpus, unless it breaks bounds; returns whether any was."""
    batch = find_batch(workspace, corpus, documents)
    if not batch.documents:
        print(f"{corpus.name}: nothing to do, no new text ({len(batch.accepted):,} accepted)")
        return False
    types = [label for label in dict.fromkeys(corpus.types.values()) if label]
    if not beyond_bounds and (broken := breaches(corpus.name, types, batch.documents, list(batch.accepted.values()))):
        raise NerError(
            f"the batch ({batch}) is refused:\n" + "\n".join(line for each in broken for line in describe(each)),
            where=broken[0].rows[0] if broken[0].rows else corpus.name,
            remedy=f"Mend the source. If it is right as it is: ner pull --accept {corpus.name} "
            "(or ner corpus import … --accept). Nothing was taken in.",
        )
    _write(workspace.root, corpus.folder, batch.documents)
    total = len(batch.accepted) + len(batch.documents) - batch.changed
    print(f"{corpus.name}: took in {batch}; {total:,} accepted")
    if corpus.name not in workspace.language(corpus.language)["train_on"]:
        print(f"{corpus.name}: nothing trains on it until languages.{corpus.language}.train_on names it (params.yaml)")
    return True


def _content(document: Document) -> object:
    """What makes two documents of one id the same: sentences and entities, but not file, line and split."""
    bounds = [(each.start, each.end) for each in document.sentences]
    return document.words(), bounds, [(span.start, span.end, span.label) for span in document.spans]


def _held(workspace: Workspace, language: str) -> set[str]:
    """The sentences of the published development and test parts of a language."""
    params, heldout = workspace.language(language), workspace.params["prepare"]["heldout"]
    names = [corpus for corpus in corpora_of(params) if corpus not in workspace.growing]
    corpora = [(workspace.raw_folder(name).parent, corpus_entry(name, workspace.corpora)) for name in names]
    return held_sentences(
        document
        for raw, corpus in corpora
        for split in ("dev", "test")
        for document in read_corpus(raw, corpus, split, heldout=heldout, type_set=params["type_set"])
    )


def _write(root: Path, folder: Path, documents: Sequence[Document]) -> None:
    """Add a batch to a corpus's folder, while no stage of DVC reads it; the folder is whole in any case."""
    content = "".join(json.dumps(document.to_json(), ensure_ascii=False) + "\n" for document in documents)
    with ExitStack() as after, replace_folder(folder) as temporary:
        if folder.is_dir():
            shutil.copytree(folder, temporary, dirs_exist_ok=True)
        number = len(list(temporary.glob("*.jsonl"))) + 1
        name = f"{number:04d}-{sha256(content.encode()).hexdigest()[:12]}.jsonl"
        (temporary / name).write_text(content, encoding="utf-8")
        after.enter_context(writing(root, folder))


def _version(workspace: Workspace) -> bool:
    """Put the folders of the declared corpora under DVC; returns whether one had changed."""
    folders = [folder for name in workspace.growing if (folder := workspace.paths.raw / name).is_dir()]
    if not folders or not is_versioned(workspace.root):
        return False
    pointers = track(workspace.root, folders)
    if pointers:
        print("versioned by DVC: " + ", ".join(pointer.name for pointer in pointers))
        if problem := push(workspace.root, pointers):
            print(f"not copied to the DVC remote: {problem}")
    return bool(pointers)
