"""The nominatives that an inflected Russian name may come from, by its ending alone: rather too many than too few."""

from __future__ import annotations

import re

# ending: endings of the nominative that it may stand for
ENDINGS = {
    "ыми": "ые", "ими": "ие", "ами": "ы,а,и", "ями": "и,я", "ого": "ый,ой,ий", "его": "ий,ее", "ому": "ый,ой,ий",
    "ему": "ий,ее", "ией": "ия", "ием": "ий,ие", "ым": ",ый,ой", "им": "ий,", "ом": ",о,ой,ый,ий", "ем": ",й,ь,е,ий",
    "ую": "ая", "юю": "яя", "ой": "а,ая", "ей": "я,а,ия", "ою": "а", "ью": "ь", "ии": "ия,ий", "ию": "ия,ий,ие",
    "ия": "ий,ие", "ья": "ий,ье", "ых": "ые,ый,ой", "их": "ие,ий", "ов": "ы,", "ев": "и,", "ам": "ы,а,и", "ям": "и,я",
    "ах": "ы,а,и", "ях": "и,я", "ы": "а,", "и": "а,я,ь,й,", "у": "а,,о", "ю": "я,ь,й", "е": "а,я,,о,ь,й", "а": ",о",
    "я": "ь,й,е",
}  # fmt: skip
FLEETING = re.compile(r"(?<=[бвгджзклмнпрстфхцчшщ])([клнц])$")  # Павла from Павел, Донца from Донец
PATRONYMIC = re.compile(
    r"(?:[оеь]вич|[оеь]вн|[иы]нич|ичн)(?:[ауеы]|ем|ой|ей)?$|(?:уз|ьм|кит|лук|ил)ьич(?:[ауе]|ом|ем)?$"
)
SHORTEST = 2


def nominatives(word: str) -> tuple[str, ...]:
    """The folded word itself, then the words of which it may be a form."""
    word = word.replace("ё", "е")
    forms = [word]
    for length in (3, 2, 1):
        stem, ending = word[:-length], word[-length:]
        if len(stem) < SHORTEST or ending not in ENDINGS:
            continue
        for nominative in ENDINGS[ending].split(","):
            forms.append(stem + nominative)
            if not nominative and FLEETING.search(stem):
                forms.append(FLEETING.sub(r"е\1", stem))
            if stem == "льв":
                forms.append("лев")
    return tuple(dict.fromkeys(forms))


def is_patronymic(word: str) -> bool:
    """Whether a folded word looks like a patronymic in any case; English leaves them out."""
    return len(word) > 5 and bool(PATRONYMIC.search(word))
