"""The expectations of each suite; :mod:`multiner.pipeline.validation.gate` runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from multiner.pipeline.validation.expected import PartCounts

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation


def file_expectations() -> list[Expectation]:
    """For the frame with a row for each corpus and split: every file can be read."""
    import great_expectations.expectations as gxe

    return [_true(gxe, "readable", "The reader takes every file: its format, tags and offsets are legal.")]


def sentence_expectations(
    tokens: Sequence[int], *, earlier: Iterable[str] = (), part: PartCounts | None = None
) -> list[Expectation]:
    """For a sentence frame.

    Args:
        tokens: fewest and most tokens of a sentence.
        earlier: names of the parts that the frame was compared with.
        part: the expected counts of a published corpus.
    """
    import great_expectations.expectations as gxe

    low, high = tokens
    expectations = [
        gxe.ExpectColumnValuesToBeBetween(
            column="tokens", min_value=low, max_value=high, description=f"Every sentence has {low} to {high} tokens."
        ),
        _true(gxe, "offsets_ok", "Token offsets match the text: in order, inside it, no blanks at their ends."),
        _true(gxe, "id_unique", "Every document has an id of its own."),
    ]
    if part is None:
        return [*expectations, gxe.ExpectTableRowCountToBeBetween(min_value=1, description="There are sentences.")]
    expectations += [
        gxe.ExpectTableRowCountToEqual(value=part.sentences, description=f"Exactly {part.sentences:,} sentences."),
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="document",
            min_value=part.documents,
            max_value=part.documents,
            description=f"Exactly {part.documents:,} documents.",
        ),
        _exactly(gxe, "tokens", part.tokens, "tokens"),
        _exactly(gxe, "entities", part.entities, "entities"),
        _exactly(gxe, "repeated", part.repeated, "sentences are also earlier in the same part"),
        gxe.ExpectColumnValuesToBeInSet(
            column="excess_repeat",
            value_set=[False],
            description="No sentence repeats another beyond the known repeats.",
        ),
    ]
    for name in earlier:
        most = part.overlaps.get(name, 0)
        expectations.append(_sum(gxe, f"in_{name}", 0, most, f"At most {most:,} sentences are also in {name}."))
    return expectations


def leakage_expectations(most: int) -> list[Expectation]:
    """For the frame of all test sentences of a language: how many are also in a corpus that it trains on."""
    import great_expectations.expectations as gxe

    text = f"At most {most:,} test sentences are also in a training or development set of the language."
    return [_sum(gxe, "in_training", 0, most, text)]


def entity_expectations(
    types: Sequence[str], tokens: Sequence[int], shares: Mapping[str, Sequence[float]], part: PartCounts | None = None
) -> list[Expectation]:
    """For an entity frame of ``types``; ``tokens`` and ``shares`` have the lowest and the highest value."""
    import great_expectations.expectations as gxe

    low, high = tokens
    expectations: list[Expectation] = [
        _true(gxe, "tags_legal", "Every tag sequence is legal: entities lie within one sentence and do not overlap."),
        gxe.ExpectColumnValuesToBeInSet(
            column="label", value_set=list(types), description=f"Labels are {', '.join(types)}."
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="tokens", min_value=low, max_value=high, description=f"Every entity has {low} to {high} tokens."
        ),
    ]
    for type_ in types:
        least, most = shares[type_]
        expectations.append(
            gxe.ExpectColumnMeanToBeBetween(
                column=f"is_{type_}",
                min_value=least,
                max_value=most,
                description=f"{least:.0%} to {most:.0%} of the entities are {type_}.",
            )
        )
        if part is not None:
            expectations.append(_exactly(gxe, f"is_{type_}", part.types.get(type_, 0), f"entities are {type_}"))
    return expectations


def _true(gxe, column: str, description: str) -> Expectation:  # noqa: ANN001 - the module gxe
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True], description=description)


def _sum(gxe, column: str, least: int, most: int, description: str) -> Expectation:  # noqa: ANN001
    return gxe.ExpectColumnSumToBeBetween(column=column, min_value=least, max_value=most, description=description)


def _exactly(gxe, column: str, count: int, what: str) -> Expectation:  # noqa: ANN001
    return _sum(gxe, column, count, count, f"Exactly {count:,} {what}.")
