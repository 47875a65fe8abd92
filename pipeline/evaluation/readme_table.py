"""The table of results in the README, written from the committed metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    the calibration error of its scores. ``metrics`` has the content of one file per language.
    """
    lines = [
        "| Language | Corpus | System | "
        + " | ".join(title for _, title in COLUMNS)
        + " | Lead in test | ECE in test |",
        "|---|---|---|" + "---:|" * (len(COLUMNS) + 2),
    ]
    notes: list[str] = []
    for language in metrics:
        name = language_name(language["language"])
        for corpus, splits in language["corpora"].items():
            systems = list(next(iter(splits.values())))
            best = {split: max(scores[system]["f1"] for system in scores) for split, scores in splits.items()}
            for system in systems:
                cells = []
                for split, _ in COLUMNS:
                    figure = splits[split][system]["f1"] if split in splits else None
                    text = "" if figure is None else f"{figure:.2f}"
                    cells.append(f"**{text}**" if text and figure == best[split] else text)
                lead = language["significance"][corpus].get("test") if system == ENSEMBLE else None
                error = splits.get("test", {}).get(system, {}).get("calibration", {}).get("ece")
                cells.append(
                    f"{lead['difference']:+.2f} ({lead['low']:+.2f} to {lead['high']:+.2f}), p {lead['p']:.3f}"
                    if lead
                    else ""
                )
                cells.append(f"{error:.3f}" if system == ENSEMBLE and error is not None else "")
                lines.append(f"| {name} | {corpus} | {system} | " + " | ".join(cells) + " |")
        notes.append(
            f"{name}: profile `{language['profile']}`, seed {language['seed']}, {language['threads']} threads, "
            f"{language['precision']}, "
            f"{language['minutes']['total']:.0f} minutes of training the legs, data `{language['data_hash'][:12]}`."
        )
    about = (
        "Strict span F1 in percent (seqeval, strict, IOB2). The gate half of the development part: nothing was fitted "
        "to it; the other half tunes. The test parts only report. Without overlap: without the test sentences that are "
        "also in the training part. WNUT17's six types are mapped to four (corporation and group to ORG, creative-work "
        "and product to MISC), so its figures are not comparable with the shared task's. "
        "Lead: the ensemble's F1 minus that of the leg that is best on this part (95 % interval and p by paired "
        "bootstrap over documents). ECE: expected calibration error of the entities' scores, 15 bins of equal mass. "
        "Minutes: the training of the legs alone. Cross-fitting (`ensemble.folds`) and, for a language that starts "
        "from the weights of another (`transformer.start`), the training of that language come on top. "
        "Reproduce with `dvc repro`, rewrite this table with `ner readme`."
    )
    return "\n".join([*lines, "", about, "", *(f"- {note}" for note in notes)])


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics files of a profile, sorted by language. Raises NerError if there are no files, or one is damaged."""
    files = sorted(folder.glob("*.json"))
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
