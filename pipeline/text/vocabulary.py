"""Keeps spaCy vocabularies small in a server that reads new words all the time.

A memory zone (``nlp.memory_zone()``) frees the words of a text. But their hash tables only mark the cells as deleted,
and so grow by about 36 bytes for each new word as long as the process runs (spaCy 3.8, preshed's maps). So the tables
are rebuilt from time to time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.vocab import Vocab

MOST_WORDS = 20_000  # words added to a vocabulary, freed ones included, before a rebuild, which takes milliseconds


def keep_small(vocab: Vocab, most: int = MOST_WORDS) -> None:
    """Rebuild the tables of a vocabulary if more than ``most`` words have been added since the last rebuild.

    Strings that were added outside of memory zones stay; words are added again when a text holds them. Call it outside
    of a memory zone, and while no other thread uses the vocabulary.
    """
    if len(vocab) <= most:  # counts freed words, too
        return
    from spacy.attrs import NORM
    from spacy.util import to_bytes

    vocab.strings.from_bytes(vocab.strings.to_bytes())
    typed: Any = vocab  # its stub leaves out what follows
    norm = typed.lex_attr_getters.get(NORM)
    everything = ["strings", "vectors", "lookups"]
    vocab.from_bytes(to_bytes({}, []), exclude=everything)  # reads nothing, but makes a new table of words
    if norm is not None:
        typed.lex_attr_getters[NORM] = norm  # from_bytes wraps it once more each time
