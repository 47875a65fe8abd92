"""The genre of a text, by features that a served text has too: how much it reads like a post.

The base models err in other ways on posts than on edited text. Where the meta-classifier was fitted to enough names of
both, each feature comes a second time, multiplied by the informality of the document: it learns what holds in every
text, and what is different in posts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from multiner.pipeline.core.document import Document

SHORT, LONG = 16, 128
"""A text of up to ``SHORT`` tokens may be a post, one from ``LONG`` tokens on counts as none."""
INFORMAL = "informal"
CLOSING_SIGNS = frozenset(".!?…:;\"'»”’)]")


def with_genre(features: np.ndarray, informal: float) -> np.ndarray:
    """The features of a document's candidates, its informality, and the features times the informality."""
    return np.hstack([features, np.full((len(features), 1), informal), informal * features])


def names_with_genre(names: Sequence[str]) -> list[str]:
    """The names of the columns of :func:`with_genre`, from those of the features."""
    return [*names, INFORMAL, *(f"{INFORMAL}, {name}" for name in names)]


def informality(document: Document) -> float:
    """How much a document reads like a post: 0 if it is long, ½ if it is short and edited, 1 if short and informal."""
    short = (log(LONG) - log(max(len(document.tokens), SHORT))) / (log(LONG) - log(SHORT))
    return short * (0.5 + 0.5 * min(1.0, web_sign(document) + careless_sentences(document))) if short > 0 else 0.0


def is_post(document: Document) -> bool:
    """Whether a document reads at least half like a post: a short one that nothing marks as informal does, too."""
    return informality(document) >= 0.5


def web_sign(document: Document) -> float:
    """1 if the document has a user name or hashtag (``@``, ``#``), a link, or an emoji or other pictograph, else 0."""
    words = document.norms()
    return float(
        any(word.startswith(("@", "#", "http:", "https:", "www.")) for word in words)
        or any("\u2190" <= sign <= "\u2bff" or sign >= "\U0001f000" for sign in document.text)
    )


def careless_sentences(document: Document) -> float:
    """How much the sentences lack: the share that begins in lower case, plus the share without a closing sign.

    Sentences without lower case count as closed: they are headlines or rows of a table.
    """
    sentences = [document.norms(sentence.start, sentence.end) for sentence in document.sentences]
    begun = sum(words[0][:1].islower() for words in sentences if words)
    unclosed = sum(
        words[-1][-1:] not in CLOSING_SIGNS and any(word.islower() for word in words) for words in sentences if words
    )
    return (begun + unclosed) / max(len(sentences), 1)
