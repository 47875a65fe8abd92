"""Two savings that make a loaded spaCy pipeline about a third faster on short texts, and change no entity.

The products of matrices are those of :mod:`.tiled`: a document has the same probabilities alone and in a batch.
Processor time of a single sentence: the trained CNN 2.4 → 1.7 ms, en_core_web_md 3.2 → 2.2 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiner.pipeline.models.base import TokenClassifier

if TYPE_CHECKING:
    from spacy.language import Language

TRIMMABLE = frozenset({"tok2vec", "ner", "bio_tagger", "slovnet_ner"})
"""Components that read no word attributes but :data:`ATTRIBUTES` and those in their settings."""
ATTRIBUTES = frozenset({"NORM", "LOWER", "PREFIX", "SUFFIX", "SHAPE", "IS_SPACE"})
"""The attributes that spaCy's embeddings read by default, and ``IS_SPACE``, which ``ner`` reads."""


def lean(model: TokenClassifier) -> TokenClassifier:
    """Apply both savings to the spaCy pipeline of a base model, if it has one; returns the model."""
    nlp = getattr(model, "_nlp", None)
    if nlp is not None:
        if TRIMMABLE.issuperset(nlp.pipe_names):
            drop_attributes(nlp)
        use_numpy(nlp)
    return model


def drop_attributes(nlp: Language) -> None:
    """Compute only those attributes of a new word that the networks read.

    Since a base model forgets the words of a text afterwards, all words of the next text are new. By default spaCy
    matches each of them against its patterns of numbers, addresses, currencies and more.
    """
    from spacy.attrs import IDS

    settings = nlp.config.to_str()
    needed = {code for name, code in IDS.items() if name in ATTRIBUTES or f'"{name}"' in settings}
    vocab: Any = nlp.vocab  # spaCy's stub lacks lex_attr_getters
    vocab.lex_attr_getters = {code: getter for code, getter in vocab.lex_attr_getters.items() if code in needed}


def use_numpy(nlp: Language) -> None:
    """Multiply with numpy's OpenBLAS in one thread: about twice as fast as BLIS, which thinc uses by default.

    These products are small, and more threads of OpenBLAS would spin on the cores that the other base models use.
    """
    from thinc.api import NumpyOps
    from threadpoolctl import threadpool_limits

    from multiner.pipeline.models.spacy.tiled import TiledOps

    threadpool_limits(1, user_api="blas")
    for _, pipe in nlp.pipeline:
        for node in pipe.model.walk() if hasattr(pipe, "model") else ():
            if type(node.ops) is NumpyOps:
                node.ops = TiledOps(use_blis=False)
