"""Mentions in a text, grouped by name: inflected forms of it, and persons by surname or initials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from multiner.serving.matching import known_names
from multiner.serving.matching.inflection import is_patronymic, nominatives
from multiner.serving.matching.letters import is_initial

PERSON = "PER"


@dataclass(frozen=True, slots=True)
class Mention:
    """A name at its place: its text, its type, and the offset of its first character."""

    text: str
    label: str
    start: int


@dataclass(frozen=True, slots=True)
class NameGroup:
    """All mentions of one name in a text.

    ``text`` is its fullest form, the likeliest nominative among equals; ``words`` are that form's folded words;
    ``label`` is its commonest type; ``forms`` are its spellings in their order; ``mentions`` are indices; ``first`` is
    the offset of the first mention.
    """

    text: str
    label: str
    words: tuple[str, ...]
    forms: tuple[str, ...]
    mentions: tuple[int, ...]
    first: int

    @property
    def count(self) -> int:
        """How often it is mentioned."""
        return len(self.mentions)


def group(mentions: Sequence[Mention]) -> list[NameGroup]:
    """The names of a text, in the order of their first mention.

    Mentions have the same name if they have as many words and each pair of words may be forms of one word. Then a
    person mentioned by a part of a name joins the person with the fuller name, if there is only one such.
    """
    keys_of = {text: known_names.words(text) or (text,) for text in {mention.text for mention in mentions}}
    by_key: dict[tuple[str, ...], list[int]] = {}
    for index, mention in enumerate(mentions):
        by_key.setdefault(keys_of[mention.text], []).append(index)
    groups = [sorted(index for key in keys for index in by_key[key]) for keys in _join_forms(list(by_key))]
    names = (_name(members, mentions) for members in _join_parts(groups, mentions))
    return sorted(names, key=lambda name: name.first)


def _join_forms(keys: list[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """Groups of keys that may be forms of one name; a key is compared with the first of each group."""
    groups: list[list[tuple[str, ...]]] = []
    index: dict[tuple[int, int, str], list[int]] = {}  # (number of words, place, nominative) to places in groups
    for key in keys:
        nominative = [frozenset(_nominatives(word)) for word in key]
        # the groups that share the rarest of its words: a common given name would have too many
        places = min((_places(index, len(key), at, forms) for at, forms in enumerate(nominative)), key=len)
        for place in places:
            if all(forms & set(_nominatives(word)) for forms, word in zip(nominative, groups[place][0], strict=True)):
                groups[place].append(key)
                break
        else:
            place = len(groups)
            groups.append([key])
            for at, forms in enumerate(nominative):
                for form in forms:
                    index.setdefault((len(key), at, form), []).append(place)
    return groups


def _places(index: dict[tuple[int, int, str], list[int]], size: int, at: int, forms: frozenset[str]) -> list[int]:
    """The groups whose word at this place may be a form of one of these nominatives, in their order."""
    return sorted({place for form in forms for place in index.get((size, at, form), ())})


@lru_cache(maxsize=50_000)
def _nominatives(word: str) -> tuple[str, ...]:
    inflected = known_names.CYRILLIC.search(word) and len(word) > 2
    return nominatives(word) if inflected else (word,)


def _join_parts(groups: list[list[int]], mentions: Sequence[Mention]) -> list[list[int]]:
    """The groups, where a person's partial name has joined the fuller name, if there is only one such."""
    names = [_name(members, mentions) for members in groups]
    by_word: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if name.label == PERSON and len(name.words) > 1:
            for word in dict.fromkeys(name.words):
                for form in _nominatives(word):
                    by_word.setdefault(form, []).append(place)
    target: dict[int, int] = {}

    def whole(place: int) -> int:
        while place in target:
            place = target[place]
        return place

    # fuller names first, so that their own group is final before their parts join it
    for place in sorted(range(len(names)), key=lambda at: -sum(map(len, names[at].words))):
        name = names[place]
        if name.label != PERSON:
            continue
        sharing = (_sharing(by_word, word) for word in dict.fromkeys(name.words) if not is_initial(word))
        near = min(filter(None, sharing), key=len, default=())  # those that share its rarest word
        fuller = {whole(other) for other in near if other != place and _is_part(name.words, names[other].words)}
        if len(fuller) == 1:
            target[place] = fuller.pop()
    whole_groups: dict[int, list[int]] = {}
    for place, members in enumerate(groups):
        whole_groups.setdefault(whole(place), []).extend(members)
    return [sorted(members) for members in whole_groups.values()]


def _sharing(by_word: dict[str, list[int]], word: str) -> list[int]:
    """The names with a word of which this may be a form."""
    return sorted({place for form in _nominatives(word) for place in by_word.get(form, ())})


def _is_part(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether a person's name is a shorter form of another: fewer letters, and all its words there, in their order."""
    if sum(map(len, part)) >= sum(map(len, whole)) or not any(len(word) > 1 for word in part):
        return False
    rest = list(whole)
    if len(part) == 1 and is_patronymic(part[0]):
        return False
    for word in part:
        while rest and not _same_word(word, rest[0]):
            rest.pop(0)
        if not rest:
            return False
        rest.pop(0)
    return True


def _same_word(one: str, other: str) -> bool:
    if is_initial(one) or is_initial(other):
        return one.startswith(other) or other.startswith(one)
    return bool(set(_nominatives(one)) & set(_nominatives(other)))


def _name(members: Sequence[int], mentions: Sequence[Mention]) -> NameGroup:
    labels = [mentions[index].label for index in members]
    forms = tuple(dict.fromkeys(mentions[index].text for index in members))
    keys = {form: known_names.words(form) or (form,) for form in forms}

    def fullness(form: str) -> tuple[int, int, int]:
        """The number of words that are not initials; the number of forms that may come from this one; brevity."""
        bases = sum(
            len(key) == len(keys[form])
            and all(_nominatives(word)[0] in _nominatives(other) for word, other in zip(keys[form], key, strict=True))
            for key in keys.values()
        )
        return sum(not is_initial(word) for word in keys[form]), bases, -len(form)

    text = max(forms, key=fullness)
    return NameGroup(
        text=" ".join(text.split()),
        label=max(dict.fromkeys(labels), key=labels.count),
        words=keys[text],
        forms=forms,
        mentions=tuple(members),
        first=min(mentions[index].start for index in members),
    )
