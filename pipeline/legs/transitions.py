"""Label probabilities out of spaCy's transition-based NER, which itself names entities without any.

At each token the network scores the actions of the BILUO scheme (begin, in, last, unit, out; Ratinov and Roth 2009). A
softmax over the actions that are legal there gives what the greedy parser believed as it chose; along its path that
makes probabilities of labels. Beam search, spaCy's own way to scores, ranks whole sequences by sums of scores that
were trained one by one: on the shipped weights its probabilities are far worse than these, and slower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spacy.pipeline import EntityRecognizer
    from spacy.tokens import Doc


def action_scores(ner: EntityRecognizer, docs: Sequence[Doc]) -> list[np.ndarray]:
    """Scores ``[tokens, actions]`` of the greedy parse of each Doc; sets ``doc.ents`` as ``ner`` itself does."""
    scores: list[list[np.ndarray]] = [[] for _ in docs]
    states = ner.moves.init_batch(docs)
    live = [(rows, state) for rows, state in zip(scores, states, strict=True) if not state.is_final()]
    if live:
        step = ner.model.predict(docs)
        while live:  # an action consumes a token, so that row and token agree
            batch = np.ascontiguousarray(step.predict([state for _, state in live]), dtype=np.float32)
            for (rows, _), row in zip(live, batch, strict=True):
                rows.append(row)
            ner.transition_states([state for _, state in live], batch)
            live = [(rows, state) for rows, state in live if not state.is_final()]
        step.clear_memory()
    ner.set_annotations(docs, states)
    return [
        np.array(rows, dtype=np.float64).reshape(len(doc), ner.moves.n_moves)
        for rows, doc in zip(scores, docs, strict=True)
    ]


class Actions:
    """What the actions of a recogniser mean in our types.

    Args:
        names: of the actions: ``B-ORG``, ``I-ORG``, ``L-ORG``, ``U-ORG``, …, ``O``.
        types: our type for each of the recogniser's; others count as outside.
        wanted: our types, in the order of the columns.
    """

    def __init__(self, names: Sequence[str], types: Mapping[str, str], wanted: Sequence[str]) -> None:
        self._place = {name: index for index, name in enumerate(names)}
        kinds = sorted({name[2:] for name in names if name[2:]})
        self._begin = [self._place[f"B-{kind}"] for kind in kinds]
        self._unit = [self._place[f"U-{kind}"] for kind in kinds]
        self._out = self._place["O"]
        # [kinds, wanted types]: 1 where a kind is one of the type
        self._into = np.array([[float(types.get(kind) == type_) for type_ in wanted] for kind in kinds])

    def probabilities(self, doc: Doc, scores: np.ndarray) -> np.ndarray:
        """Label probabilities ``[tokens, labels]`` (as ``bio_labels`` orders them) from a greedily parsed Doc.

        Where the parser is outside an entity, the softmax is over B-, U- and O; the mass of B- flows on to I- at the
        next token. Where it is inside one, the choice of I- or L- says how much of the mass flows on.
        """
        length = len(doc)
        result = np.zeros((length, 1 + 2 * self._into.shape[1]))
        ahead = np.zeros(self._into.shape[1])
        for index, token in enumerate(doc):
            last = index + 1 == length or doc[index + 1].is_sent_start
            row, begun = result[index], ahead
            row[2::2] = ahead
            if token.ent_iob_ == "I":
                stay, close = (self._place[f"{action}-{token.ent_type_}"] for action in "IL")
                odds = np.clip(scores[index, close] - scores[index, stay], -50, 50)
                ahead = begun * (0.0 if last else 1 / (1 + np.exp(odds)))
            else:
                begin, unit = self._starts(scores[index], last)
                free = 1 - begun.sum()
                row[1::2] = free * (begin + unit)
                ahead = free * begin
            row[0] = max(0.0, 1 - row[1:].sum())
        return result

    def _starts(self, scores: np.ndarray, last: bool) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities that a longer entity, and one of a single token, of each wanted type begins here."""
        legal = np.concatenate([scores[self._begin], scores[self._unit], [scores[self._out]]])
        if last:
            legal[: len(self._begin)] = -np.inf
        powers = np.exp(legal - legal.max())
        powers /= powers.sum()
        count = len(self._begin)
        return powers[:count] @ self._into, powers[count : 2 * count] @ self._into
