"""The forms of the pages. Scripts send them without the filters, which they apply themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request

from multiner.pipeline.text.languages import AUTO
from multiner.serving.http.entity_requests import EntitiesRequest, Item, Offer
from multiner.serving.http.payload import Limits, read_body, require_type, validate
from multiner.serving.http.problems import Problem

MEDIA_TYPE = "application/x-www-form-urlencoded"
MOST_FIELDS = 50
Fields = Mapping[str, Sequence[str]]


async def read_form(request: Request, limits: Limits) -> Fields:
    """The fields of a form, by name; else Problem 400, 408, 413 or 415."""
    require_type(request, [MEDIA_TYPE])
    body = await read_body(request, limits.body_bytes, limits.seconds)
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="replace")
    except ValueError:
        raise Problem(400, "malformed", "The form cannot be read", f"Send it as {MEDIA_TYPE}.") from None


def text_field(fields: Fields, name: str) -> str:
    """A text; forms send line breaks as CRLF, which the page's offsets count as one character."""
    return _last(fields, name, "").replace("\r\n", "\n")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields as the browser sent them; the page shows them again, also where they are wrong. No ``types``: all."""

    text: str = ""
    language: str = AUTO
    min_score: str = "0"
    types: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Fields) -> Form:
        """The form of the page at ``/``."""
        score = _last(fields, "min_score", "0").strip() or "0"
        types = tuple(fields.get("types", []))
        return cls(text_field(fields, "text"), _last(fields, "language", AUTO), score, types)

    def item(self, offer: Offer) -> Item:
        """The request for entities; Problem 413 or 422 where the fields are wrong."""
        try:
            score: Any = float(self.min_score)
        except ValueError:
            score = self.min_score
        fields = {"language": self.language, "min_score": score, "types": list(self.types) or None, "link": True}
        return validate(EntitiesRequest, {"text": self.text} | fields).items(offer)[0]


def _last(fields: Fields, name: str, default: str) -> str:
    return fields[name][-1] if name in fields else default
