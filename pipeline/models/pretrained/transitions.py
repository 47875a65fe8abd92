"""Label probabilities out of spaCy's transition-based NER, which itself names entities without any.

At each token the network scores the actions of the BILUO scheme (begin, in, last, unit, out; Ratinov and Roth 2009). A
softmax over the actions that are legal there gives what the greedy parser believed as it chose; along its path that
makes probabilities of labels. Beam search, spaCy's own way to scores, ranks whole sequences by sums of scores that
were trained one by one: on the shipped weights its probabilities are far worse than these, and slower.
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

INSIDE = 1  # spaCy's code of a token that goes on an entity (ENT_IOB)


def action_scores(ner: EntityRecognizer, docs: Sequence[Doc]) -> list[np.ndarray]:
    """Scores ``[tokens, actions]`` of the greedy parse of each Doc; sets ``doc.ents`` as ``ner`` itself does.

    What the network sees of the past is the open entity only. So it is asked about all tokens at once, as they are
    where none is open, and token by token only inside entities.
    """
    scores: list[list[np.ndarray]] = [[] for _ in docs]
    states = ner.moves.init_batch(docs)
    live = [(index, state) for index, state in enumerate(states) if not state.is_final()]
    if live:
        step = ner.model.predict(docs)
        outside = iter(_scores(step, np.concatenate([ids for _, state in live for ids in _walk(step, state)])))
        at_start = {index: list(islice(outside, len(docs[index]))) for index, _ in live}
        while live:  # an action consumes a token, so that row and token agree
            open_ones = [state for _, state in live if state.entity_is_open()]
            inside = iter(_scores(step, step.get_token_ids(open_ones)) if open_ones else ())
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
    """What the network sees ``[1, features]`` at each token of a Doc from ``state`` on, were every token outside."""
    state = state.copy()
    while not state.is_final():
        yield step.get_token_ids([state])
        state.push()  # what the action O does, here without asking whether it is legal
        state.pop()


def _scores(step: ParserStepModel, ids: np.ndarray) -> np.ndarray:
    """Scores ``[states, actions]`` as ``step.predict`` gives them, from what the network sees of the states."""
    vectors = step.state2vec.predict(ids)
    scores = step.vec2scores.predict(vectors) if step.attrs["has_upper"] else vectors
    scores[:, step._class_mask == 0] = scores.min(axis=1, keepdims=True)  # actions that training never saw
    return scores


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
        if not length:
            return result
        iob, sentence_starts = doc.to_array([ENT_IOB, SENT_START]).T
        last = np.append(sentence_starts[1:] == 1, True)
        begin, unit = self._starts(scores, last)
        stays = self._stays(doc, scores, np.flatnonzero(iob == INSIDE)) * ~last
        # What flows on to a token is a share of the mass of B- at the token where it began.
        came, share = np.zeros(length, dtype=np.int64), np.zeros(length)
        masses, source, flows = begin.sum(axis=1).tolist(), 0, 0.0
        free = np.zeros(length)  # mass of the paths that are outside of entities before the token
        for index, (inside, stay) in enumerate(zip((iob == INSIDE).tolist(), stays.tolist(), strict=True)):
            came[index], share[index] = source, flows
            if inside:
                flows *= stay
            else:
                free[index] = 1 - flows * masses[source]
                source, flows = index, free[index]
        result[:, 1::2] = free[:, None] * (begin + unit)
        result[:, 2::2] = share[:, None] * begin[came]
        result[:, 0] = np.maximum(0.0, 1 - result[:, 1:].sum(axis=1))
        return result

    def _stays(self, doc: Doc, scores: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Probability ``[tokens]`` of I- against L- at the tokens ``inside``; 0 elsewhere."""
        stays = np.zeros(len(doc))
        stay, close = ([self._place[f"{action}-{doc[int(index)].ent_type_}"] for index in inside] for action in "IL")
        odds = np.clip(scores[inside, close] - scores[inside, stay], -50, 50)
        stays[inside] = 1 / (1 + np.exp(odds))
        return stays

    def _starts(self, scores: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities ``[tokens, wanted types]`` that a longer entity, and one of a single token, begins there.

        Args:
            scores: ``[tokens, actions]``.
            last: whether a token ends its sentence, ``[tokens]``.
        """
        count = len(self._begin)
        legal = scores[:, [*self._begin, *self._unit, self._out]]
        legal[last, :count] = -np.inf
        powers = np.exp(legal - legal.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        return powers[:, :count] @ self._into, powers[:, count : 2 * count] @ self._into
