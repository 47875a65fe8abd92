"""The English samples: a CoNLL-2003-like and a WNUT17-like corpus."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

from samples import words_en as words

_MARK = re.compile(r"\[([\w-]+) ([^\]]+)\]")
Tagged = list[tuple[str, str]]
"""Words with their IOB2 tags."""

CLOSED_CLASSES = {
    "DT": "a an the no every this that",
    "IN": "of in on at by from with for near between after as since until behind ahead over out like if",
    "CC": "and or but",
    "PRP": "he she it we i you they nobody who which",
    "TO": "to",
    "MD": "will would could should",
    "VBD": "said was were had has have is won lost fell rose met led kept wrote told rejected opened closed scored",
    "RB": "not late even again only once twice never little",
}
_POS = {word: pos for pos, listed in CLOSED_CLASSES.items() for word in listed.split()}
_CHUNKS = {"IN": "PP", "TO": "PP", "MD": "VP", "VBD": "VP", "RB": "ADVP"}


def tag(sentence: str) -> Tagged:
    """Words and tags of a marked sentence, ``[PER Ada Moor] left .``"""
    tagged: Tagged = []
    at = 0
    for mark in _MARK.finditer(sentence):
        tagged += [(word, "O") for word in sentence[at : mark.start()].split()]
        type_, text = mark.groups()
        tagged += [(word, f"{'I' if index else 'B'}-{type_}") for index, word in enumerate(text.split())]
        at = mark.end()
    return tagged + [(word, "O") for word in sentence[at:].split()]


def cast_of(random: Random) -> dict[str, str]:
    """The people, organisations and places of one document; names in capitals too, for its headline."""
    cast: dict[str, str] = {}
    for number in "12":
        first, last = random.choice(words.FIRST), random.choice(words.LAST)
        cast[f"per{number}"] = f"[PER {first} {last}]"
        cast[f"last{number}"] = f"[PER {last}]"
    for kind, type_, names in (
        ("org", "ORG", words.ORG),
        ("club", "ORG", words.CLUB),
        ("loc", "LOC", words.LOC),
        ("origin", "MISC", words.ORIGIN),
        ("event", "MISC", words.EVENT),
    ):
        chosen = list(names)
        random.shuffle(chosen)
        cast |= {f"{kind}{number}": f"[{type_} {name}]" for number, name in enumerate(chosen[:2], 1)}
    cast["goals"] = str(random.randrange(2, 6))
    return cast | {slot.upper(): name.upper() for slot, name in cast.items()}


def parts_of_speech(tagged: Tagged) -> list[tuple[str, str]]:
    """Part of speech and chunk of each word, roughly: the columns are part of the format, no reader uses them."""
    columns = []
    for word, label in tagged:
        if not any(character.isalnum() for character in word):
            columns.append((word if word in {".", ",", ":", "(", ")", '"'} else ":", "O"))
            continue
        pos = "CD" if word[0].isdigit() else "NNP" if label != "O" else _POS.get(word.lower(), "NN")
        chunk = _CHUNKS.get(pos, "NP")
        begins = not columns or not columns[-1][1].endswith(chunk)
        columns.append((pos, f"{'B' if begins else 'I'}-{chunk}"))
    return columns


def newswire(random: Random, documents: int, sentences: int, by_hand: tuple[str, ...], seen: set[str]) -> str:
    """A CoNLL-2003-like file: ``documents`` of ``sentences`` each, headline and dateline included.

    Args:
        random: the only source of chance.
        documents: how many.
        sentences: how many in each.
        by_hand: sentences to strew in.
        seen: sentences that stand elsewhere already; none comes twice.
    """
    lines: list[str] = []
    rest = list(by_hand)
    for number in range(documents):
        cast = cast_of(random)
        place, day = cast["LOC1"], f"2031-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d}"
        headline = fill(random, random.choice(words.HEADLINES), cast)
        while headline in seen:
            headline = fill(random, random.choice(words.HEADLINES), cast)
        seen.add(headline)
        body = [headline, f"{place} {day}"]
        templates = list(words.TEMPLATES)
        random.shuffle(templates)
        while len(body) < sentences:
            if rest and number * len(by_hand) >= (len(by_hand) - len(rest)) * documents:
                sentence = fill(random, rest.pop(0), cast)
            else:
                sentence = fill(random, templates.pop(), cast)
            if sentence not in seen:
                seen.add(sentence)
                body.append(sentence)
        lines += ["-DOCSTART- -X- -X- O", ""]
        for sentence in body:
            tagged = tag(sentence)
            for (word, label), (pos, chunk) in zip(tagged, parts_of_speech(tagged), strict=True):
                lines.append(f"{word} {pos} {chunk} {label}")
            lines.append("")
    return "\n".join(lines) + "\n"


def tweets(random: Random, number: int, by_hand: tuple[str, ...], seen: set[str]) -> str:
    """A WNUT17-like file of ``number`` messages."""
    messages = list(by_hand)
    seen.update(by_hand)
    while len(messages) < number:
        message = random.choice(words.TWEETS)
        for kind in ("person", "location", "group", "corporation", "creative-work", "product", "handle", "n"):
            slot = "{work}" if kind == "creative-work" else f"{{{kind}}}"
            while slot in message:
                message = message.replace(slot, _tweet_word(random, kind), 1)
        if message not in seen:
            seen.add(message)
            messages.append(message)
        elif "[" not in message and random.random() < 0.5:
            message = f"{message} @{random.choice(words.HANDLES)}"  # plain chatter needs something that differs
            if message not in seen:
                seen.add(message)
                messages.append(message)
    random.shuffle(messages)
    return "\n".join("".join(f"{word}\t{label}\n" for word, label in tag(message)) for message in messages) + "\n"


def fill(random: Random, template: str, cast: dict[str, str]) -> str:
    """A template with the cast's names and numbers in its slots."""
    return re.sub(r"\{(\w+)\}", lambda slot: cast.get(slot[1]) or str(random.randrange(2, 90)), template)


def _tweet_word(random: Random, kind: str) -> str:
    if kind == "n":
        return str(random.randrange(2, 90))
    if kind == "handle":
        return random.choice(words.HANDLES)
    if kind == "person":
        first, last = random.choice(words.FIRST), random.choice(words.LAST)
        name = random.choice((first, f"{first} {last}", last))
    else:
        names = {
            "location": words.LOC,
            "group": words.GROUP,
            "corporation": words.CORPORATION,
            "creative-work": words.WORK,
            "product": words.PRODUCT,
        }
        name = random.choice(names[kind])
    return f"[{kind} {name.lower() if random.random() < 0.4 else name}]"


def write_english(folder: Path) -> None:
    """Write both English samples below ``folder``."""
    random = Random(1803)
    seen: set[str] = set()
    for name, documents, sentences, part in (
        ("train.txt", 26, 10, "train"),
        ("valid.txt", 10, 9, "valid"),
        ("test.txt", 10, 9, "test"),
    ):
        text = newswire(random, documents, sentences, words.BY_HAND[part], seen)
        _write(folder / "conll2003" / name, text)
    for name, number, part in (
        ("wnut17train.conll", 140, "train"),
        ("emerging.dev.conll", 60, "dev"),
        ("emerging.test.annotated", 60, "test"),
    ):
        _write(folder / "wnut17" / name, tweets(random, number, words.TWEETS_BY_HAND[part], seen))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
