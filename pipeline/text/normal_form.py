"""Texts as models read them: without what no reader sees, each character with its place in the text as it was sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import unescape
from unicodedata import normalize

_LETTER = r"[^\W\d_]"
# &amp; as often as a page has been escaped once too often
_REFERENCE = re.compile(r"&(?:amp;)*(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
# soft hyphen, zero-width space, word joiner, zero-width no-break space
_INVISIBLE = re.compile(rf"(?<={_LETTER})[\u00ad\u200b\u2060\ufeff]+(?={_LETTER})")
_MARKED = re.compile(rf"{_LETTER}[\u0300-\u036f]+")
_STRESS = re.compile(
    "(?<=[аеёиоуыэюя])[\u0300\u0301]", re.IGNORECASE
)  # дворе́ц, as dictionaries and encyclopedias write

_LATIN_OF = dict(
    zip("АВЕКМНОРСТУХІЈЅаеорсухіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABEKMHOPCTYXIJSaeopcyxijsABEZHIKMNOPTYXo", strict=True)
)
_CYRILLIC_OF = dict(zip("ABEKMHOPCTYXaeopcyxΑΒΕΗΚΜΟΡΤΥΧο", "АВЕКМНОРСТУХаеорсухАВЕНКМОРТУХо", strict=True))
_LATIN, _CYRILLIC, _GREEK = "A-Za-z\u00c0-\u024f", "\u0400-\u052f", "\u0370-\u03ff"
_MIXED = re.compile("|".join(f"[{one}][^\\W\\d_{one}]" for one in (_LATIN, _CYRILLIC, _GREEK)))
_WORD = re.compile(rf"{_LETTER}+")
_OF_SCRIPT = {script: re.compile(f"[{script}]") for script in (_LATIN, _CYRILLIC)}


def normal_form(text: str) -> tuple[str, Sequence[int]]:
    """The text that models read, and where each of its characters, and its end, stands in ``text``.

    - A reference of HTML (``&quot;``, ``&#39;``) is the character that it stands for.
    - Soft hyphens and zero-width spaces within a word are left out, as are stress marks on Russian vowels.
    - A letter and its combining marks are one character where Unicode has it (NFC).
    - A word whose letters are of two alphabets is written in one, if letters that look alike are all that is needed.
    """
    places: Sequence[int] = range(len(text) + 1)
    for pattern, replacement in (
        (_REFERENCE, _referred),
        (_STRESS, lambda _: ""),
        (_MARKED, lambda marked: normalize("NFC", marked)),
        (_INVISIBLE, lambda _: ""),
    ):
        text, places = _replaced(text, places, pattern, replacement)
    return (_WORD.sub(_in_one_alphabet, text) if _MIXED.search(text) else text), places


def _replaced(
    text: str, places: Sequence[int], pattern: re.Pattern[str], replacement: Callable[[str], str]
) -> tuple[str, Sequence[int]]:
    """``text`` with each match replaced by one character or none, and the places of what is left.

    Other replacements are not made: a token might end within one, which has no place in the text.
    """
    pieces: list[str] = []
    kept: list[int] = []
    at = 0
    for match in pattern.finditer(text):
        character = replacement(match.group())
        if len(character) > 1:
            continue
        pieces += text[at : match.start()], character
        kept += places[at : match.start() + len(character)]
        at = match.end()
    return (f"{''.join(pieces)}{text[at:]}", [*kept, *places[at:]]) if at else (text, places)


def _referred(reference: str) -> str:
    """The character that a reference stands for; itself if it is none, or one that texts cannot hold."""
    while (character := unescape(reference)) != reference and character.startswith("&") and len(character) > 1:
        reference = character
    return character or reference


def _in_one_alphabet(match: re.Match[str]) -> str:
    """A word in Cyrillic or Latin letters alone where look-alike letters allow it, else as it is."""
    word = match.group()
    if not _MIXED.search(word):
        return word
    own = {script: set(letters.findall(word)) for script, letters in _OF_SCRIPT.items()}
    for script, table in sorted(((_CYRILLIC, _CYRILLIC_OF), (_LATIN, _LATIN_OF)), key=lambda each: -len(own[each[0]])):
        if own[script] and all(letter in table or letter in own[script] for letter in word):
            return "".join(letter if letter in own[script] else table[letter] for letter in word)
    return word
