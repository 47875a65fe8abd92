"""Writes predictions in factRuEval-2016's formats: ``.spans`` and ``.objects`` as in its gold data, and ``.task1``.

The shared task's scorer reads ``.task1``, whose lines are ``type offset length`` (per, loc or org; code points).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError

_NAMES: Mapping[str, tuple[str, str]] = {
    "PER": ("Person", "name"),
    "LOC": ("Location", "loc_name"),
    "ORG": ("Org", "org_name"),
}
"""For each of our types the object's type and the type of its one span: a predicted entity is a name."""


def annotation_files(document: Document, token_ids: Sequence[str], numbers: count) -> dict[str, str]:
    """The content of a document's annotation files by suffix: ``.spans``, ``.objects``, ``.task1``.

    Args:
        document: with the predicted spans.
        token_ids: the id of each token in the ``.tokens``.
        numbers: gives the ids of spans and objects.

    Raises:
        NerError: a type that factRuEval does not have.
    """
    spans, objects, task = [], [], []
    for span in document.spans:
        if span.label not in _NAMES:
            raise NerError(
                f"factRuEval has no type for {span.label}",
                where=document.source,
                remedy=f"Use a model of {', '.join(_NAMES)}.",
            )
        object_type, span_type = _NAMES[span.label]
        tokens = document.tokens[span.start : span.end]
        offset, length = tokens[0].start, tokens[-1].end - tokens[0].start
        ids, words = " ".join(token_ids[span.start : span.end]), " ".join(document.words(span.start, span.end))
        id = next(numbers)
        spans.append(f"{id} {span_type} {offset} {length} {token_ids[span.start]} {len(tokens)}  # {ids} {words}")
        objects.append(f"{next(numbers)} {object_type} {id} # {words}")
        task.append(f"{span.label.lower()} {offset} {length}")
    files = {".spans": spans, ".objects": objects, ".task1": task}
    return {suffix: "".join(f"{line}\n" for line in lines) for suffix, lines in files.items()}
