"""Does the check of live traffic see drift where there is some, and how often where there is none?

    python benchmarks/drift.py [--out FOLDER]

The reference is that of the trained English model, of CoNLL-2003 alone: its training and development documents, and
what the model finds in the latter. Weeks of traffic are drawn, with replacement, from CoNLL-2003's test documents (no
drift), from WNUT17's test posts (drift) and from mixtures of both; the week before is drawn from CoNLL-2003's too.
Predictions are those that the evaluation wrote: no model runs. Needs the outputs of dvc repro.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, read_jsonl
from multiner.pipeline.drift.comparison import (
    TRAINING,
    WEEK_BEFORE,
    Thresholds,
    compare,
    judged,
    pooled,
    stability_index,
)
from multiner.pipeline.drift.reference import build, predicted_traits
from multiner.pipeline.drift.sketch import EntityTraits, Sketch, add_entities, add_text, merged

NEWS, POSTS = "conll2003", "wnut17"
WEEKS_A_YEAR = 52
SIZES = (200, 1000)  # texts in a week
SHARES = (0.1, 0.2, 0.3, 0.5)  # of posts among news
Answered = list[tuple[str, list[EntityTraits]]]  # texts with what the model finds in them


def answered(out: Path, corpus: str, split: str) -> tuple[list[Document], Answered]:
    """The documents of a part, and their texts with the model's entities."""
    documents = list(read_jsonl(out / "documents" / f"{corpus}.{split}.jsonl"))
    entities = predicted_traits(documents, out / "report" / "predictions" / f"{corpus}.{split}.jsonl")
    return documents, [(document.text, found) for document, found in zip(documents, entities, strict=True)]


def sentences(documents: Sequence[Document], texts: Answered) -> Answered:
    """Each sentence as a text of its own."""
    alone: Answered = []
    for document, (text, entities) in zip(documents, texts, strict=True):
        for sentence in document.sentences:
            start, end = document.tokens[sentence.start].start, document.tokens[sentence.end - 1].end
            inside = [entity for entity in entities if start <= entity.start < end]
            moved = [EntityTraits(each.start - start, each.label, each.score, each.agreement) for each in inside]
            alone.append((text[start:end], moved))
    return alone


@dataclass
class Texts:
    """The counts of each text as a row of ``rows``; a week of them is the sum of some rows."""

    keys: list[tuple[str, int]]
    rows: np.ndarray

    @classmethod
    def of(cls, sketches: Sequence[Sketch]) -> Texts:
        """The rows of these sketches, one a text."""
        keys = sorted({key for sketch in sketches for key in sketch.counts})
        return cls(keys, np.array([[sketch.counts.get(key, 0.0) for key in keys] for sketch in sketches]))

    def draw(self, number: int, chance: np.random.Generator) -> Sketch:
        """The sketch of ``number`` texts drawn with replacement."""
        rows = np.bincount(chance.integers(len(self.rows), size=number), minlength=len(self.rows))
        return Sketch(number, dict(zip(self.keys, (rows @ self.rows).tolist(), strict=True)))

    def halves(self, chance: np.random.Generator) -> tuple[Texts, Texts]:
        """The texts in two halves, by chance."""
        order = chance.permutation(len(self.rows))
        middle = len(order) // 2
        return Texts(self.keys, self.rows[order[:middle]]), Texts(self.keys, self.rows[order[middle:]])

    def total(self) -> Sketch:
        """The sketch of all texts."""
        return Sketch(len(self.rows), dict(zip(self.keys, self.rows.sum(axis=0).tolist(), strict=True)))


def sketched(texts: Answered, known: frozenset[int], types: Sequence[str]) -> Texts:
    """The counts of texts as the gateway takes them."""
    sketches = []
    for text, entities in texts:
        sketch = Sketch(1)
        add_entities(sketch, add_text(sketch, text, known), entities, types)
        sketches.append(sketch)
    return Texts.of(sketches)


