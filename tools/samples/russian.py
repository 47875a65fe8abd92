"""The Russian sample: a factRuEval-2016-like corpus."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from samples import inflect_ru as inflect
from samples import words_ru as words

_TOKEN = re.compile(r"\w+(?:-\w+)*|[^\w\s]")
_SLOT = re.compile(r"\{(\w+)([.:])([^}]+)\}|\{n\}")
_MARK = r"((?:[<\[]\w+[| ])*)"
_ROUND = [*range(5, 21), *range(25, 31), *range(35, 41), *range(45, 100, 5)]
"""Numbers that ask for the genitive plural."""


@dataclass
class Text:
    """A document's text and what stands in it, as character ranges."""

    text: str = ""
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    objects: list[tuple[str, list[int]]] = field(default_factory=list)
    sentences: list[tuple[int, int]] = field(default_factory=list)

    def add(self, marked: str, separator: str) -> None:
        """Append a marked sentence after ``separator``."""
        self.text += separator if self.text else ""
        start = len(self.text)
        open_spans: list[tuple[str, int]] = []
        open_objects: list[int] = []
        for piece in re.findall(r"<\w+\||>|\[\w+ |\]|[^<>\[\]]+", marked):
            if piece.startswith("<"):
                open_objects.append(len(self.objects))
                self.objects.append((piece[1:-1], []))
            elif piece == ">":
                open_objects.pop()
            elif piece.startswith("["):
                open_spans.append((piece[1:-1], len(self.text)))
            elif piece == "]":
                kind, begin = open_spans.pop()
                for index in open_objects:
                    self.objects[index][1].append(len(self.spans))
                self.spans.append((kind, begin, len(self.text)))
            else:
                self.text += piece[0].upper() + piece[1:] if len(self.text) == start else piece
        self.sentences.append((start, len(self.text)))


