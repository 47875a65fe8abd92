"""The spaCy component ``bio_tagger``: a softmax over IOB2 labels on a tok2vec, which sets ``doc.ents``.

spaCy's own ``ner`` predicts transitions and gives no usable scores; this component gives a probability per token and
label. Import this module before ``spacy.load``: the import registers the factory.
"""

# No postponed annotations here: spaCy builds its settings schema from the signatures below.

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar, cast

import numpy as np
from spacy.language import Language
from spacy.pipeline.tagger import Tagger
from spacy.tokens import Doc
from spacy.tokens import Span as SpacySpan
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model, SequenceCategoricalCrossentropy
from thinc.types import Floats2d

from multiner.pipeline.core.decoding import viterbi
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.iob2 import decode, encode

NAME = "bio_tagger"
BATCH_WORDS = 4000  # bounds memory, changes no result
Item = TypeVar("Item")


def units(document: Document) -> Iterator[tuple[int, int]]:
    """The token ranges that the network sees at once: the sentences, extended so that they cover every token."""
    starts = sorted({0, *(sentence.start for sentence in document.sentences), len(document.tokens)})
    yield from ((start, end) for start, end in pairwise(starts) if start < end)


def batches(items: Iterable[Item], words: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Items in order, in batches of at most ``BATCH_WORDS`` words; a longer item is a batch of its own."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and size + words(item) > BATCH_WORDS:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += words(item)
    if batch:
        yield batch


def to_doc(document: Document, start: int, end: int, vocab: Vocab) -> Doc:
    """Tokens ``start:end`` as a spaCy Doc, without entities."""
    # spaCy stores strings as UTF-8, which cannot hold lone surrogates.
    words = [word.encode("utf-8", "replace").decode("utf-8") for word in document.norms(start, end)]
    tokens = document.tokens[start : end + 1]
    spaces = [left.end < right.start for left, right in pairwise(tokens)]
    return Doc(vocab, words=words, spaces=spaces + [False] * (len(words) - len(spaces)))


class BioTagger(Tagger):
    """Gives label probabilities per token; its entities are those of the most probable legal label sequence."""

    def probabilities(self, docs: Sequence[Doc]) -> list[np.ndarray]:
        """One float32 array ``[tokens, labels]`` per Doc; rows sum to 1."""
        if not any(len(doc) for doc in docs):
            return [np.zeros((0, len(self.labels)), dtype=np.float32) for _ in docs]
        return [self.model.ops.to_numpy(scores).astype(np.float32, copy=False) for scores in self.model.predict(docs)]

    def predict(self, docs: Iterable[Doc]) -> list[list[str]]:
        """The most probable legal label sequence of each Doc."""
        return [[self.labels[index] for index in viterbi(scores)] for scores in self.probabilities(list(docs))]

    def set_annotations(self, docs: Iterable[Doc], labels: Sequence[Sequence[str]]) -> None:
        """Set ``doc.ents``."""
        for doc, sequence in zip(docs, labels, strict=True):
            doc.set_ents([SpacySpan(doc, span.start, span.end, label=span.label) for span in decode(sequence)])

    def get_loss(self, examples: Iterable[Example], scores: list[Floats2d]) -> tuple[float, list[Floats2d]]:
        """Cross-entropy against the gold entities, and its gradient."""
        truths = [self._gold(example) for example in examples]
        gradient, loss = SequenceCategoricalCrossentropy(names=self.labels, normalize=False)(scores, truths)
        return float(loss), gradient

    def _gold(self, example: Example) -> list[str]:
        gold = example.reference
        if len(gold) != len(example.predicted):
            raise ValueError("gold and predicted documents must share their tokens")
        return encode((Span(ent.start, ent.end, ent.label_) for ent in gold.ents), len(gold))

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Set the labels, in this order, and the sizes of the network."""
        if not labels:
            raise ValueError(f"{self.name} needs its labels: set initialize.components.{self.name}.labels")
        for label in labels:
            self.add_label(label)
        sample = [example.x for _, example in zip(range(10), get_examples(), strict=False)]
        targets = [self.model.ops.alloc2f(len(doc), len(self.labels)) for doc in sample]
        self.model.initialize(X=sample, Y=targets)


def tagger_of(nlp: Language) -> BioTagger:
    """The tagger of a pipeline that has one."""
    return cast(BioTagger, nlp.get_pipe(NAME))


@Language.factory(
    NAME,
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={"scorer": {"@scorers": "spacy.ner_scorer.v1"}},
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_bio_tagger(nlp: Language, name: str, model: Model, scorer: Callable | None) -> BioTagger:
    """The factory that spaCy calls; ``model`` gives normalised probabilities per token."""
    return BioTagger(nlp.vocab, model, name=name, scorer=scorer)
