"""The error report: one HTML page that loads nothing from elsewhere; the template engine escapes all text."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiner.pipeline.core.document import Document, Sentence, Span
from multiner.pipeline.core.iob2 import OUTSIDE
from multiner.pipeline.core.span_differences import KINDS, SentenceErrors, count_kinds, worst_sentences, wrong_spans
from multiner.pipeline.evaluation.plots import shares
from multiner.pipeline.evaluation.predictions import ENSEMBLE, EvaluatedPart
from multiner.pipeline.evaluation.scores import token_confusion

TEMPLATES = Path(__file__).parent / "templates"
IMAGES = {
    "f1.png": "F1 by corpus and system",
    "learning_curves.png": "Learning curves",
    "reliability.png": "Reliability of scores",
}
SHARED_TASK_TITLES = {"surface": "surface form", "six_types": "six types", "official": "official"}
SHARED_TASK_NOTES = {
    "surface": "Surface form: WNUT17's F1 over unique pairs of words and type.",
    "six_types": "Six types: WNUT17's own; ORG and MISC each count as their commonest type in training.",
    "official": "Official: factRuEval-2016's scoring by name tokens, LocOrg taken as Loc.",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a sentence: plain text, or a span with its type and, if it is wrong, the kind of error."""

    text: str
    label: str = ""
    kind: str = ""


def pieces(document: Document, sentence: Sentence, spans: Iterable[Span], wrong: Mapping[Span, str]) -> list[Piece]:
    """Divide the text of a sentence at its spans; a span that crosses the sentence's border ends there.

    ``spans`` are in order and do not overlap; ``wrong`` gives the kind of error of the wrong ones.
    """
    tokens = document.tokens
    if sentence.start == sentence.end:
        return []
    at, last = tokens[sentence.start].start, tokens[sentence.end - 1].end
    result: list[Piece] = []
    for span in spans:
        if span.end <= sentence.start or span.start >= sentence.end:
            continue
        start = tokens[max(span.start, sentence.start)].start
        end = tokens[min(span.end, sentence.end) - 1].end
        if start > at:
            result.append(Piece(document.text[at:start]))
        result.append(Piece(document.text[start:end], span.label, wrong.get(span, "")))
        at = end
    if at < last:
        result.append(Piece(document.text[at:last]))
    return result


def _sentence_view(part: EvaluatedPart, row: SentenceErrors) -> dict[str, Any]:
    document = part.documents[row.document]
    sentence = document.sentences[row.sentence]
    missed = {error.gold: error.kind for errors in row.errors.values() for error in errors if error.gold}
    rows = [("gold", pieces(document, sentence, document.spans, missed))]
    for name, by_document in part.systems.items():
        spans = by_document[row.document]
        rows.append((name, pieces(document, sentence, spans, wrong_spans(document.spans, spans))))
    tags = sorted(
        {
            f"{name}/{error.kind}/{type_}"
            for name, errors in row.errors.items()
            for error in errors
            for type_ in error.types
        }
    )
    return {
        "document": document.id,
        "where": f"{document.source}:{sentence.line}" if document.source and sentence.line else document.source,
        "rows": rows,
        "errors": {name: [error.kind for error in errors] for name, errors in row.errors.items()},
        "tags": "|".join(tags),
    }


def section(part: EvaluatedPart, scores: Mapping[str, Any], types: Sequence[str], limit: int) -> dict[str, Any]:
    """The report's data of a part: scores, errors by kind, confusions, and the worst sentences, ``limit`` at most."""
    names = [OUTSIDE, *types]
    confusions = {}
    for name, spans in part.systems.items():
        confusion = token_confusion(part.documents, spans, types)
        share = shares(confusion)
        confusions[name] = [
            (
                names[row],
                [
                    (int(confusion[row, column]), round(float(share[row, column]), 4), row == column)
                    for column in range(len(names))
                ],
            )
            for row in range(len(names))
        ]
    leading = ENSEMBLE if ENSEMBLE in part.systems else next(iter(part.systems))
    rows = worst_sentences(part.documents, part.systems, leading, limit)
    return {
        "corpus": part.corpus,
        "split": part.split,
        "documents": len(part.documents),
        "sentence_count": part.sentences,
        "entities": sum(len(document.spans) for document in part.documents),
        "scores": scores,
        "shared_task_scores": [
            (key, title) for key, title in SHARED_TASK_TITLES.items() if all(key in row for row in scores.values())
        ],
        "kinds": {name: count_kinds(part.documents, spans) for name, spans in part.systems.items()},
        "confusions": confusions,
        "sentences": [_sentence_view(part, row) for row in rows],
    }


def report(
    sections: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any],
    types: Sequence[str],
    *,
    with_text: bool,
    images: Mapping[str, Path],
) -> str:
    """The report as one HTML page.

    Args:
        sections: from :func:`section`.
        metrics: the content of the metrics file.
        types: entity types, in order.
        with_text: whether to show sentences with errors: a page with text of the corpora must not be published.
        images: title → PNG file to embed.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    embedded = {title: b64encode(path.read_bytes()).decode() for title, path in images.items()}
    return environment.get_template("report.html").render(
        sections=sections,
        metrics=metrics,
        types=types,
        labels=[OUTSIDE, *types],
        kinds=KINDS,
        shared_task_notes=SHARED_TASK_NOTES,
        systems=list(sections[0]["scores"]) if sections else [],
        with_text=with_text,
        images=embedded,
    )
