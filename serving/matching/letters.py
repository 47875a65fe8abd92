"""Letters and their counterparts in the other alphabet, and how words are folded before they are compared."""

from __future__ import annotations

import re
import unicodedata

TRANSCRIBED = 0.15  # per correspondence by sound
# Cyrillic: Latin by a scheme / Latin by sound ("-": nothing)
TABLE = """
а: a / u au e ah ar aa
б: b / bb
в: v w ff f / wh u
г: g h gh gu / gg
д: d / dd dh
е: e ie ye je é yo jo / a ai ea i ee - ae oe
ё: e yo jo io eo o ë oe / ea ir u eu
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
щ: shch sch chtch shh sc s schtsch schtch sh shtsh
ъ: -
ы: y i ui / e
ь: - / e i
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
REPLACED = str.maketrans({"ł": "l", "ø": "oe", "ö": "oe", "đ": "d", "æ": "ae", "œ": "oe"})
MARKS = re.compile(r"[\u0300-\u036f]")


def fold_latin(text: str) -> str:
    """Lower case without diacritics; ö is oe, and letters without a decomposition have their usual replacements."""
    text = unicodedata.normalize("NFKC", text.casefold()).translate(REPLACED)
    return MARKS.sub("", unicodedata.normalize("NFKD", text))


def fold_cyrillic(text: str) -> str:
    """Lower case; other alphabets' letters as their Russian neighbours."""
    folded = text.casefold().translate(str.maketrans("іїєґў", "иийгу"))
    return unicodedata.normalize("NFC", MARKS.sub("", unicodedata.normalize("NFC", folded)))


def _read_table() -> dict[str, tuple[tuple[str, float], ...]]:
    table: dict[str, tuple[tuple[str, float], ...]] = {}
    for line in TABLE.strip().splitlines():
        cyrillic, _, right = line.partition(": ")
        exact, _, by_sound = right.partition(" / ")
        costs = {fold_latin(each.strip("-")): 0.0 for each in exact.split()}
        for each in by_sound.split():
            costs.setdefault(fold_latin(each.strip("-")), TRANSCRIBED)
        table[cyrillic] = tuple(costs.items())
    table["ё"] = table["ё"] + tuple(each for each in table["е"] if each[0] not in {one[0] for one in table["ё"]})
    return table


CORRESPONDENCES = _read_table()
LONG_INITIALS = frozenset(
    {"дж", "yu", "ya", "ye", "yo", "iu", "ia", "ju", "ja", "zh", "kh", "ts", "ch", "sh", "shch", "dzh"}
)


def is_initial(word: str) -> bool:
    """Whether a folded word may be an initial: one letter, or letters for one letter of the other alphabet."""
    return len(word) == 1 or word in LONG_INITIALS


def share_initial(cyrillic: str, latin: str) -> bool:
    """Whether one of two folded words is an initial with which the other begins; Дж is J or G, never D."""
    if not is_initial(cyrillic) and not is_initial(latin):
        return False
    first = cyrillic[:2] if cyrillic.startswith("дж") else cyrillic[0]
    for spelled in (letters for letters, _ in CORRESPONDENCES.get(first, ()) if letters):
        if latin == spelled or (is_initial(cyrillic) and latin.startswith(spelled)):
            return True
        if len(latin) == len(first) == 1 and spelled[0] == latin:
            return True
    return False


_CLASSES = {"P": "bpбп", "F": "vwfвф", "T": "dtдт", "C": "gkcqhxszjгкхжшщчцзс", "L": "lл", "R": "rр", "M": "mnмн"}
_CODES = {letter: code for code, letters in _CLASSES.items() for letter in letters}


def skeleton(word: str) -> str:
    """A folded word's consonants in seven classes, neighbours of a class as one; alike in both alphabets."""
    word = re.sub(r"(?<=[bcdfgkpqrstwz])h", "", word.replace("ph", "f"))
    codes = "".join(_CODES.get(letter, "") for letter in word)
    return re.sub(r"(.)\1+", r"\1", codes)
