"""A loaded spaCy pipeline without the work that no answer of it needs.

Both savings change no entity; together they are about a third of what a short text costs in such a leg (processor time
of a sentence, alone: the trained CNN 2.4 → 1.7 ms, en_core_web_md 3.2 → 2.2 ms).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiner.pipeline.models.base import Leg

if TYPE_CHECKING:
    from spacy.language import Language

UNDERSTOOD = frozenset({"tok2vec", "ner", "bio_tagger", "slovnet_ner"})
"""Components that read of a word only :data:`READ` and what the settings name; others are left all they may ask for."""
READ = frozenset({"NORM", "LOWER", "PREFIX", "SUFFIX", "SHAPE", "IS_SPACE"})
"""What spaCy's embeddings read where the settings name nothing, and ``ner`` itself (no entity begins at a blank)."""


def lean(leg: Leg) -> Leg:
    """Trim the spaCy pipeline of a leg that has one; returns the leg."""
    nlp = getattr(leg, "_nlp", None)
    if nlp is not None:
        if UNDERSTOOD.issuperset(nlp.pipe_names):
            forget_attributes(nlp)
        use_numpy(nlp)
    return leg


def forget_attributes(nlp: Language) -> None:
    """Compute of a new word only the attributes that networks read.

    A leg forgets the words of a text after it, so that every text's words are new ones: spaCy would match each against
    its patterns of numbers, addresses, currencies and more.
    """
    from spacy.attrs import IDS

    settings = nlp.config.to_str()
    needed = {code for name, code in IDS.items() if name in READ or f'"{name}"' in settings}
    vocab: Any = nlp.vocab  # whose stub leaves these out
    vocab.lex_attr_getters = {code: getter for code, getter in vocab.lex_attr_getters.items() if code in needed}


def use_numpy(nlp: Language) -> None:
    """Multiply by numpy's OpenBLAS in one thread: about twice as fast as the BLIS that thinc takes by itself.

    One thread, since these products are small, and OpenBLAS's threads wait by spinning on the cores of the other legs.
    """
    from thinc.api import NumpyOps
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")
    for _, pipe in nlp.pipeline:
        for node in pipe.model.walk() if hasattr(pipe, "model") else ():
            if type(node.ops) is NumpyOps:
                node.ops = NumpyOps(use_blis=False)
