"""How well a Cyrillic and a Latin word spell the same name: an edit distance over letters that stand for each other.

The correspondences at no cost are those of published romanisations (BGN/PCGN 1947, ISO 9:1995, GOST 7.79, ICAO 9303,
the German and French press) read in either direction. Those at a small cost are the practical transcription of English
names into Russian (Giljarevskij and Starostin, *Inostrannye imena i nazvanija v russkom tekste*). Every other edit
costs its letter, and is odd: no scheme explains it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

TRANSCRIBED = 0.15  # per correspondence by sound
VOWEL = 0.8  # an unexplained vowel for a vowel
VOWELS_RU, VOWELS_EN = "аеёиоуыэюяй", "aeiouy"
# Cyrillic: Latin by a scheme / Latin by sound ("-": nothing)
TABLE = """
а: a / u au e ah ar aa o'
б: b / bb
в: v w ff f / wh u
г: g h gh gu / gg
д: d / dd dh
е: e ie ye je é yo jo / a ai ea i ee - ae
ё: e yo jo io eo o ë / ea ir u eu oe
ж: zh j z g / sh s dg dj
з: z s / zz th ds
и: i y j ie / e ea ee ey ei ui igh
й: y i j ï / - e
к: k c q ck ch / cc kk que cq
л: l / ll le
м: m / mm me mb
н: n / nn ne kn gn ng
о: o a / ou oh au aw ow oe u oa eau ho or
п: p / pp pe
р: r / rr rh er re
с: s ss / c ce z sh sc st ps th
т: t / tt th te d ght
у: u ou / w oo o ew ui ue wh
ф: f ph / ff v th
х: kh h ch x j / gh wh
ц: ts c tz z cz / t s
ч: ch tch c tsch cz / t tsh
ш: sh ch s sch sz x / ti ci ss c
щ: shch sch chtch shh sc schtsch schtch sh shtsh
ъ: -
ы: y i ui / e
ь: - ' / e i
э: e è / a ae ai ea i u
ю: yu iu ju u you ü / ew ue y ou eu
я: ya ia ja a / ea yu
дж: dzh j g dg dj gi ge / dsch
кс: ks x / cks cs cc xx
кв: kv qu kw
ск: sk sc sch
сс: s z
ий: y i ii iy ij yi iĭ
ый: y yy yi iy
ой: oy oi oj / oye
ай: ai ay ei aj ey / y i ie ye igh uy
ей: ei ey ej eï / ay ai a ea eigh y ie
эй: ey ei / a ay ai ea eigh
йо: yo jo io
ье: ie ye iye je / ier e
ья: ya ia ja iya
ью: yu iu ju / ew u ue ugh ewe
ьи: yi i ii
ьо: io yo
оу: ou / o ow oa oe
ау: au / ou ow o
уэ: we / wa ue
уи: wi ui
уа: ua wa / oi wo wai
уо: wo wa / wha
ия: ia iya ija
ие: ie iye ije
иа: ia
ио: io
ев: ev ew eff yev iev ow ov
ер: er / ur ir or ar ear
ёв: ev ew yov yev ov ow off iov
ов: ov ow off of
тс: ts tz / ds
тц: tz
тч: tch ch
др: der
тр: ter
нг: ng
"""
MARKS = re.compile(r"[\u0300-\u036f]")
SILENT = {"h": 0.15, "e": 0.3, "'": 0.0, "w": 0.4, "b": 0.4, "p": 0.6, "s": 0.6, "t": 0.5, "k": 0.6, "g": 0.5, "l": 0.5}
RUSSIAN = re.compile(r"(?:[оеё]ва?|[сц]к(?:ий|ая|ой)|[оеё]вич|[оеё]вна|енко|ичн?а)$")


def fold_latin(text: str) -> str:
    """Lower case without diacritics; letters that do not decompose as they are usually replaced."""
    text = text.casefold().translate({ord("ł"): "l", ord("ø"): "o", ord("đ"): "d", ord("æ"): "ae", ord("œ"): "oe"})
    return MARKS.sub("", unicodedata.normalize("NFKD", text)).replace("’", "'").replace("ʹ", "'")


def fold_cyrillic(text: str) -> str:
    """Lower case; other alphabets' letters as their Russian neighbours."""
    folded = text.casefold().translate(str.maketrans("іїєґў", "иийгу"))
    return unicodedata.normalize("NFC", MARKS.sub("", unicodedata.normalize("NFC", folded)))


def _read_table() -> dict[str, tuple[tuple[str, float, bool], ...]]:
    table: dict[str, tuple[tuple[str, float, bool], ...]] = {}
    for line in TABLE.strip().splitlines():
        cyrillic, _, right = line.partition(": ")
        exact, _, by_sound = right.partition(" / ")
        costs = {fold_latin(each.strip("-")): 0.0 for each in exact.split()}
        for each in by_sound.split():
            costs.setdefault(fold_latin(each.strip("-")), TRANSCRIBED)
        table[cyrillic] = tuple((latin, cost, cost > 0) for latin, cost in costs.items())
    table["ё"] = table["ё"] + tuple(each for each in table["е"] if each[0] not in {one[0] for one in table["ё"]})
    return table


