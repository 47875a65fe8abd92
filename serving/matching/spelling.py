"""How well a Cyrillic and a Latin word spell the same name: an edit distance over letters that stand for each other.

The correspondences at no cost are those of published romanisations (BGN/PCGN 1947, ISO 9:1995, GOST 7.79, ICAO 9303,
the German and French press) read in either direction. Those at a small cost are the practical transcription of English
names into Russian (Giljarevskij and Starostin, *Inostrannye imena i nazvanija v russkom tekste*). Every other edit
costs a whole letter, and is odd: no scheme explains it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from multiner.serving.matching.letters import CORRESPONDENCES, TRANSCRIBED

VOWEL = 0.8  # an unexplained vowel for a vowel
VOWELS_RU, VOWELS_EN = "аеёиоуыэюяй", "aeiouy"
SILENT = {"h": 0.15, "e": 0.3, "w": 0.4, "b": 0.4, "p": 0.6, "s": 0.6, "t": 0.5, "k": 0.6, "g": 0.5, "l": 0.5}
SILENT_AT_ENDS = "wpstbkgl"
RUSSIAN = re.compile(r"(?:[оеё]ва?|[сц]к(?:ий|ая|ой)|[оеё]вич|[оеё]вна|енко|ичн?а)$")
LONGEST = max(map(len, CORRESPONDENCES))


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a word is counterparts in the other alphabet.

    ``similarity`` is 1 where a scheme explains every letter and 0 where nothing agrees; ``odd`` counts the edits that
    no scheme and no sound explains, ``by_sound`` whether any letter stands for a sound rather than a letter.
    """

    similarity: float
    odd: int
    by_sound: bool


# An alignment's price is one number, fast to add and to compare: hundredths of a letter, then odd edits, then sounds.
HUNDREDTH, ODD, SOUND = 10**6, 10**3, 1


def _price(cost: float, *, odd: bool = False, sound: bool = False) -> int:
    return round(100 * cost) * HUNDREDTH + ODD * odd + SOUND * sound


LOST, VOWEL_FOR_VOWEL = _price(1.0, odd=True), _price(VOWEL, odd=True)
DOUBLED_RU, DOUBLED_EN = _price(TRANSCRIBED, sound=True), _price(0.02)
STRICT = _price(0.5, odd=True)
NEVER = 10**15


def _prices(strict: bool) -> dict[str, tuple[tuple[str, int, int], ...]]:
    """The correspondences as (Latin letters, their number, price)."""
    return {
        cyrillic: tuple(
            (latin, len(latin), STRICT if cost and strict else _price(cost, sound=cost > 0)) for latin, cost in each
        )
        for cyrillic, each in CORRESPONDENCES.items()
    }


PRICES = {strict: _prices(strict) for strict in (False, True)}
SINGLE = {cyrillic: {latin for latin, _ in each if len(latin) == 1} for cyrillic, each in CORRESPONDENCES.items()}


def compare(cyrillic: str, latin: str) -> Spelling:
    """The best alignment of two folded words (see :mod:`multiner.serving.matching.letters`).

    Words with an ending of Russian surnames are not transcribed by sound: there, such letters are odd.
    """
    if not cyrillic or not latin:
        return Spelling(0.0, max(len(cyrillic), len(latin)), False)
    strict = bool(RUSSIAN.search(cyrillic)) and len(cyrillic) > 3
    skips = [_skip(latin, j, strict) for j in range(len(latin))]
    width, height = len(latin), len(cyrillic)
    best = [[NEVER] * (width + 1) for _ in range(height + 1)]  # [i][j]: aligning the first i and the first j letters
    best[0][0] = 0
    for i in range(height + 1):
        row = best[i]
        pieces = [
            (best[i + length], PRICES[strict].get(cyrillic[i : i + length], ()))
            for length in range(1, min(LONGEST, height - i) + 1)
        ]
        letter = cyrillic[i : i + 1]
        lost = DOUBLED_RU if i and cyrillic[i - 1] == letter else LOST
        swap = SINGLE.get(letter, ()), SINGLE.get(cyrillic[i + 1 : i + 2], ())
        for j in range(width + 1):
            price_here = row[j]
            if price_here >= NEVER:
                continue
            for target, counterparts in pieces:
                for letters, length, price in counterparts:
                    if price_here + price < target[min(j + length, width)] and latin.startswith(letters, j):
                        target[j + length] = price_here + price
            if i < height:
                below = best[i + 1]
                below[j] = min(below[j], price_here + lost)
                if j < width:
                    both = letter in VOWELS_RU and latin[j] in VOWELS_EN
                    below[j + 1] = min(below[j + 1], price_here + (VOWEL_FOR_VOWEL if both else LOST))
                if j + 1 < width and latin[j + 1] in swap[0] and latin[j] in swap[1]:
                    best[i + 2][j + 2] = min(best[i + 2][j + 2], price_here + LOST)
            if j < width:
                row[j + 1] = min(row[j + 1], price_here + skips[j])
    hundredths, rest = divmod(best[-1][-1], HUNDREDTH)
    odd, sounds = divmod(rest, ODD)
    return Spelling(max(0.0, 1 - hundredths / 100 / max(height, width)), odd, sounds > 0)


def _skip(latin: str, j: int, strict: bool) -> int:
    """The price of a Latin letter that stands for nothing: doubled, silent, or too many."""
    letter = latin[j]
    if j > 0 and letter == latin[j - 1]:
        return DOUBLED_EN
    inside = 0 < j < len(latin) - 1
    if letter in SILENT and not strict and not (inside and letter in SILENT_AT_ENDS):
        return _price(SILENT[letter], sound=True)
    return LOST
