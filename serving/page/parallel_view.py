"""The view of an answer on the page of two texts: the rows, the texts in segments, the table as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiner.serving.gateway.routes.parallel import LANGUAGES
from multiner.serving.page import view

Json = Mapping[str, Any]
HUES = 8  # colours of pairs, which repeat; pairs have numbers, too
UNSAFE = tuple("=+-@\t\r\n＝＋－＠")  # a spreadsheet program takes cells that begin so for formulas; as in exports.js
COUNTS_BY_TEXT = ["times in Russian", "times in English"]
HEADER = ["pair", "Russian", "English", "type", *COUNTS_BY_TEXT, "similarity", "reasons", "check"]


@dataclass(frozen=True, slots=True)
class Row:
    """A pair, or a name without a counterpart: then ``number`` is None and one of the texts is empty."""

    key: str
    number: int | None
    texts: tuple[str, str]
    forms: tuple[tuple[str, ...], tuple[str, ...]]
    label: str
    counts: tuple[int, int]
    similarity: float | None
    reasons: tuple[str, ...]
    checks: tuple[str, ...]

    @property
    def kind(self) -> str:
        """``alone``, ``suspicious`` or ``pair``, which look different on the page."""
        if self.number is None:
            return "alone"
        return "suspicious" if SPELLING in self.checks else "pair"

    @property
    def hue(self) -> int:
        """The number of its colour."""
        return ((self.number or 1) - 1) % HUES

    @property
    def title(self) -> str:
        """The tooltip of its marks."""
        russian, english = self.texts
        name = f"{russian} – {english}" if self.number else f"{russian or english}: no counterpart found"
        return "\n".join([name, view.TYPE_NAMES.get(self.label, self.label), *self.reasons, *self.checks])


SPELLING, ALONE, COUNTS = "spelling", "no counterpart", "counts differ"
ORDER = {"suspicious": 0, "alone": 1, "pair": 2}


def rows(answer: Json) -> list[Row]:
    """The rows of the table: those to check first, then the others, in the order of the Russian text."""
    rows = []
    for number, pair in enumerate(answer["pairs"], start=1):
        names = [answer[code]["names"][pair[code]] for code in LANGUAGES]
        checks = [name for name, so in ((SPELLING, pair["suspicious"]), (COUNTS, pair["counts_differ"])) if so]
        rows.append(_row(f"p{number}", number, names, checks, pair))
    for code in LANGUAGES:
        for index, name in enumerate(answer[code]["names"]):
            if name["pair"] is None:
                names = [name if code == each else None for each in LANGUAGES]
                rows.append(_row(f"{code}{index + 1}", None, names, [ALONE], {}))
    return sorted(rows, key=lambda row: (ORDER[row.kind], COUNTS not in row.checks))


def _row(key: str, number: int | None, names: Sequence[Json | None], checks: Sequence[str], pair: Json) -> Row:
    russian, english = names
    texts = (russian["text"] if russian else "", english["text"] if english else "")
    forms = (_other_forms(russian), _other_forms(english))
    counts = (len(russian["mentions"]) if russian else 0, len(english["mentions"]) if english else 0)
    label = next(name["label"] for name in names if name)
    reasons = tuple(pair.get("reasons", ()))
    return Row(key, number, texts, forms, label, counts, pair.get("similarity"), reasons, tuple(checks))


def _other_forms(name: Json | None) -> tuple[str, ...]:
    return tuple(form for form in name["forms"] if form != name["text"]) if name else ()


def segments(text: str, side: Json, code: str, by_key: Mapping[str, Row]) -> Iterator[tuple[str, Row | None]]:
    """A text in pieces, each with the row of the name it is, or None; joined they are the text."""
    keys: dict[int, str] = {}
    for index, name in enumerate(side["names"]):
        key = f"{code}{index + 1}" if name["pair"] is None else f"p{name['pair'] + 1}"
        keys |= dict.fromkeys(name["mentions"], key)
    marks = [(entity["start"], entity["end"], by_key[keys[place]]) for place, entity in enumerate(side["entities"])]
    return view.segments(text, sorted(marks, key=lambda mark: mark[0]))


def present(texts: Mapping[str, str], answer: Json, hidden: frozenset[str]) -> dict[str, Any]:
    """An answer for the template; ``hidden`` are the types that the filters leave out."""
    table = rows(answer)
    by_key = {row.key: row for row in table}
    visible = [row for row in table if row.label not in hidden]
    return {
        "sides": {
            code: {
                "model": answer[code]["model"],
                "segments": list(segments(texts[code], answer[code], code, by_key)),
                "flags": answer[code].get("flags", []),
            }
            for code in LANGUAGES
        },
        "rows": table,
        "hidden": hidden,
        "types": view.counts(row.label for row in table),
        "summary": {
            "pairs": sum(row.number is not None for row in visible),
            "spelling": sum(row.kind == "suspicious" for row in visible),
            "alone": sum(row.kind == "alone" for row in visible),
            "counts": sum(COUNTS in row.checks for row in visible),
        },
    }


def to_csv(table: Sequence[Row]) -> str:
    """The table for spreadsheet programs.

    A name that such a program would take for a formula gets an apostrophe before it, as OWASP advises.
    """
    file = io.StringIO()
    write = csv.writer(file)
    write.writerow(HEADER)
    for row in table:
        likeness = "" if row.similarity is None else f"{row.similarity:.3f}"
        names = [f"'{text}" if text.startswith(UNSAFE) else text for text in (*row.texts, row.label)]
        checks = "; ".join(row.checks)
        write.writerow([row.number or "", *names, *row.counts, likeness, "; ".join(row.reasons), checks])
    return file.getvalue()
