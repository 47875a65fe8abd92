"""The form of the page as it is sent: by scripts without filters, by browsers that run none with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from multiner.pipeline.text.languages import AUTO
from multiner.serving.http.payload import (
    Item,
    Offer,
    parse_wishes,
    within,
)
from multiner.serving.http.problems import Problem

MEDIA_TYPE = "application/x-www-form-urlencoded"
MOST_FIELDS = 50


@dataclass(frozen=True, slots=True)
class Form:
    """The fields, as they were sent; the page shows them again whatever they are. No ``types``: all."""

    text: str = ""
    language: str = AUTO
    min_score: str = "0"
    types: tuple[str, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> Form:
        """The form in a body of :data:`MEDIA_TYPE`.

        Raises:
            Problem: 400, it is none.
        """
        try:
            fields = parse_qs(
                body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="replace"
            )
        except ValueError:
            raise Problem(400, "malformed", "The form cannot be read", f"Send it as {MEDIA_TYPE}.") from None
        # forms send line breaks as CRLF; the offsets shown count them as one
        text = _last(fields, "text", "").replace("\r\n", "\n")
        language, score = _last(fields, "language", AUTO), _last(fields, "min_score", "0").strip() or "0"
        return cls(text, language, score, tuple(fields.get("types", [])))

    def item(self, offer: Offer) -> Item:
        """What is asked.

        Raises:
            Problem: 413 or 422.
        """
        try:
            score: Any = float(self.min_score)
        except ValueError:
            score = self.min_score
        wishes = {"language": self.language, "min_score": score, "types": list(self.types) or None}
        language, options = parse_wishes(wishes, offer)
        return within((self.text,), language, offer.limits, options)[0]


def _last(fields: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    return fields[name][-1] if name in fields else default
