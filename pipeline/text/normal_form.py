"""The form of a text that models read, without what no reader sees, and the offset of each of its characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import unescape
from unicodedata import normalize

_LETTER = r"[^\W\d_]"
# &amp;amp; and the like: pages that were escaped more than once
_REFERENCE = re.compile(r"&(?:amp;)*(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
# soft hyphen, zero-width space, word joiner, zero-width no-break space
_INVISIBLE = re.compile(rf"(?<={_LETTER})[\u00ad\u200b\u2060\ufeff]+(?={_LETTER})")
_MARKED = re.compile(rf"{_LETTER}[\u0300-\u036f]+")
_STRESS = re.compile("(?<=[аеёиоуыэюя])[\u0300\u0301]", re.IGNORECASE)  # дворе́ц, as in dictionaries

_LATIN_OF = dict(
    zip("АВЕКМНОРСТУХІЈЅаеорсухіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABEKMHOPCTYXIJSaeopcyxijsABEZHIKMNOPTYXo", strict=True)
)
_CYRILLIC_OF = dict(zip("ABEKMHOPCTYXaeopcyxΑΒΕΗΚΜΟΡΤΥΧο", "АВЕКМНОРСТУХаеорсухАВЕНКМОРТУХо", strict=True))
_LATIN, _CYRILLIC, _GREEK = "A-Za-z\u00c0-\u024f", "\u0400-\u052f", "\u0370-\u03ff"
_MIXED = re.compile("|".join(f"[{one}][^\\W\\d_{one}]" for one in (_LATIN, _CYRILLIC, _GREEK)))
_WORD = re.compile(rf"{_LETTER}+")
_OF_SCRIPT = {script: re.compile(f"[{script}]") for script in (_LATIN, _CYRILLIC)}


def normal_form(text: str) -> tuple[str, Sequence[int]]:
    """The text that models read, and the offsets in ``text`` of its characters and of its end.

    - A character reference of HTML (``&quot;``, ``&#39;``) becomes its character.
    - Soft hyphens and zero-width spaces within a word are removed, and so are stress marks on Russian vowels.
    - A letter and its combining marks become one character where Unicode has one (NFC).
    - A word of letters from two alphabets is written in one of them, if replacing look-alike letters is enough.
    """
    offsets: Sequence[int] = range(len(text) + 1)
    for pattern, replacement in (
        (_REFERENCE, _dereferenced),
        (_STRESS, lambda _: ""),
        (_MARKED, lambda letter: normalize("NFC", letter)),
        (_INVISIBLE, lambda _: ""),
    ):
        text, offsets = _replaced(text, offsets, pattern, replacement)
    return (_WORD.sub(_in_one_alphabet, text) if _MIXED.search(text) else text), offsets


def _replaced(
    text: str, offsets: Sequence[int], pattern: re.Pattern[str], replacement: Callable[[str], str]
) -> tuple[str, Sequence[int]]:
    """``text`` with each match replaced by one character or none, and the offsets of the result's characters.

    A longer replacement is not made: a token could end within it, where the original text has no offset.
    """
    pieces: list[str] = []
    new_offsets: list[int] = []
    end = 0
    for match in pattern.finditer(text):
        character = replacement(match.group())
        if len(character) > 1:
            continue
        pieces += text[end : match.start()], character
        new_offsets += offsets[end : match.start() + len(character)]
        end = match.end()
    return (f"{''.join(pieces)}{text[end:]}", [*new_offsets, *offsets[end:]]) if end else (text, offsets)


def _dereferenced(reference: str) -> str:
    """The character of an HTML reference; the reference itself if it has none, or one that a text cannot hold."""
    while (character := unescape(reference)) != reference and character.startswith("&") and len(character) > 1:
        reference = character
    return character or reference


def _in_one_alphabet(match: re.Match[str]) -> str:
    """A word in Cyrillic or in Latin letters alone if replacing look-alikes is enough, else unchanged."""
    word = match.group()
    if not _MIXED.search(word):
        return word
    own = {script: set(letters.findall(word)) for script, letters in _OF_SCRIPT.items()}
    for script, table in sorted(((_CYRILLIC, _CYRILLIC_OF), (_LATIN, _LATIN_OF)), key=lambda each: -len(own[each[0]])):
        if own[script] and all(letter in table or letter in own[script] for letter in word):
            return "".join(letter if letter in own[script] else table[letter] for letter in word)
    return word