def alarm(live: Sketch, reference: Sketch, before: Sketch, thresholds: Thresholds) -> bool:
    """Whether the check of a week finds a drift, as `ner drift` makes it; quick where no shift is large."""
    pairs = [
        (live.histogram(name), side.histogram(name))
        for name in live.measures()
        for side in (reference, before)
        if name != "length" or side is before  # against the training it decides nothing
    ]
    if not any(all(map(sum, pair)) and stability_index(*pooled(*pair)) >= thresholds.psi for pair in pairs):
        return False
    shifts = [
        *compare(live, reference, TRAINING, thresholds.texts),
        *compare(live, before, WEEK_BEFORE, thresholds.texts),
    ]
    return any(shift.drifted for shift in judged(shifts, thresholds))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="outputs of the trained English model; by default the workspace's")
    parser.add_argument("--weeks", type=int, default=1000, help="simulated weeks of each row")
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args()
    workspace = Workspace.load()
    out = options.out or workspace.paths.out("en")
    types, settings = workspace.language("en")["types"], workspace.params["drift"]
    thresholds = Thresholds(settings["min_texts"], settings["min_psi"], settings["max_p"])
    chance = np.random.default_rng(options.seed)

    train = list(read_jsonl(out / "documents" / f"{NEWS}.train.jsonl"))
    documents, dev = answered(out, NEWS, "dev")
    reference = build(train, [(document, found) for document, (_, found) in zip(documents, dev, strict=True)], types)
    documents, test = answered(out, NEWS, "test")
    known = reference.vocabulary
    news, posts = sketched(test, known, types), sketched(answered(out, POSTS, "test")[1], known, types)
    alone, development = sketched(sentences(documents, test), known, types), sketched(dev, known, types)
    training = build(train, [], types).sketch

    print("| all of | texts | measures that have drifted | largest PSI |\n|---|---:|---|---:|")
    for name, part in ((f"{NEWS} test", news), (f"{POSTS} test", posts)):
        shifts = [each for each in judged(compare(part.total(), reference.sketch, TRAINING, 1), thresholds)
                  if each.measure != "length"]  # fmt: skip
        largest, drifted = max(shifts, key=lambda each: each.psi), [each.measure for each in shifts if each.drifted]
        print(
            f"| {name} | {len(part.rows):,} | {', '.join(drifted) or 'none'} | {largest.psi:.2f} ({largest.measure}) |"
        )

    def equal(number: int) -> bool:
        """The check of a week of development documents that the reference does not have."""
        own, others = development.halves(chance)
        sketch = own.total()
        sketch.merge(training)
        return alarm(others.draw(number, chance), sketch, others.draw(number, chance), thresholds)

    def drawn(number: int, share: float = 0.0, texts: Texts = news) -> bool:
        """The check of a week with a share of posts."""
        many = round(share * number)
        live = merged([texts.draw(number - many, chance), posts.draw(many, chance)])
        return alarm(live, reference.sketch, texts.draw(number, chance), thresholds)

    calm = {
        f"{NEWS} dev against another half of it": equal,
        f"{NEWS} test": drawn,
        f"{NEWS} test, sentence by sentence": lambda number: drawn(number, texts=alone),
    }
    mixed = {f"{share:.0%} posts": lambda number, share=share: drawn(number, share) for share in SHARES}
    every = {f"{POSTS} test": lambda number: drawn(number, 1.0)}
    print("\n| weeks of | texts a week | weeks | with an alarm | alarms a year |\n|---|---:|---:|---:|---:|")
    for name, week in (calm | mixed | every).items():
        weeks = options.weeks if name in calm else max(20, options.weeks // 10)
        for number in SIZES:
            alarms = sum(week(number) for _ in range(weeks))
            yearly = f"{WEEKS_A_YEAR * alarms / weeks:.2f}" if name in calm else ""
            print(f"| {name} | {number:,} | {weeks:,} | {100 * alarms / weeks:.1f} % | {yearly} |", flush=True)


if __name__ == "__main__":
    main()
