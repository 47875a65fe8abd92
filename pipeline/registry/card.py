"""The model card: what a model is, its data, its scores, and its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from multiner.pipeline.config.settings import Workspace, for_language
from multiner.pipeline.registry import lineage
from multiner.pipeline.registry.store import is_trial, model_name
from multiner.pipeline.text.languages import language_name

CARD = "card.md"  # its name among a run's artifacts
TEMPLATE = Path(__file__).with_name("card.md")
SECTION = re.compile(r"(?m)^## Behaviour\n\n(?:(?!## )[^\n]*\n)*")


def model_card(workspace: Workspace, language: str, metrics: dict[str, Any]) -> str:
    """The card of a language's model in Markdown, from the parameters and the figures of the evaluation."""
    settings = workspace.language(language)
    params = for_language(workspace.params, language)
    trial = "\n\n**A trial of the machinery on few documents: its scores mean nothing and it must not be used.**"
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=model_name(workspace, language),
        language_name=language_name(language),
        types=", ".join(settings["types"]),
        legs=", ".join(params["ensemble"]["legs"]),
        profile=workspace.profile,
        commit=metrics.get("commit") or "unknown",
        data_hash=metrics.get("data_hash") or "unknown",
        seed=metrics.get("seed", workspace.params.get("seed")),
        trial=trial if is_trial(workspace.profile) else "",
        scores=score_table(metrics, params["ensemble"]["legs"]),
        intervals=interval_table(metrics),
        thresholds=threshold_table(metrics),
        data=data_list(workspace, language),
        encoder=params["transformer"]["encoder"],
        start=" (trained on the documents of another language first)" if workspace.start_corpora(language) else "",
        vectors=params["spacy"]["vectors"],
        shipped=shipped_note(params),
    )


def shipped_note(params: dict[str, Any]) -> str:
    """The card's sentence on a pretrained base model; empty where there is none."""
    name = params.get("shipped", {}).get("pipeline") if "shipped" in params["ensemble"]["legs"] else None
    return f" The leg `shipped` is the pretrained pipeline `{name}`, used as published." if name else ""


def score_table(metrics: dict[str, Any], legs: Sequence[str]) -> str:
    """A Markdown table of test F1 by corpus: of the ensemble, of its ``legs``, and of the ensemble by type."""
    columns = ["ensemble", *legs]
    rows = [f"| corpus | {' | '.join(columns)} | ensemble by type |", "|---" * (len(columns) + 2) + "|"]
    for corpus, splits in metrics.get("corpora", {}).items():
        for split, systems in splits.items():
            if not split.startswith("test"):
                continue
            label = corpus if split == "test" else f"{corpus}, {split.replace('_', ' ')}"
            figures = [f"{systems[system]['f1']:.2f}" if system in systems else "" for system in columns]
            types = systems.get("ensemble", {}).get("per_type", {})
            by_type = ", ".join(f"{type_} {value['f1']:.1f}" for type_, value in types.items())
            rows.append(f"| {label} | {' | '.join(figures)} | {by_type} |")
    return "\n".join(rows)


def interval_table(metrics: dict[str, Any]) -> str:
    """A Markdown table of the ensemble's test figures by corpus, with 95 % intervals."""
    rows = ["| corpus | entities | precision | recall | F1 minus that of the best leg |", "|---|---:|---|---|---|"]
    for corpus, splits in metrics.get("corpora", {}).items():
        scores = splits.get("test", {}).get("ensemble", {})
        if not scores.get("support"):
            continue
        right = round(scores["recall"] / 100 * scores["support"])
        predicted = round(right / scores["precision"] * 100) if scores["precision"] else 0
        lead = metrics.get("significance", {}).get(corpus, {}).get("test")
        difference = f"{lead['difference']:+.2f} ({lead['low']:+.2f} to {lead['high']:+.2f})" if lead else ""
        cells = [corpus, str(scores["support"]), _rate(right, predicted), _rate(right, scores["support"]), difference]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) if len(rows) > 2 else "Not measured."


def _rate(right: int, total: int) -> str:
    """A share in percent, with Wilson's interval."""
    from scipy.stats import binomtest

    if not total:
        return ""
    interval = binomtest(right, total).proportion_ci(method="wilson")
    return f"{100 * right / total:.2f} ({100 * interval.low:.2f} to {100 * interval.high:.2f})"


def threshold_table(metrics: dict[str, Any]) -> str:
    """A Markdown table of the ensemble's calibration by corpus, and of its score thresholds by precision."""
    head = ("corpus", "ECE", "Brier", "wanted", "score from", "gate precision", "gate recall", "gate entities left")
    rows = [f"| {' | '.join((*head, 'test precision', 'test recall', 'by type'))} |", "|---" * (len(head) + 3) + "|"]
    for corpus, systems in metrics.get("thresholds", {}).items():
        test = metrics["corpora"][corpus].get("test", {}).get("ensemble", {}).get("calibration", {})
        errors = [_number(test.get(name), 4) for name in ("ece", "brier")]
        for precision, limit in systems.get("ensemble", {}).items():
            if not limit or "gate" not in limit:  # of an older release, found on documents that the model was fitted to
                continue
            cells = [corpus, *errors, f"{precision} %"]
            cells.append(_threshold(limit["score"]))
            cells += [_number((limit["gate"] or {}).get(name), 2) for name in ("precision", "recall", "share")]
            cells += [_number((limit["test"] or {}).get(name), 2) for name in ("precision", "recall")]
            cells.append(", ".join(f"{type_} {_threshold(score)}" for type_, score in limit["types"].items()))
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) if len(rows) > 2 else "Not measured."


def _threshold(score: float | None) -> str:
    return "not reached" if score is None else f"{score:.4f}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def with_behaviour(card: str, rates: Mapping[str, float], cases: int) -> str:
    """The card with these pass rates (percent) as its section on behaviour."""
    rows = ["| capability | passed |", "|---|---:|", *(f"| {name} | {rate:.1f} % |" for name, rate in rates.items())]
    text = f"{cases} small tests with invented names (CheckList), as the gate before promotion uses them:\n\n"
    text += "\n".join(rows)
    return SECTION.sub(lambda _: f"## Behaviour\n\n{text}\n\n", card, count=1)


def data_list(workspace: Workspace, language: str) -> str:
    """A Markdown list of a language's corpora with licence, role and DVC hash."""
    settings = workspace.language(language)
    roles = dict.fromkeys(settings["report_on"], "reported on") | dict.fromkeys(settings["train_on"], "trained on")
    lines = []
    for corpus in lineage.corpora_behind(workspace, language):
        role = roles.get(corpus, "its encoder was trained on it first")
        folder = workspace.raw_folder(corpus)
        tracked = folder.with_name(f"{folder.name}.dvc")
        if corpus in workspace.growing:
            title, licence = "texts taken in by `ner pull` and `ner corpus import`", "as their owner states"
        elif folder.parent != workspace.paths.raw:
            title, licence = f"invented samples in the form of {folder.name}", "MIT"
        else:
            entry = workspace.corpora[corpus]
            title, licence = entry.title or corpus, entry.licence
        digest = f", DVC hash `{lineage.dvc_hash(tracked)}`" if tracked.is_file() else ""
        lines.append(f"- `{corpus}` ({role}): {title}; licence: {licence}{digest}")
    return "\n".join(lines)
