"""Names with known translations: territories and cities of Unicode CLDR, and a table of our own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from multiner.pipeline.text.normal_form import normal_form
from multiner.serving.matching.inflection import nominatives
from multiner.serving.matching.letters import fold_cyrillic, fold_latin

TABLE = Path(__file__).with_name("names.tsv")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
APOSTROPHE = re.compile("[’‘`´ʼʹʻ′＇]")
CYRILLIC = re.compile(r"[\u0400-\u04ff]")
EMPTY_WORDS = frozenset({"of", "for", "and", "in", "on", "to", "s", "и", "в", "на", "по", "имени", "им"})
DOTTED = frozenset({"US", "USA", "UK", "UN", "EU", "USSR"})  # dotted abbreviations within longer names
ARTICLES = frozenset({"the", "a", "an", "The", "A", "An"})
TERRITORY, CITY, ABBREVIATION = "CLDR territory", "CLDR city", "abbreviation"
ORGANISATION, PLACE = "known organisation", "known place"
GIVEN_NAME, TRANSLATION = "traditional name", "translation"
MOST_WORDS = 8  # of a known name


def words(name: str) -> tuple[str, ...]:
    """The folded words of a name in either alphabet, without articles and prepositions; ``U.N.`` is one word.

    The words are in lower case, without ``'s``, and without apostrophes, in which spellings differ. A capital is an
    initial, not a preposition.
    """
    name = APOSTROPHE.sub("'", normal_form(name)[0])
    name = re.sub(r"(?<![^\W\d_])((?:[^\W\d_]\.){2,})(?!\s*[^\W\d_]\.)", _join_initials, name)
    everything, content = [], []
    for match in WORD.finditer(name):
        word = match.group()
        folded = fold_cyrillic(word) if CYRILLIC.search(word) else fold_latin(word)
        everything.append((folded.removesuffix("'s") if len(folded) > 3 else folded).replace("'", ""))
        article = word in ARTICLES and match.end() < len(name) and name[match.end()] == " "
        if word not in EMPTY_WORDS and not article:
            content.append(everything[-1])
    return tuple(content or everything)


def _join_initials(match: re.Match[str]) -> str:
    """``U.N.`` as ``UN``, but initials beside a surname stay apart."""
    joined = match.group().replace(".", "")
    rest, before = match.string[match.end() :].strip(), match.string[: match.start()].strip()
    alone = not rest and (not before or before in ARTICLES)
    return joined if alone or joined in DOTTED else match.group()


def _without_dots(words: Iterable[str]) -> tuple[str, ...]:
    """Russian words with ``е`` for ``ё``, as most texts write it."""
    return tuple(word.replace("ё", "е") for word in words)


class NamePairs:
    """Pairs of names; each pair has a number, and a name may belong to several pairs.

    ``find`` gives the numbers of a name's pairs, ``reasons`` are the sources of the pairs. With ``by_stem``, ``find``
    also takes single words with the stem of a word in the table: right for adjectives, too wide for names.
    """

    def __init__(self, pairs: Iterable[tuple[str, Iterable[str], Iterable[str]]], *, by_stem: bool = False) -> None:
        self._by_stem = by_stem
        self.reasons: list[str] = []
        self._latin: dict[tuple[str, ...], set[int]] = {}
        self._cyrillic: dict[tuple[str, ...], set[int]] = {}
        self._stems: dict[tuple[str, ...], set[int]] = {}
        for reason, russian, english in pairs:
            number = len(self.reasons)
            self.reasons.append(reason)
            for name in russian:
                key = _without_dots(words(name))
                self._cyrillic.setdefault(key, set()).add(number)
                if len(key) > 1 or by_stem:
                    self._stems.setdefault(tuple(map(stem, key)), set()).add(number)
            for name in english:
                self._latin.setdefault(words(name), set()).add(number)

    def find(self, name: Sequence[str]) -> frozenset[int]:
        """The pairs that the folded words ``name`` belong to; Russian ones in any case."""
        key = _without_dots(name)
        if not key or len(key) > MOST_WORDS:
            return frozenset()
        if not any(CYRILLIC.search(word) for word in key):
            return frozenset(self._latin.get(key, ()))
        if key in self._cyrillic:
            return frozenset(self._cyrillic[key])
        if len(key) > 1:
            return frozenset(self._stems.get(tuple(map(stem, key)), ()))
        if len(key[0]) <= 3:  # abbreviations are not inflected
            return frozenset()
        if self._by_stem and len(stem(key[0])) > 3:
            return frozenset(self._stems.get((stem(key[0]),), ()))
        forms = (form for form in nominatives(key[0]) if len(form) > 2)
        return frozenset().union(*(self._cyrillic.get((form,), ()) for form in forms))


STEM = re.compile(
    r"(?:[иыая]ми|[оеыи]го|[ое]му|[оеыиая]й|[оеыиая]м|[ыиая]х|[ую]ю|[ая]я|[оеыи]е|и[яию]|ь[яюе]|[ое]в|[аеиоуыьюяй])$"
)


def stem(word: str) -> str:
    """A folded Russian word without what looks like an ending; at least two letters stay."""
    cut = STEM.sub("", word)
    return cut if len(cut) > 1 else word


def _cldr() -> Iterator[tuple[str, list[str], list[str]]]:
    """Territories, and the cities that stand for time zones; English city names are those of the zone's identifier."""
    from babel import Locale

    russian, english = Locale("ru"), Locale("en")
    for code, name in russian.territories.items():
        if code in english.territories and code not in ("001", "ZZ", "XA", "XB", "EZ"):
            yield TERRITORY, _variants(name), _variants(english.territories[code])
    for zone, name in russian.time_zones.items():
        if "city" in name and "/" in zone and not zone.startswith("Etc"):
            city = english.time_zones.get(zone, {}).get("city") or zone.rpartition("/")[2].replace("_", " ")
            yield CITY, [name["city"]], [city]


def _variants(name: str) -> list[str]:
    """A name; the same with its abbreviations written out; and that without what is in brackets."""
    full = name.replace("о-ва", "острова").replace("о-в", "остров").replace("&", "and").replace("St.", "Saint")
    return list(dict.fromkeys([name, full, re.sub(r"\s*\(.*?\)", "", full)]))


def _own(reasons: Mapping[str, str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """The lines of our own table whose kinds are in ``reasons``."""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, russian, english = line.split("\t")
            if kind in reasons:
                yield reasons[kind], russian.split("|"), english.split("|")


@cache
def names() -> NamePairs:
    """Whole names: territories, cities, places, organisations."""
    return NamePairs([*_own({"organisation": ORGANISATION, "place": PLACE}), *_cldr()])


@cache
def single_words() -> NamePairs:
    """Words of names: given names with a traditional form, and common words that are translated."""
    return NamePairs(_own({"given name": GIVEN_NAME, "word": TRANSLATION}), by_stem=True)


def is_abbreviation(name: str) -> bool:
    """Whether a name is written as an abbreviation: two to six capitals, dots or not."""
    return bool(re.fullmatch(r"[A-ZА-ЯЁ]{2,6}|(?:[A-ZА-ЯЁ]\.){2,6}", name))
