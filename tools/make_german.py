"""Write a small German corpus of invented sentences, the same on every run, for docs/tutorials/third_language.md.

Its layout is that of older shared tasks: ISO-8859-1, the token in the second column, tags in IOB1, no document marks.

Run: python tools/make_german.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from samples import listed
from samples.english import tag

SIZES = {"deu.train": 240, "deu.testa": 80, "deu.testb": 80}
FIRST = listed(
    "Jürgen Käthe Anselm Gudrun Björn Sieglinde Volker Wiebke Hartmut Ulrike Dietmar Annegret Götz Frauke Lothar Heike"
)
LAST = listed(
    "Möllenkamp Strohbäcker Wiesengrund Tannhöfer Kührig Ellerbrock Sandvoß Ruhnau Dörfling Haselbach Grützner Oltmann "
    "Pfrommer Zwickert Lübbersen Achternbosch"
)
PLACES = listed(
    "Köln|Würzburg|Österreich|Lübeck|Görlitz|Bad Salzwedel|Thüringen|Münster|Zürich|Düsseldorf|Ulm|Dresden|"
    "Schwäbisch Hall|Polen|Gießen|Osnabrück|Kassel|Norwegen"
)
ORGANISATIONS = listed(
    "Nordbank|Gebrüder Möwe|Verein der Fährleute|Kranich Verlag|Universität Görlitz|Süßwaren Tannhöfer|Hafenwerke|"
    "Bund der Müller|Elbstrom|Kühlhaus Nord|Stiftung Lindenhof|Rheinfähre|Optik Grützner|Spielwerft"
)
OTHERS = listed("Harzer Weinfest|Goldener Anker|Norddeutsche Regatta|Lichterwoche|Preis von Münster|Kieler Radrennen")
TEMPLATES = (
    "{per} , die Vorsitzende von {org} , trat am Dienstag zurück .",
    "{org} will im Frühjahr ein Werk in {loc} eröffnen .",
    "Die Aktien von {org} fielen in {loc} um {n} Prozent .",
    '" Wir haben nichts zu verbergen " , sagte {last} in {loc} .',
    "{per} gewann das Rennen {misc} vor {last} .",
    "In {loc} wurden am Abend {n} Menschen verletzt .",
    "Ein Sprecher von {org} äußerte sich nicht .",
    "{last} flog am Donnerstag von {loc} nach {loc2} .",
    "{per} wurde in {loc} geboren und leitet {org} seit {n} Jahren .",
    "Starker Regen sperrte die Straße zwischen {loc} und {loc2} .",
    "Zum Fest {misc} kamen {n} Gäste aus {loc} .",
    "Die Preise stiegen im vergangenen Jahr nicht .",
    "{org} und {org2} verhandeln wieder über einen Vertrag .",
    "Das Gericht in {loc} gab {per} recht .",
    "Niemand wusste , warum die Züge so spät kamen .",
)
PUNCTUATION = {",": "$,", ".": "$.", '"': "$("}


def sentence(random: Random) -> str:
    """A sentence with its marks, as the English samples have them: ``[PER Käthe Ruhnau] schwieg .``"""
    places, organisations = random.sample(PLACES, 2), random.sample(ORGANISATIONS, 2)
    return random.choice(TEMPLATES).format(
        per=f"[PER {random.choice(FIRST)} {random.choice(LAST)}]",
        last=f"[PER {random.choice(LAST)}]",
        loc=f"[LOC {places[0]}]",
        loc2=f"[LOC {places[1]}]",
        org=f"[ORG {organisations[0]}]",
        org2=f"[ORG {organisations[1]}]",
        misc=f"[MISC {random.choice(OTHERS)}]",
        n=random.randrange(2, 60),
    )


def lines(marked: str) -> list[str]:
    """The lines of a sentence: number, token, part of speech, tag in IOB1 (no entity stands beside one of its type)."""
    tagged = [(word, label.replace("B-", "I-")) for word, label in tag(marked)]
    rows = [
        (str(number), word, PUNCTUATION.get(word, "NE" if label != "O" else "XY"), label)
        for number, (word, label) in enumerate(tagged, 1)
    ]
    return [" ".join(row) for row in rows]


def write_german(folder: Path) -> None:
    """Write the three files of the corpus."""
    random = Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        blocks = ["\n".join(lines(sentence(random))) for _ in range(size)]
        (folder / name).write_text("\n\n".join(blocks) + "\n", encoding="iso-8859-1", newline="\n")


if __name__ == "__main__":
    write_german(Path(sys.argv[1]))
