"""The table of results in the README, written from the committed metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_atomically
from multiner.pipeline.evaluation.predictions import ENSEMBLE
from multiner.pipeline.text.languages import language_name

START, END = "<!-- results -->", "<!-- /results -->"
COLUMNS = (("dev_gate", "Gate-half F1"), ("test", "Test F1"), ("test_without_overlap", "Test F1 without overlap"))


def table(metrics: Iterable[Mapping[str, Any]]) -> str:
    """The table as Markdown, with notes: one row per corpus and system, the best F1 of a corpus in bold.

    The row of the ensemble also has its lead over the best base model on this test part, with the 95 % interval, and
    the calibration error of its scores. ``metrics`` has the content of one file per language and seed, those of the
    seed that the models are of first: further seeds have a table of their own.
    """
    by_language: dict[str, list[Mapping[str, Any]]] = {}
    for each in metrics:
        by_language.setdefault(each["language"], []).append(each)
    lines = [
        "| Language | Corpus | System | "
        + " | ".join(title for _, title in COLUMNS)
        + " | Lead in test | ECE in test |",
        "|---|---|---|" + "---:|" * (len(COLUMNS) + 2),
    ]
    notes: list[str] = []
    for language, *_ in by_language.values():
        name = language_name(language["language"])
        for corpus, splits in language["corpora"].items():
            systems = list(next(iter(splits.values())))
            label = corpus_label(corpus, splits)
            best = {split: max(scores[system]["f1"] for system in scores) for split, scores in splits.items()}
            for system in systems:
                cells = []
                for split, _ in COLUMNS:
                    figure = splits[split][system]["f1"] if split in splits else None
                    text = "" if figure is None else f"{figure:.2f}"
                    six = splits[split][system].get("six_types") if text and split == "test" else None
                    cells.append((f"**{text}**" if text and figure == best[split] else text)
                                 + (f" (6 types: {six['f1']:.2f})" if six else ""))  # fmt: skip
                lead = language["significance"][corpus].get("test") if system == ENSEMBLE else None
                error = splits.get("test", {}).get(system, {}).get("calibration", {}).get("ece")
                cells.append(
                    f"{lead['difference']:+.2f} ({lead['low']:+.2f} to {lead['high']:+.2f}), p {lead['p']:.3f}"
                    if lead
                    else ""
                )
                cells.append(f"{error:.3f}" if system == ENSEMBLE and error is not None else "")
                lines.append(f"| {name} | {label} | {system} | " + " | ".join(cells) + " |")
        notes.append(
            f"{name}: profile `{language['profile']}`, seed {language['seed']}, {language['threads']} threads, "
            f"{language['precision']}, "
            f"{language['minutes']['total']:.0f} minutes of training the legs, data `{language['data_hash'][:12]}`."
        )
    about = (
        "Strict span F1 in percent (seqeval, strict, IOB2). The gate half of the development part: nothing was fitted "
        "to it; the other half tunes. The test parts only report. Without overlap: without the test sentences that are "
        "also in the training part. WNUT17's six types are mapped to four (corporation and group to ORG, creative-work "
        "and product to MISC), so its figures are not comparable with the shared task's. 6 types: the same predictions "
        "scored by the six; each ORG or MISC counts as the one of its types that is commonest in the training part. "
        "Lead: the ensemble's F1 minus that of the leg that is best on this part (95 % interval and p by paired "
        "bootstrap over documents). ECE: expected calibration error of the entities' scores, 15 bins of equal mass. "
        "Minutes: the training of the legs alone. Cross-fitting (`ensemble.folds`) and the training on another "
        "language's documents first (`transformer.start`) come on top. "
        "Reproduce with `dvc repro`, rewrite this table with `ner readme`."
    )
    seeds = seed_table(by_language.values())
    return "\n".join([*lines, "", about, "", *(f"- {note}" for note in notes), *seeds])


def corpus_label(corpus: str, splits: Mapping[str, Any]) -> str:
    """The corpus's name, for WNUT17 with the number of types that its figures are of."""
    scores: Mapping[str, Any] = next(iter(splits.get("test", {}).values()), {})
    return f"{corpus} ({len(scores['per_type'])} types)" if "six_types" in scores else corpus


def seed_table(by_language: Iterable[Sequence[Mapping[str, Any]]]) -> list[str]:
    """The lines of a table of the ensemble's figures over several seeds, mean and range; none for one seed."""
    rows, notes = [], []
    for runs in by_language:
        if len(runs) < 2:
            continue
        name = language_name(runs[0]["language"])
        for corpus, splits in runs[0]["corpora"].items():
            scores = [[run["corpora"][corpus][split][ENSEMBLE] for run in runs] for split in ("dev_gate", "test")]
            leads = [lead["difference"] for run in runs if (lead := run["significance"][corpus].get("test"))]
            errors = [each["calibration"]["ece"] for each in scores[1] if each["calibration"]["ece"] is not None]
            cells = [
                *(_mean_and_range([each["f1"] for each in part], ".2f") for part in scores),
                _mean_and_range(leads, "+.2f"),
                _mean_and_range(errors, ".3f"),
            ]
            rows.append(f"| {name} | {corpus_label(corpus, splits)} | " + " | ".join(cells) + " |")
        runs_of = ", ".join(f"{run['seed']} (commit `{(run['commit'] or 'unknown')[:8]}`)" for run in runs)
        notes.append(f"- {name}: seeds {runs_of}.")
    if not rows:
        return []
    head = "| Language | Corpus | Gate-half F1 | Test F1 | Lead in test | ECE in test |"
    about = "The ensemble over all seeds: mean (lowest to highest). Seeds of different commits differ in code, too."
    return ["", head, "|---|---|---:|---:|---:|---:|", *rows, "", about, "", *notes]


def _mean_and_range(values: Sequence[float], form: str) -> str:
    if not values:
        return ""
    return f"{sum(values) / len(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics files of a profile, sorted by language, then those of further seeds in ``seed*/``.

    Raises NerError if there are no files, or one is damaged.
    """
    files = sorted(folder.glob("*.json"))
    files += sorted(folder.glob("seed*/*.json")) if files else []
    if not files:
        raise NerError("no metrics to show", where=str(folder), remedy="Run `dvc repro` first.")
    metrics = []
    for file in files:
        try:
            metrics.append(read_json(file))
        except ValueError as error:  # a conflict of a merge, for one
            remedy = "Write it anew: dvc repro"
            raise NerError(f"no valid JSON: {error}", where=str(file), remedy=remedy) from None
    return metrics


def renew(text: str, content: str, where: str = "README.md") -> str:
    """Replace what stands between the markers. Raises NerError if they are missing or in the wrong order."""
    before, opening, rest = text.partition(START)
    _, closing, after = rest.partition(END)
    if not opening or not closing:
        raise NerError(
            f"no place for the results: expected {START} and, below it, {END}",
            where=where,
            remedy="Put the two markers where the table belongs.",
        )
    return f"{before}{START}\n{content}\n{END}{after}"


def update(readme: Path, metrics_dir: Path, *, check: bool = False) -> bool:
    """Bring the README's table up to date with the metrics files in ``metrics_dir`` (``metrics/<profile>``).

    Returns whether the table was out of date; with ``check`` nothing is written. Raises NerError if there are no
    metrics, or no markers.
    """
    text = readme.read_text(encoding="utf-8")
    renewed = renew(text, table(read_metrics(metrics_dir)), str(readme))
    if renewed != text and not check:
        with write_atomically(readme) as file:
            file.write(renewed)
    return renewed != text
