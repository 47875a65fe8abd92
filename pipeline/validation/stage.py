"""Stage ``validate``: checks the raw corpora of a language; a breach stops the run before training.

It checks the whole corpora, also where a profile trains on a part of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from multiner.pipeline.config.corpora import SPLITS, Corpus, corpora_of, corpus_entry
from multiner.pipeline.config.settings import Workspace, read_yaml
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, write_json
from multiner.pipeline.corpora import read_corpus
from multiner.pipeline.corpora.growing import SPLITS as GROWING_SPLITS
from multiner.pipeline.corpora.growing import held_sentences, read_growing, without_held
from multiner.pipeline.validation import expected as counts
from multiner.pipeline.validation.checks import LanguageCorpora, all_checks
from multiner.pipeline.validation.docs import finish
from multiner.pipeline.validation.expected import Expected
from multiner.pipeline.validation.gate import Breach, SuiteResult, run_checks

SHOWN_ROWS = 10


def layout_of(corpus: Corpus) -> dict[str, list[str]]:
    """The splits in each published part of a corpus. A part is a file or a folder, which two splits may share."""
    by_file: dict[str, list[str]] = {}
    for split, file in corpus.parts.items():
        by_file.setdefault(file, []).append(split)
    return {splits[0] if len(splits) == 1 else Path(file).stem: splits for file, splits in by_file.items()}


def read(workspace: Workspace, language: str) -> LanguageCorpora:
    """Every corpus and split of a language; a reader's errors are collected, not raised.

    A growing corpus comes without the sentences that a development or test part of the others has, as it trains.
    """
    params = workspace.language(language)
    type_set = params["type_set"]
    names = [corpus for corpus in corpora_of(params) if corpus not in workspace.growing]
    entries = {name: corpus_entry(name, workspace.corpora) for name in names}
    maps = {corpus: entry.map_to(type_set) for corpus, entry in entries.items()}
    labels = {corpus: list(dict.fromkeys(label for label in types.values() if label)) for corpus, types in maps.items()}
    heldout = workspace.params["prepare"]["heldout"]
    splits, refused = {}, {}
    for corpus, entry in entries.items():
        raw = workspace.raw_folder(corpus).parent
        for split in SPLITS:
            try:
                splits[corpus, split] = read_corpus(raw, entry, split, heldout=heldout, type_set=type_set)
            except NerError as error:
                where = (error.where or corpus).removeprefix(f"{raw}/")
                refused[corpus, split] = NerError(error.message, where=where, remedy=error.remedy)
    layouts = {corpus: layout_of(entry) for corpus, entry in entries.items()}
    held = held_sentences(one for (_, split), part in splits.items() if split != "train" for one in part)
    for corpus in [each for each in corpora_of(params) if each in workspace.growing]:
        layouts[corpus] = {"accepted": list(GROWING_SPLITS)}
        try:
            accepted, _ = without_held(list(read_growing(workspace.raw_folder(corpus)).values()), held)
            splits |= {(corpus, split): [one for one in accepted if one.split == split] for split in GROWING_SPLITS}
        except NerError as error:
            refused |= {(corpus, split): error for split in GROWING_SPLITS}
    shares = {corpus: entry.share for corpus, entry in entries.items() if entry.share}
    return LanguageCorpora(params, labels, layouts, splits, refused, shares)


def run(workspace: Workspace, language: str, *, folder: Path = counts.FOLDER) -> None:
    """Validate the corpora of a language; write ``report.json`` and the Data Docs into ``paths.validation``.

    The expected counts are in ``folder``; the bundled samples have none.

    Raises:
        NerError: a breach (names the rows), after report and Data Docs are written.
    """
    corpora = read(workspace, language)
    type_set = workspace.language(language)["type_set"]
    expected = Expected() if workspace.bundled else counts.load(folder).in_types(type_set)
    checks = all_checks(corpora, language, expected, read_yaml(counts.FOLDER / "bounds.yaml"))
    target = workspace.paths.validation(language)
    with replace_folder(target) as temporary:
        docs = temporary / "docs"
        docs.mkdir()
        results = run_checks(checks, docs, run_name=language)
        finish(docs, language, results)
        write_json(temporary / "report.json", report(language, corpora, results))
    index = target / "docs" / "index.html"
    shown = index.relative_to(workspace.root) if index.is_relative_to(workspace.root) else index
    total = sum(result.expectations for result in results)
    breaches = [breach for result in results for breach in result.breaches]
    if breaches:
        first = breaches[0]
        raise NerError(
            f"validation stops the run: {len(breaches)} of {total} expectations of the {language} corpora do not hold\n"
            + "\n".join(line for breach in breaches for line in describe(breach)),
            where=first.rows[0] if first.rows else first.suite,
            remedy=f"The Data Docs show the rows: {shown}\n"
            "  Mend the corpus or restore it (ner pull). If the new counts are meant: ner validate --accept",
        )
    rows = sum(result.rows for result in results)
    print(f"{language}: {total} expectations in {len(results)} suites hold over {rows:,} rows. Data Docs: {shown}")


def describe(breach: Breach) -> Iterator[str]:
    """A breach for the terminal: the message, the first rows, and the number of further ones."""
    yield f"  {breach.suite}: {breach.message}"
    shown = breach.rows[:SHOWN_ROWS]
    if shown:
        more = max(breach.count, len(shown)) - len(shown)
        yield f"    at {', '.join(shown)}" + (f" and {more:,} more" if more else "")


def report(language: str, corpora: LanguageCorpora, results: Sequence[SuiteResult]) -> dict[str, Any]:
    """The content of ``report.json``, without times: equal data must give an equal file."""
    breaches = [breach for result in results for breach in result.breaches]
    return {
        "language": language,
        "passed": not breaches,
        "suites": [
            {
                "name": result.name,
                "passed": result.passed,
                "rows": result.rows,
                "expectations": result.expectations,
                "breaches": len(result.breaches),
            }
            for result in results
        ],
        "breaches": [asdict(breach) for breach in breaches],
        "counts": {
            corpus: {name: asdict(part) for name, part in counts.measure_corpus(corpora.parts(corpus))[0].items()}
            for corpus in corpora.layouts
        },
    }


def accept(workspace: Workspace, language: str, *, folder: Path = counts.FOLDER) -> None:
    """Make the current counts of a language's corpora the expected ones.

    If the language uses a set of types, only the counts by type are stored; the other counts are those of the usual
    types.

    Raises:
        NerError: a corpus cannot be read, or the workspace holds the bundled samples.
    """
    if workspace.bundled:
        raise NerError(
            "the bundled samples have no expected counts",
            where=str(workspace.raw),
            remedy="Choose a profile of the real corpora.",
        )
    corpora = read(workspace, language)
    for error in corpora.refused.values():
        raise error
    old = counts.load(folder) if (folder / "expected.yaml").is_file() else Expected()
    measured = {corpus: counts.measure_corpus(corpora.parts(corpus)) for corpus in corpora.labels}
    if (type_set := corpora.language["type_set"]) is not None:
        by_type = {
            corpus: {name: part.types for name, part in parts.items()} for corpus, (parts, _) in measured.items()
        }
        counts.save(replace(old, sets={**old.sets, type_set: by_type}), folder)
        print(f"entities of {', '.join(by_type)} counted in the types {type_set}")
        return
    training = corpora.merged(corpora.language["train_on"], "train", "dev") or []
    test = corpora.merged(corpora.language["report_on"], "test") or []
    leaked = counts.measure_part(test, {"training": training}).overlaps["training"]
    counts.save(
        Expected(
            {**old.parts, **{corpus: parts for corpus, (parts, _) in measured.items()}},
            {**old.repeats, **{corpus: repeats for corpus, (_, repeats) in measured.items()}},
            {**old.test_in_training, language: leaked},
            old.sets,
        ),
        folder,
    )
    for corpus, (parts, _) in measured.items():
        for name, part in parts.items():
            before = old.parts.get(corpus, {}).get(name)
            change = "unchanged" if before == part else "new" if before is None else "changed"
            print(f"{corpus} {name}: {part.sentences:,} sentences, {part.entities:,} entities ({change})")
