"""Flat spans out of nested and overlapping ones: the outermost wins.

The rule: the longest wins, of equally long ones the first in the text, of equal ranges the first in the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from multiner.pipeline.core.document import Span


@dataclass(frozen=True)
class Resolution:
    """What became of the annotated objects of the mapped types.

    Attributes:
        kept: objects that are a span of the document.
        nested: lost inside a longer one.
        same_range: lost to one of the same range and another type.
        crossing: lost to one that overlaps it in part.
        duplicate: lost to one of the same range and type.
        nameless: dropped by the convention ``name`` for want of a name.
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
        """Annotated objects of the mapped types, kept or lost."""
        return sum(asdict(self).values()) - self.unmapped

    def __add__(self, other: Resolution) -> Resolution:
        return Resolution(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def resolve(candidates: Iterable[Span]) -> tuple[list[Span], Resolution]:
    """Flat spans out of overlapping ones, sorted by place, and the counts of what is lost.

    Args:
        candidates: spans in the order of their file.
    """
    kept: list[Span] = []
    lost = dict.fromkeys(("nested", "same_range", "crossing", "duplicate"), 0)
    for span in sorted(candidates, key=lambda one: (one.start - one.end, one.start)):
        rivals = [one for one in kept if span.start < one.end and one.start < span.end]
        if not rivals:
            kept.append(span)
        elif span in rivals:
            lost["duplicate"] += 1
        elif any((one.start, one.end) == (span.start, span.end) for one in rivals):
            lost["same_range"] += 1
        elif any(one.start <= span.start and span.end <= one.end for one in rivals):
            lost["nested"] += 1
        else:
            lost["crossing"] += 1
    return sorted(kept, key=lambda one: one.start), Resolution(kept=len(kept), **lost)
