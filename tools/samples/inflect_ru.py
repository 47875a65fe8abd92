"""Russian declension of the names in :mod:`samples.words_ru`: six cases by class."""

from __future__ import annotations

ENDINGS = {
    "m": ("", "а", "у", "", "ом", "е"),
    "mь": ("ь", "я", "ю", "ь", "ем", "е"),
    "fа": ("а", "ы", "е", "у", "ой", "е"),
    "fь": ("ь", "и", "и", "ь", "ью", "и"),
    "fия": ("ия", "ии", "ии", "ию", "ией", "ии"),
    "fя": ("я", "и", "е", "ю", "ей", "е"),
    "nо": ("о", "а", "у", "о", "ом", "е"),
    "nие": ("ие", "ия", "ию", "ие", "ием", "ии"),
    "й": ("й", "я", "ю", "я", "ем", "е"),
    "ов": ("", "а", "у", "а", "ым", "е"),
    "ова": ("а", "ой", "ой", "у", "ой", "ой"),
    "ий": ("ий", "ого", "ому", "ого", "им", "ом"),
    "ая": ("ая", "ой", "ой", "ую", "ой", "ой"),
}


def decline(word: str, kind: str) -> tuple[str, ...]:
    """The forms of ``word`` in the order n g d a i p; ``kind`` is a key of ENDINGS, "0" for words that never change."""
    if kind == "0":
        return (word,) * 6
    if kind == "египет":
        return ("Египет", "Египта", "Египту", "Египет", "Египтом", "Египте")
    endings = ENDINGS[kind]
    stem = word[: len(word) - len(endings[0])]
    forms = [stem + ending for ending in endings]
    if kind in {"fа", "fя"} and stem[-1] in "гкхжшчщ":
        forms[1] = stem + "и"
    if kind == "fа" and stem[-1] in "жшчщц":
        forms[4] = stem + "ей"
    return tuple(forms)


def inanimate(word: str, kind: str) -> tuple[str, ...]:
    """The forms of a thing's name: its accusative is its nominative unless it ends in -а or -я."""
    forms = list(decline(word, kind))
    if kind == "й":
        forms[3] = word
    return tuple(forms)


def first_name(name: str, female: bool) -> tuple[str, ...]:
    """The forms of a first name."""
    if name == "Пётр":
        return ("Пётр", "Петра", "Петру", "Петра", "Петром", "Петре")
    if female or name.endswith("а"):
        return decline(name, "fия" if name.endswith("ия") else "fя" if name.endswith("я") else "fа")
    if name.endswith("й"):
        return decline(name, "й")
    forms = list(decline(name, "m"))
    forms[3] = forms[1]
    return tuple(forms)


def surname(name: str, female: bool) -> tuple[str, ...]:
    """The forms of a surname that is given in its masculine form."""
    if name.endswith("ий"):
        return decline(name[:-2] + "ая", "ая") if female else decline(name, "ий")
    return decline(name + "а", "ова") if female else decline(name, "ов")


def patronymic(stem: str, female: bool) -> tuple[str, ...]:
    """The forms of a patronymic on ``stem`` (Иванов → Иванович, Ивановна)."""
    if female:
        return decline(stem + "на", "fа")
    return tuple(stem + "ич" + ending for ending in ("", "а", "у", "а", "ем", "е"))


def noun(word: str, gender: str) -> tuple[str, ...]:
    """The forms of a common noun for a thing."""
    if word == "посёлок":
        return ("посёлок", "посёлка", "посёлку", "посёлок", "посёлком", "посёлке")
    if gender == "f":
        return decline(word, "fия" if word.endswith("ия") else "fа")
    if gender == "n":
        return decline(word, "nо" if word.endswith("о") else "nие")
    return decline(word, "m")
