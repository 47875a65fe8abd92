"""An invented slovnet model: random weights in the two files that the real one comes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WORDS = ["ада", "осло", "уехала", "в", "вчера", ".", "<unk>", "<pad>"]
ID, CHUNKS, CENTROIDS, SHAPE_WIDTH, FILTERS = "invented", 2, 4, 3, 5


def write(folder: Path, types: tuple[str, ...] = ("PER", "LOC"), seed: int = 10) -> tuple[Path, Path]:
    """Write ``(model tar, navec tar)`` into ``folder``."""
    from navec import Navec
    from navec.meta import Meta as NavecMeta
    from navec.pq import PQ
    from navec.vocab import Vocab as NavecVocab
    from slovnet.exec import model as parts
    from slovnet.exec.pack import DumpPack, Meta
    from slovnet.shape import SHAPES
    from slovnet.vocab import BIOTagsVocab, Vocab

    random = np.random.default_rng(seed)

    def weight(*shape: int) -> parts.Weight:
        return parts.Weight(list(shape), "float32", (random.normal(size=shape) * 0.7).astype(np.float32))

    pq = PQ(
        len(WORDS), CHUNKS * 2, CHUNKS, CENTROIDS,
        random.integers(0, CENTROIDS, (len(WORDS), CHUNKS)).astype(np.uint8),
        random.normal(size=(CHUNKS, CENTROIDS, 2)).astype(np.float32),
    )  # fmt: skip
    Navec(NavecMeta(ID), NavecVocab(WORDS, [9] * len(WORDS)), pq).dump(str(folder / "navec.tar"))

    tags, shapes = BIOTagsVocab(list(types)), ["<pad>", *SHAPES]
    empty = [parts.Weight([len(WORDS), CHUNKS], "uint8", None), parts.Weight([CHUNKS, CENTROIDS, 2], "float32", None)]
    width = CHUNKS * 2 + SHAPE_WIDTH
    spread = parts.Weight([FILTERS], "float32", np.ones(FILTERS, dtype=np.float32))
    norm = parts.BatchNorm1d(weight(FILTERS), weight(FILTERS), weight(FILTERS), spread)
    layers = [
        parts.CNNEncoderLayer(parts.Conv1d(weight(FILTERS, size, 3), weight(FILTERS), 1), parts.ReLU(), norm)
        for size in (width, FILTERS)
    ]
    head = parts.NERHead(
        parts.Linear(weight(FILTERS, len(tags)), weight(len(tags))), parts.CRF(weight(len(tags), len(tags)))
    )
    embedding = parts.WordShapeEmbedding(
        parts.NavecEmbedding(ID, *empty), parts.Embedding(weight(len(shapes), SHAPE_WIDTH))
    )
    arrays, scheme = parts.NER(embedding, parts.CNNEncoder(layers), head).separate_arrays()
    with DumpPack(str(folder / "slovnet_ner.tar")) as pack:
        pack.dump_meta(Meta(ID))
        pack.dump_model(scheme)
        pack.dump_arrays(arrays)
        for name, vocab in (("word", Vocab(WORDS)), ("shape", Vocab(shapes)), ("tag", tags)):
            pack.dump_vocab(vocab, name)
    return folder / "slovnet_ner.tar", folder / "navec.tar"
