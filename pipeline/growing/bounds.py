"""Whether a batch resembles what a growing corpus holds already; bounds are wider for small batches and corpora."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import read_yaml
from multiner.pipeline.core.document import Document
from multiner.pipeline.validation import expected
from multiner.pipeline.validation.checks import document_checks
from multiner.pipeline.validation.gate import Breach, run_checks

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation

FEW = 30  # accepted sentences or entities below which nothing is expected of their rate or their shares
SMALL_BATCH = 1000  # sentences that a batch may have in any case
MOST_GROWTH = 10  # times the accepted sentences that a batch may have at most
RATE_FACTOR = 3  # by which a batch's entities per sentence may differ from the accepted ones
SHARE = 0.2  # by which the share of a type may differ
CHANCE = 0.001  # probability of the differences by chance that are allowed beyond that
DEVIATIONS = 3.3  # standard deviations of a count that chance exceeds as rarely


def breaches(name: str, types: Sequence[str], batch: Sequence[Document], accepted: Sequence[Document]) -> list[Breach]:
    """The expectations that a batch breaks, by Great Expectations; rows are named by file and line, or by task.

    Args:
        name: of the corpus.
        types: the language's types.
        batch: the new documents.
        accepted: the documents so far.
    """
    general: Mapping[str, Any] = read_yaml(expected.FOLDER / "bounds.yaml")
    sentences, entities = document_checks(name, batch, types, share_bounds(types, batch, accepted), general)
    sentences.expectations.extend(size_expectations(batch, accepted))
    with TemporaryDirectory(prefix="ner-growing-") as docs:
        results = run_checks([check for check in (sentences, entities) if len(check.frame)], Path(docs), name)
    return [breach for result in results for breach in result.breaches]


def share_bounds(
    types: Sequence[str], batch: Sequence[Document], accepted: Sequence[Document]
) -> dict[str, tuple[float, float]]:
    """The lowest and highest share of each type among the batch's entities."""
    counts = Counter(span.label for document in accepted for span in document.spans)
    total, new = counts.total(), sum(len(document.spans) for document in batch)
    if total < FEW or not new:
        return dict.fromkeys(types, (0.0, 1.0))
    margin = SHARE + sqrt(log(2 / CHANCE) / (2 * new))  # Hoeffding's inequality
    shares = {type_: counts[type_] / total for type_ in types}
    return {type_: (max(0.0, share - margin), min(1.0, share + margin)) for type_, share in shares.items()}


def size_expectations(batch: Sequence[Document], accepted: Sequence[Document]) -> list[Expectation]:
    """The most sentences of a batch, and its entities per sentence."""
    import great_expectations.expectations as gxe

    before, new = _sentences(accepted), _sentences(batch)
    most = max(SMALL_BATCH, MOST_GROWTH * before)
    text = f"A batch has at most {most:,} sentences; accepted so far are {before:,}."
    expectations: list[Expectation] = [gxe.ExpectTableRowCountToBeBetween(max_value=most, description=text)]
    if before >= FEW:
        rate = sum(len(document.spans) for document in accepted) / before
        low, high = rate / RATE_FACTOR, rate * RATE_FACTOR
        low, high = max(0.0, low - DEVIATIONS * sqrt(low / new)), high + DEVIATIONS * sqrt(max(high, 1) / new)
        text = f"{low:.2f} to {high:.2f} entities in a sentence; the accepted ones have {rate:.2f}."
        expectations.append(
            gxe.ExpectColumnMeanToBeBetween(column="entities", min_value=low, max_value=high, description=text)
        )
    return expectations


def _sentences(documents: Sequence[Document]) -> int:
    return sum(len(document.sentences) for document in documents)