class Cast:
    """The people, organisations and places of one document, in every case."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.forms: dict[str, tuple[str, ...]] = {}
        self.female: dict[str, bool] = {}
        cities = list(words.CITIES)
        random.shuffle(cities)
        for number, city in enumerate(cities[:2], 1):
            name, kind = city.split(":")
            forms = inflect.inanimate(name, kind)
            self.forms[f"c{number}"] = tuple(f"<LocOrg|[loc_name {form}]>" for form in forms)
            self._person(str(number))
            self._organisation(f"o{number}")
        office, gender = random.choice(words.OFFICES).split(":")
        place = self.forms["c1"][1]
        self.forms["m1"] = tuple(f"<Org|[org_descr {form}] {place}>" for form in inflect.noun(office, gender))
        kind, _, name = random.choice(words.NATURE).split(":")
        self.forms["r1"] = (f"<Location|[loc_descr {kind}] [loc_name {name}]>",) * 6

    def _person(self, number: str) -> None:
        female = self.random.random() < 0.5
        first = inflect.first_name(self.random.choice(words.FEMALE if female else words.MALE), female)
        last = inflect.surname(self.random.choice(words.SURNAMES), female)
        middle = ("",) * 6
        if self.random.random() < 0.2:
            forms = inflect.patronymic(self.random.choice(words.PATRONYMICS), female)
            middle = tuple(f" [patronymic {form}]" for form in forms)
        self.forms[f"p{number}"] = tuple(
            f"<Person|[name {first[case]}]{middle[case]} [surname {last[case]}]>" for case in range(6)
        )
        self.forms[f"s{number}"] = tuple(f"<Person|[surname {form}]>" for form in last)
        job = self.random.choice(words.JOBS["f" if female else "m"].split())
        self.forms[f"j{number}"] = (f"[job {job}]",) * 6
        self.female[f"p{number}"] = self.female[f"s{number}"] = female

    def _organisation(self, slot: str) -> None:
        if self.random.random() < 0.3:
            name, kind = self.random.choice(words.ACRONYMS).split(":")
            forms = inflect.inanimate(name, kind)
            self.forms[slot] = tuple(f"<Org|[org_name {form}]>" for form in forms)
            return
        gender = self.random.choice("fffmmmmn")
        descriptor = inflect.noun(self.random.choice(words.DESCRIPTORS[gender].split()), gender)
        name = self.random.choice(words.QUOTED)
        self.forms[slot] = tuple(f"<Org|[org_descr {form}] «[org_name {name}]»>" for form in descriptor)

    def fill(self, template: str) -> str:
        """A template with every slot filled, and the prepositions that the names ask for."""

        def slot(match: re.Match) -> str:
            if match[0] == "{n}":
                return str(self.random.choice(_ROUND))
            if match[2] == ":":
                return match[3].split(",")[self.female[match[1]]]
            return self.forms[match[1]][words.CASES.index(match[3])]

        filled = _SLOT.sub(slot, template)
        filled = re.sub(rf"\b([Вв]) {_MARK}([ВФ][бвгджзклмнпрстфхцчшщь])", r"\1о \2\3", filled)
        return re.sub(rf"\b([Сс]) {_MARK}([СЗ][бвгджзклмнпрстфхцчшщ])", r"\1о \2\3", filled)


def document(random: Random, sentences: int, seen: set[str]) -> Text:
    """A document by template: a title, then paragraphs of up to four sentences; no sentence of ``seen`` again."""
    cast = Cast(random)
    text = Text()
    text.add(cast.fill(random.choice(words.TITLES)), "")
    templates = list(words.TEMPLATES)
    random.shuffle(templates)
    written = 0
    while written < sentences:
        sentence = cast.fill(templates.pop())
        if sentence not in seen:
            seen.add(sentence)
            text.add(sentence, " " if written % 4 else "\n\n")
            written += 1
    return text


def by_hand(sentences: tuple[str, ...]) -> Text:
    """A document of marked sentences, the first its title."""
    text = Text()
    for index, sentence in enumerate(sentences):
        text.add(sentence, " " if index > 1 else "\n\n")
    return text


def render(text: Text, first_id: int) -> tuple[dict[str, str], int]:
    """The four files of a document by suffix, and the first id that is free after it."""
    tokens: list[tuple[int, int, int]] = []
    lines: list[str] = []
    number = first_id
    for start, end in text.sentences:
        for match in _TOKEN.finditer(text.text, start, end):
            tokens.append((number, match.start(), match.end()))
            lines.append(f"{number} {match.start()} {match.end() - match.start()} {match[0]}")
            number += 1
        lines.append("")
    span_ids = range(number, number + len(text.spans))
    span_lines = []
    for id_, (kind, start, end) in zip(span_ids, text.spans, strict=True):
        inside = [token[0] for token in tokens if start <= token[1] and token[2] <= end]
        comment = f"{' '.join(map(str, inside))} {text.text[start:end]}"
        span_lines.append(f"{id_} {kind} {start} {end - start} {inside[0]} {len(inside)}  # {comment}")
    number = span_ids.stop
    object_lines = []
    for kind, members in text.objects:
        parts = " ".join(text.text[start:end] for _, start, end in (text.spans[index] for index in members))
        object_lines.append(f"{number} {kind} {' '.join(str(span_ids[index]) for index in members)} # {parts}")
        number += 1
    files = {".txt": [text.text], ".tokens": lines, ".spans": span_lines, ".objects": object_lines}
    return {suffix: "".join(f"{line}\n" for line in content) for suffix, content in files.items()}, number


def write_russian(folder: Path) -> None:
    """Write the Russian sample below ``folder``."""
    random = Random(1917)
    seen: set[str] = set()
    number, book = 1000, 1
    for part, documents in (("devset", 44), ("testset", 22)):
        target = folder / "factRuEval-2016" / part
        target.mkdir(parents=True, exist_ok=True)
        texts = [by_hand(sentences) for sentences in words.BY_HAND[part]]
        texts += [document(random, random.randrange(6, 10), seen) for _ in range(documents - len(texts))]
        for text in texts:
            files, number = render(text, number)
            for suffix, content in files.items():
                (target / f"book_{book}{suffix}").write_text(content, encoding="utf-8", newline="\n")
            book += 1
