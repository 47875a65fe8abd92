"""Golden samples from the training part, for a language without samples of its own (golden.json)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import read_json
from multiner.pipeline.corpora import rank
from multiner.pipeline.inference.golden import FILE, GoldenSample
from multiner.pipeline.models.training_documents import read_split

SAMPLES = 8
TOKENS = range(4, 31)  # in a sentence
OFTEN = 3  # times that the training part has each of its names, so that any model should find them


def corpus_samples(workspace: Workspace, language: str) -> list[GoldenSample]:
    """The samples of a language from its prepared training part; none for a language that has samples of its own."""
    if language in read_json(FILE):
        return []
    return frequent_names(read_split(workspace, language, "train"), workspace.language(language)["types"])


def frequent_names(documents: Sequence[Document], types: Sequence[str]) -> list[GoldenSample]:
    """Sentences of training documents whose names are frequent there; always the same ones, chosen by hash."""
    names = Counter((" ".join(one.words(span.start, span.end)), span.label) for one in documents for span in one.spans)
    samples = {}
    for document in documents:
        for sentence in document.sentences:
            own = [span for span in document.spans if sentence.start <= span.start < sentence.end]
            entities = [(" ".join(document.words(span.start, span.end)), span.label) for span in own]
            plain = all(names[each] >= OFTEN and each[1] in types for each in entities)
            if own and plain and sentence.end - sentence.start in TOKENS:
                text = " ".join(document.words(sentence.start, sentence.end))
                samples[text] = GoldenSample(text, tuple(entities))
    chosen = sorted(samples, key=lambda text: rank(text, "golden"))[:SAMPLES]
    return [samples[text] for text in chosen]
