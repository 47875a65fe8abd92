"""Tags of the schemes BIO, IOB1, BIOES, BILOU and IO as spans, and spans as tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from multiner.pipeline.core.document import Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.iob2 import OUTSIDE
from multiner.pipeline.corpora.text import code_points

SCHEMES = ("BIO", "IOB1", "BIOES", "BILOU", "IO")
ALIASES = {"IOB2": "BIO", "IOB": "BIO", "IOBES": "BIOES", "BILUO": "BILOU"}
AUTO = "auto"
_TAG = re.compile(r"([BILUES])-(.+)", re.DOTALL)
_LETTERS = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES", "BILOU": "BILU", "IO": "I"}
_ENDS = {"BIOES": ("E", "S"), "BILOU": ("L", "U")}  # of an entity of several tokens, and of a single one
_OPEN = frozenset({"IOB1", "IO"})  # an entity may begin with I-


def scheme_of(name: str, tags: Iterable[str]) -> str:
    """The scheme of a name or an alias; ``auto``: the one that the tags' letters show, never IOB1.

    Raises:
        NerError: no scheme has the name, or the tags mix the letters of two schemes.
    """
    scheme = ALIASES.get(name.upper(), name.upper())
    if scheme in SCHEMES:
        return scheme
    if name != AUTO:
        raise NerError(f"unknown scheme {name!r}", remedy=f"Choose one of: {', '.join((AUTO, *SCHEMES))}.")
    different = {*tags}
    matches = [_TAG.fullmatch(tag) for tag in different - {OUTSIDE}]
    letters = {match[1] if match else "" for match in matches}
    if letters == {""}:
        if OUTSIDE not in different:  # parts of speech, words, or tags in lower case
            examples = ", ".join(map(repr, sorted(different)[:3]))
            raise NerError(f"no tag is {OUTSIDE}, and none begins with B- or I-: {examples}",
                           remedy="Name the column of the labels; or, of types alone, the scheme IO.")  # fmt: skip
        return "IO"
    if letters & set("ES") and letters & set("LU"):
        raise NerError("the tags mix the letters of BIOES and BILOU", remedy="Mend the file: one scheme a file.")
    return "BIOES" if letters & set("ES") else "BILOU" if letters & set("LU") else "BIO"


def decode(tags: Sequence[str], scheme: str, where: Callable[[int], str]) -> list[Span]:
    """The spans of a sentence.

    Args:
        tags: one for each token. In IO, a tag may be the bare type.
        scheme: of :data:`SCHEMES`.
        where: the file and line of the tag at an index, for errors.

    Raises:
        NerError: a tag is illegal, or the scheme forbids it at its place.
    """
    spans: list[Span] = []
    start, type_ = 0, ""
    end, single = _ENDS.get(scheme, ("", ""))
    for index, tag in enumerate([*tags, OUTSIDE]):
        letter, name = _parsed(tag, scheme, index, where)
        if type_ and not (name == type_ and letter in ("I", end)):
            if end:
                last = min(index, len(tags) - 1)
                raise _forbidden(f"{tags[index - 1]} is not followed by I- or {end}-{type_}", scheme, where(last))
            spans.append(Span(start, index, type_))
            type_ = ""
        if name and not type_:
            if letter in ("I", end) and scheme not in _OPEN:
                before = tags[index - 1] if index else "nothing"
                raise _forbidden(f"{tag} follows {before}{code_points(before + tag)}", scheme, where(index))
            start, type_ = index, name
        if letter and letter in (end, single):
            spans.append(Span(start, index + 1, type_))
            type_ = ""
    return spans


def _forbidden(problem: str, scheme: str, where: str) -> NerError:
    others = ", ".join(each for each in SCHEMES if each != scheme)
    return NerError(
        f"{problem}, which {scheme} forbids", where=where, remedy=f"Mend the tag, or name the file's scheme: {others}."
    )


def _parsed(tag: str, scheme: str, index: int, where: Callable[[int], str]) -> tuple[str, str]:
    """Letter and type of a tag; empty ones for O."""
    if tag == OUTSIDE:
        return "", ""
    match = _TAG.fullmatch(tag)
    if match and match[1] in _LETTERS[scheme]:
        return match[1], match[2]
    if scheme == "IO" and tag:
        return "I", tag
    letters = ", ".join(f"{letter}-TYPE" for letter in _LETTERS[scheme])
    raise NerError(
        f"illegal tag {tag!r}{code_points(tag)}",
        where=where(index),
        remedy=f"In {scheme} a tag is O, {letters}. Mend the line, or name the column of the labels or another scheme.",
    )


def encode(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """The tags of ``length`` tokens with the non-overlapping ``spans``, sorted by position."""
    tags = [OUTSIDE] * length
    for span in spans:
        tags[span.start : span.end] = [f"I-{span.label}"] * (span.end - span.start)
        first, last = span.start, span.end - 1
        if scheme in _ENDS:
            end, single = _ENDS[scheme]
            tags[last] = f"{end if first < last else single}-{span.label}"
        neighbour = first > 0 and tags[first - 1] in (f"B-{span.label}", f"I-{span.label}")
        if scheme == "BIO" or (scheme == "IOB1" and neighbour) or (scheme in _ENDS and first < last):
            tags[first] = f"B-{span.label}"
    return tags
