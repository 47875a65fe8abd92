"""spaCy vocabularies that stay small in a server which sees new words for ever.

A memory zone (``nlp.memory_zone()``) frees the words of a text, but the hash tables that held them only mark their
cells as deleted, and grow by the marks: some 36 bytes a new word, in every vocabulary, for the life of the process
(spaCy 3.8, preshed's maps). So the tables are made anew now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.vocab import Vocab

MOST_WORDS = 20_000  # words added to a vocabulary, freed ones included, before its tables are made anew: milliseconds


def keep_small(vocab: Vocab, most: int = MOST_WORDS) -> None:
    """Make the tables of a vocabulary anew if more than ``most`` words have been added to it since the last time.

    The strings that it held outside of memory zones stay; its words come back when they are met. Call it outside of a
    memory zone, and while nobody else uses the vocabulary.
    """
    if len(vocab) <= most:  # the words ever added, not those that are left
        return
    from spacy.attrs import NORM
    from spacy.util import to_bytes

    vocab.strings.from_bytes(vocab.strings.to_bytes())
    typed: Any = vocab  # its stub leaves out what follows
    norm = typed.lex_attr_getters.get(NORM)
    everything = ["strings", "vectors", "lookups"]
    vocab.from_bytes(to_bytes({}, []), exclude=everything)  # what it does beside reading: a new table of words
    if norm is not None:
        typed.lex_attr_getters[NORM] = norm  # reading wraps it once more each time