CORRESPONDENCES = _read_table()
LONGEST = max(map(len, CORRESPONDENCES))


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a word is spelled in the other alphabet.

    ``similarity`` is 1 where a scheme explains every letter and 0 where nothing agrees; ``odd`` counts the edits that
    no scheme and no sound explains, ``by_sound`` whether any letter stands for a sound rather than a letter.
    """

    similarity: float
    odd: int
    by_sound: bool


def compare(cyrillic: str, latin: str) -> Spelling:
    """The best alignment of two folded words (see :func:`fold_cyrillic`, :func:`fold_latin`).

    Words with an ending of Russian surnames are not transcribed by sound: there, such letters are odd.
    """
    if not cyrillic or not latin:
        return Spelling(0.0, max(len(cyrillic), len(latin)), False)
    strict = bool(RUSSIAN.search(cyrillic)) and len(cyrillic) > 3
    # best[i][j]: (cost, odd edits, letters by sound) of aligning the first i and j letters
    best = [[(float("inf"), 0, 0)] * (len(latin) + 1) for _ in range(len(cyrillic) + 1)]
    best[0][0] = (0.0, 0, 0)

    def reach(i: int, j: int, came: tuple[float, int, int], cost: float, odd: bool, sound: bool) -> None:
        offer = (came[0] + cost, came[1] + odd, came[2] + sound)
        if offer < best[i][j]:
            best[i][j] = offer

    for i in range(len(cyrillic) + 1):
        for j in range(len(latin) + 1):
            came = best[i][j]
            if came[0] == float("inf"):
                continue
            for length in range(1, min(LONGEST, len(cyrillic) - i) + 1):
                for spelled, cost, sound in CORRESPONDENCES.get(cyrillic[i : i + length], ()):
                    if latin.startswith(spelled, j):
                        odd = sound and strict
                        reach(i + length, j + len(spelled), came, 0.5 if odd else cost, odd, sound)
            if i < len(cyrillic) and j < len(latin):
                both = cyrillic[i] in VOWELS_RU and latin[j] in VOWELS_EN
                reach(i + 1, j + 1, came, VOWEL if both else 1.0, True, False)
            if i < len(cyrillic):
                doubled = i > 0 and cyrillic[i] == cyrillic[i - 1]
                reach(i + 1, j, came, TRANSCRIBED if doubled else 1.0, not doubled, doubled)
            if j < len(latin):
                _skip_latin(latin, i, j, came, strict, reach)
            if i + 1 < len(cyrillic) and j + 1 < len(latin) and _swapped(cyrillic, latin, i, j):
                reach(i + 2, j + 2, came, 1.0, True, False)
    cost, odd, sounds = best[-1][-1]
    return Spelling(max(0.0, 1 - cost / max(len(cyrillic), len(latin))), odd, sounds > 0)


def _skip_latin(latin: str, i: int, j: int, came: tuple[float, int, int], strict: bool, reach: object) -> None:
    """A Latin letter that stands for nothing: doubled, silent, or too many."""
    letter = latin[j]
    if j > 0 and letter == latin[j - 1]:
        reach(i, j + 1, came, 0.02, False, False)  # type: ignore[operator]
    elif letter in SILENT and not strict and not (letter in "wpstbkgl" and 0 < j < len(latin) - 1):
        reach(i, j + 1, came, SILENT[letter], False, True)  # type: ignore[operator]
    else:
        reach(i, j + 1, came, 1.0, True, False)  # type: ignore[operator]


def _swapped(cyrillic: str, latin: str, i: int, j: int) -> bool:
    """Whether two letters have changed places."""

    def stands(sign: str, letter: str) -> bool:
        return any(spelled == letter for spelled, _, _ in CORRESPONDENCES.get(sign, ()))

    return stands(cyrillic[i], latin[j + 1]) and stands(cyrillic[i + 1], latin[j])


_CLASSES = {
    "P": "bpбп",
    "F": "vwfвф",
    "T": "dtдт",
    "C": "gkcqhxszjгкхжшщчцзс",
    "L": "lл",
    "R": "rр",
    "M": "mnмн",
}
_CODES = {letter: code for code, letters in _CLASSES.items() for letter in letters}


def skeleton(word: str) -> str:
    """A folded word's consonants in seven classes, neighbours of a class as one; alike in both alphabets."""
    word = re.sub(r"(?<=[bcdfgkpqrstwz])h", "", word.replace("ph", "f"))
    codes = "".join(_CODES.get(letter, "") for letter in word)
    return re.sub(r"(.)\1+", r"\1", codes)
