"""Makes nested and overlapping spans flat.

Of overlapping spans the longest stays; of equally long ones the first in the text; of equal ranges the first in the
file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from multiner.pipeline.core.document import Span


@dataclass(frozen=True)
class Resolution:
    """Numbers of annotated objects, by their fate.

    Attributes:
        kept: became a span of the document.
        nested: dropped, inside a longer one.
        same_range: dropped, of the same range as one of another type.
        crossing: dropped, overlaps another in part.
        duplicate: dropped, of the same range and type as another.
        nameless: dropped by the convention ``name``, since it has no name.
        unmapped: of types that are left out (Facility, Project); not among ``objects``.
    """

    kept: int = 0
    nested: int = 0
    same_range: int = 0
    crossing: int = 0
    duplicate: int = 0
    nameless: int = 0
    unmapped: int = 0

    @property
    def objects(self) -> int:
        """Annotated objects of the mapped types, kept or dropped."""
        return sum(asdict(self).values()) - self.unmapped

    def __add__(self, other: Resolution) -> Resolution:
        return Resolution(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def resolve(candidates: Iterable[Span]) -> tuple[list[Span], Resolution]:
    """Flat spans, sorted by position, and the counts of the dropped ones; candidates are in the order of their file."""
    flat: list[Span] = []
    dropped = dict.fromkeys(("nested", "same_range", "crossing", "duplicate"), 0)
    for span in sorted(candidates, key=lambda one: (one.start - one.end, one.start)):
        rivals = [one for one in flat if span.start < one.end and one.start < span.end]
        if not rivals:
            flat.append(span)
        elif span in rivals:
            dropped["duplicate"] += 1
        elif any((one.start, one.end) == (span.start, span.end) for one in rivals):
            dropped["same_range"] += 1
        elif any(one.start <= span.start and span.end <= one.end for one in rivals):
            dropped["nested"] += 1
        else:
            dropped["crossing"] += 1
    return sorted(flat, key=lambda one: one.start), Resolution(kept=len(flat), **dropped)
