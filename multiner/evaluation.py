"""Scores on a corpus of one's own: ``evaluate("ner-en", "notes.conllu", "conllu")``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.loading import EndpointModel, LocalModel, load
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.extras import needs
from multiner.serving.client.results import Result

if TYPE_CHECKING:
    import numpy as np

EntityOffsets = tuple[int, int, str]
"""First character, the one after the last, and type."""
RESAMPLES, SEED = 1000, 13
BATCH = 64  # documents whose entities are asked for at once


@dataclass(frozen=True, slots=True)
class Scores:
    """Strict scores in percent: an entity is right if its characters and its type are.

    Attributes:
        f1, precision, recall: in percent.
        support: number of the corpus's entities.
        interval: the ends of the 95 % interval of F1, by bootstrap over documents; None for fewer than two documents.
    """

    f1: float
    precision: float
    recall: float
    support: int
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of a model on a corpus.

    Attributes:
        overall: over all types (micro-average).
        per_type: by type of the corpus or the predictions.
        documents: number of the corpus's documents.
    """

    overall: Scores
    per_type: Mapping[str, Scores]
    documents: int

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [("", "F1", "95 % interval", "precision", "recall", "entities")]
        for name, each in (("all", self.overall), *self.per_type.items()):
            interval = "{:.1f} to {:.1f}".format(*each.interval) if each.interval else "-"
            figures = (f"{value:.1f}" for value in (each.f1, each.precision, each.recall))
            f1, precision, recall = figures
            rows.append((name, f1, interval, precision, recall, f"{each.support:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = (
            "  ".join(
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)


def evaluate(
    predictions: str | Path | LocalModel | EndpointModel | Iterable[Result] | Iterable[Document],
    corpus: str | Path | Sequence[Document],
    format: str | None = None,
    *,
    types: Mapping[str, str | None] | None = None,
    resamples: int = RESAMPLES,
    **options: Any,
) -> Evaluation:
    """The strict scores of a model, or of predictions, on a corpus, with 95 % intervals.

    A local model reads the corpus's own tokens where these are all it has, as column files; else the texts, as other
    models do.

    Args:
        predictions: a model, or what :func:`multiner.load` takes; or a result or document for each of the corpus's
            documents, in their order, with equal texts.
        corpus: a file or folder, or documents.
        format: of the file or folder, of :data:`multiner.pipeline.corpora.formats.FORMATS`.
        types: map from the corpus's types to the model's, None for types to leave out; without a map they are the same.
        resamples: of documents, behind each interval.
        options: of the format; also ``overlaps``.

    Raises:
        NerError: the model cannot be loaded or does not answer; the corpus cannot be read, has no entity, or shares no
            type with the predictions; or the predictions are for other texts.
    """
    gold = _gold(corpus, format, types, options)
    with needs("train"):  # said before a model answers
        import multiner.pipeline.evaluation.significance  # noqa: F401
    if isinstance(predictions, str | Path):
        model = load(predictions)
        with model if isinstance(model, EndpointModel) else nullcontext():
            truth, guesses = _predicted(model, gold)
    elif isinstance(predictions, LocalModel | EndpointModel):
        truth, guesses = _predicted(predictions, gold)
    else:
        truth, guesses = [_offsets(document) for document in gold], _given(list(predictions), gold)
    if resamples < 1:
        raise NerError("resamples must be 1 at least", where="resamples", remedy="Leave it out for the default.")
    return _scored(truth, guesses, resamples)


def _gold(
    corpus: str | Path | Sequence[Document], format: str | None, types: Mapping[str, str | None] | None,
    options: Mapping[str, Any],
) -> list[Document]:  # fmt: skip
    from multiner.pipeline.corpora import formats

    if isinstance(corpus, str | Path):
        if format is None:
            raise NerError("the corpus's format is missing", where=str(corpus),
                           remedy=f"Give format, one of: {', '.join(formats.FORMATS)}.")  # fmt: skip
        return formats.read(corpus, format, types=types, **options)
    if format is not None or options:
        raise NerError("documents have no format", remedy="Leave format and its options out, or give a path.")
    documents = list(corpus)
    return formats.with_types(documents, types, strict=True) if types is not None else documents


def _offsets(document: Document) -> set[EntityOffsets]:
    from multiner.pipeline.evaluation.raw_text import entity_offsets

    return entity_offsets(document.tokens, document.spans)


def _predicted(
    model: LocalModel | EndpointModel, gold: Sequence[Document]
) -> tuple[list[set[EntityOffsets]], list[set[EntityOffsets]]]:
    """The corpus's entities and the model's, of each document."""
    from multiner.pipeline.core.progress import bar
    from multiner.pipeline.evaluation.raw_text import detokenised, entity_offsets, is_joined

    truth: list[set[EntityOffsets]] = []
    guesses: list[set[EntityOffsets]] = []
    with bar(len(gold), "evaluate", unit="document") as progress:
        for start in range(0, len(gold), BATCH):
            batch = gold[start : start + BATCH]
            joined = [is_joined(document) for document in batch]
            texts: list[str] = []
            for document, tokenised in zip(batch, joined, strict=True):
                own = isinstance(model, LocalModel) or not tokenised
                text, tokens = (document.text, document.tokens) if own else detokenised(document)
                texts.append(text)
                truth.append(entity_offsets(tokens, document.spans))
            guesses += _answers(model, batch, texts, joined)
            progress.update(len(batch))
    return truth, guesses


def _answers(
    model: LocalModel | EndpointModel, documents: Sequence[Document], texts: Sequence[str], joined: Sequence[bool]
) -> list[set[EntityOffsets]]:
    if not isinstance(model, LocalModel):
        return [_of_result(result) for result in model.predict(texts)]
    on_tokens = [document for document, tokenised in zip(documents, joined, strict=True) if tokenised]
    spans = iter(model.predict_documents(on_tokens))
    results = iter(model.predict([text for text, tokenised in zip(texts, joined, strict=True) if not tokenised]))
    return [
        _offsets(document.with_spans(next(spans))) if tokenised else _of_result(next(results))
        for document, tokenised in zip(documents, joined, strict=True)
    ]


def _of_result(result: Result) -> set[EntityOffsets]:
    return {(entity.start, entity.end, entity.label) for entity in result.entities}


def _given(predictions: Sequence[Result | Document], gold: Sequence[Document]) -> list[set[EntityOffsets]]:
    """The entities of results or documents. Raises NerError unless their texts are those of the corpus."""
    if len(predictions) != len(gold):
        raise NerError(
            f"{len(predictions):,} predictions for {len(gold):,} documents",
            remedy="Give a result or document for each document of the corpus, in the same order.",
        )
    for number, (prediction, document) in enumerate(zip(predictions, gold, strict=True), 1):
        if prediction.text != document.text:
            raise NerError(
                f"prediction {number} is for another text than the corpus's document {document.id}",
                where=document.source or None,
                remedy="Predict the texts of the documents as multiner.pipeline.corpora.formats.read gives them.",
            )
    return [_of_result(each) if isinstance(each, Result) else _offsets(each) for each in predictions]


def _scored(truth: Sequence[set[EntityOffsets]], guesses: Sequence[set[EntityOffsets]], resamples: int) -> Evaluation:
    from multiner.pipeline.evaluation.raw_text import score_entities

    gold_types = {label for entities in truth for *_, label in entities}
    guessed_types = {label for entities in guesses for *_, label in entities}
    if not gold_types:
        raise NerError("the corpus has no entity", remedy="Check its format, its options, and the map `types`.")
    if guessed_types and not gold_types & guessed_types:
        raise NerError(
            f"corpus and predictions share no type: {', '.join(sorted(gold_types))} and "
            f"{', '.join(sorted(guessed_types))}",
            remedy='Map the corpus\'s types to the model\'s: types={"person": "PER", "product": None}.',
        )
    names = sorted(gold_types | guessed_types)
    figures = score_entities(truth, guesses, names)

    def scores(values: Mapping[str, Any], label: str | None = None) -> Scores:
        own_truth, own_guesses = (
            [{entity for entity in entities if label in (None, entity[2])} for entities in side]
            for side in (truth, guesses)
        )
        interval = _interval(_counts(own_truth, own_guesses), resamples)
        return Scores(values["f1"], values["precision"], values["recall"], values["support"], interval)

    per_type = {name: scores(figures["per_type"][name], name) for name in names}
    return Evaluation(scores(figures), per_type, len(truth))


def _counts(truth: Sequence[set[EntityOffsets]], guesses: Sequence[set[EntityOffsets]]) -> np.ndarray:
    """True positives, false positives and false negatives of each document."""
    import numpy as np

    rows = zip(truth, guesses, strict=True)
    return np.array([[len(gold & guess), len(guess - gold), len(gold - guess)] for gold, guess in rows])


def _interval(counts: np.ndarray, resamples: int) -> tuple[float, float] | None:
    """The 95 % interval of F1: that of its difference from a system that finds nothing, whose F1 is 0."""
    from multiner.pipeline.evaluation.scores import DIGITS
    from multiner.pipeline.evaluation.significance import paired_bootstrap

    if len(counts) < 2:
        return None
    nothing = counts * 0
    nothing[:, 2] = counts[:, 0] + counts[:, 2]
    interval = paired_bootstrap(nothing, counts, resamples=resamples, seed=SEED)
    return round(interval.low, DIGITS), round(interval.high, DIGITS)
