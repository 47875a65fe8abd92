"""Label probabilities from spaCy's transition-based NER, which gives entities without probabilities.

At each token its network scores the actions of the BILUO scheme (begin, in, last, unit, out; Ratinov and Roth 2009). A
softmax over the legal actions gives action probabilities, and along the greedy parse these give label probabilities.
spaCy's own way to scores is beam search, which ranks sequences by sums of action scores. With the published weights its
probabilities are far worse than these, and it is slower.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from spacy.attrs import ENT_IOB, SENT_START

if TYPE_CHECKING:
    from spacy.ml.parser_model import ParserStepModel
    from spacy.pipeline import EntityRecognizer
    from spacy.pipeline._parser_internals.stateclass import StateClass
    from spacy.tokens import Doc

INSIDE = 1  # spaCy's code (ENT_IOB) of a token inside an entity, not its first


def action_scores(ner: EntityRecognizer, docs: Sequence[Doc]) -> list[np.ndarray]:
    """The action scores ``[tokens, actions]`` along the greedy parse of each Doc; sets ``doc.ents`` as ``ner`` does.

    Of the preceding actions the network only sees the open entity. So the scores of all tokens outside of entities are
    computed at once, and only those inside of entities token by token.
    """
    scores: list[list[np.ndarray]] = [[] for _ in docs]
    states = ner.moves.init_batch(docs)
    live = [(index, state) for index, state in enumerate(states) if not state.is_final()]
    if live:
        step = ner.model.predict(docs)
        outside = iter(_scores(step, np.concatenate([ids for _, state in live for ids in _walk(step, state)])))
        at_start = {index: list(islice(outside, len(docs[index]))) for index, _ in live}
        while live:  # each action consumes one token, so rows are tokens
            in_entity = [state for _, state in live if state.entity_is_open()]
            inside = iter(_scores(step, step.get_token_ids(in_entity)) if in_entity else ())
            batch = np.empty((len(live), ner.moves.n_moves), dtype=np.float32)
            for row, (index, state) in zip(batch, live, strict=True):
                row[:] = next(inside) if state.entity_is_open() else at_start[index][len(scores[index])]
                scores[index].append(row)
            ner.transition_states([state for _, state in live], batch)
            live = [(index, state) for index, state in live if not state.is_final()]
        step.clear_memory()
    ner.set_annotations(docs, states)
    return [
        np.array(rows, dtype=np.float64).reshape(len(doc), ner.moves.n_moves)
        for rows, doc in zip(scores, docs, strict=True)
    ]


def _walk(step: ParserStepModel, state: StateClass) -> Iterator[np.ndarray]:
    """The network's inputs ``[1, features]`` at each token from ``state`` on, as if no token were in an entity."""
    state = state.copy()
    while not state.is_final():
        yield step.get_token_ids([state])
        state.push()  # as the action O does, without its check for legality
        state.pop()


def _scores(step: ParserStepModel, ids: np.ndarray) -> np.ndarray:
    """The scores ``[states, actions]`` that ``step.predict`` gives, from the network's inputs ``ids``."""
    vectors = step.state2vec.predict(ids)
    scores = step.vec2scores.predict(vectors) if step.attrs["has_upper"] else vectors
    scores[:, step._class_mask == 0] = scores.min(axis=1, keepdims=True)  # actions that did not occur in training
    return scores


class Actions:
    """The actions of an entity recognizer, mapped to our types.

    Args:
        names: names of the actions: ``B-ORG``, ``I-ORG``, ``L-ORG``, ``U-ORG``, …, ``O``.
        mapping: type of the recognizer → our type; a type without an entry counts as O.
        types: our types, in the order of the columns.
    """

    def __init__(self, names: Sequence[str], mapping: Mapping[str, str], types: Sequence[str]) -> None:
        self._index = {name: index for index, name in enumerate(names)}
        theirs = sorted({name[2:] for name in names if name[2:]})
        self._begin = [self._index[f"B-{type_}"] for type_ in theirs]
        self._unit = [self._index[f"U-{type_}"] for type_ in theirs]
        self._out = self._index["O"]
        # [their types, our types]: 1 where theirs is mapped to ours
        self._mapping = np.array([[float(mapping.get(their) == our) for our in types] for their in theirs])

    def probabilities(self, doc: Doc, scores: np.ndarray) -> np.ndarray:
        """Label probabilities ``[tokens, labels]``, in the order of ``bio_labels``, from a greedily parsed Doc.

        Outside of an entity the softmax is over B-, U- and O; the mass of B- flows on to I- at the next token. Inside,
        the probability of I- against L- is the share of this mass that flows on.
        """
        length = len(doc)
        result = np.zeros((length, 1 + 2 * self._mapping.shape[1]))
        if not length:
            return result
        iob, sentence_starts = doc.to_array([ENT_IOB, SENT_START]).T
        last = np.append(sentence_starts[1:] == 1, True)
        begin, unit = self._starts(scores, last)
        stays = self._stays(doc, scores, np.flatnonzero(iob == INSIDE)) * ~last
        # The mass that flows on to a token is a share of the mass of B- at its origin, where the entity begins.
        origin, share = np.zeros(length, dtype=np.int64), np.zeros(length)
        masses, source, flows = begin.sum(axis=1).tolist(), 0, 0.0
        free = np.zeros(length)  # mass of the paths on which no entity is open before the token
        for index, (inside, stay) in enumerate(zip((iob == INSIDE).tolist(), stays.tolist(), strict=True)):
            origin[index], share[index] = source, flows
            if inside:
                flows *= stay
            else:
                free[index] = 1 - flows * masses[source]
                source, flows = index, free[index]
        result[:, 1::2] = free[:, None] * (begin + unit)
        result[:, 2::2] = share[:, None] * begin[origin]
        result[:, 0] = np.maximum(0.0, 1 - result[:, 1:].sum(axis=1))
        return result

    def _stays(self, doc: Doc, scores: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Probability ``[tokens]`` of I- against L- at the tokens ``inside``; 0 elsewhere."""
        stays = np.zeros(len(doc))
        stay, close = ([self._index[f"{action}-{doc[int(index)].ent_type_}"] for index in inside] for action in "IL")
        odds = np.clip(scores[inside, close] - scores[inside, stay], -50, 50)
        stays[inside] = 1 / (1 + np.exp(odds))
        return stays

    def _starts(self, scores: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities ``[tokens, our types]`` that an entity begins here: of several tokens, and of this token only.

        ``last``: whether a token is the last of its sentence, ``[tokens]``.
        """
        count = len(self._begin)
        legal = scores[:, [*self._begin, *self._unit, self._out]]
        legal[last, :count] = -np.inf
        powers = np.exp(legal - legal.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        return powers[:, :count] @ self._mapping, powers[:, count : 2 * count] @ self._mapping
