"""Stage ``prepare``: writes the raw corpora of a language as documents, one JSON Lines file per split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from multiner.pipeline.config.corpora import SPLITS, corpora_of, corpus_entry
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, write_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, write_json
from multiner.pipeline.corpora import CorpusSplit, rank, read_split
from multiner.pipeline.corpora.growing import SPLITS as GROWING_SPLITS
from multiner.pipeline.corpora.growing import held_sentences, read_growing, without_held


def limited(documents: Sequence[Document], limit: int | None) -> list[Document]:
    """At most ``limit`` documents, chosen by hash and in their order; all where ``limit`` is None."""
    if limit is None or limit >= len(documents):
        return list(documents)
    ids = set(sorted((document.id for document in documents), key=lambda id: rank(id, "limit"))[:limit])
    return [document for document in documents if document.id in ids]


def of_types(documents: Sequence[Document], types: Sequence[str]) -> tuple[list[Document], Counter[str]]:
    """The documents with entities of ``types`` only, and the number of dropped entities by type."""
    dropped = Counter(span.label for document in documents for span in document.spans if span.label not in types)
    if not dropped:
        return list(documents), dropped
    return [one.with_spans(span for span in one.spans if span.label in types) for one in documents], dropped


def summary(documents: Sequence[Document], dropped: Counter[str], part: CorpusSplit) -> dict[str, Any]:
    """Counts of a prepared split.

    Returns:
        documents, sentences, tokens; entities by type; dropped (entities of types that the language lacks, by type);
        published (documents before the limit); resolution (of overlapping objects, before the limit) or None.
    """
    entities = Counter(span.label for document in documents for span in document.spans)
    return {
        "documents": len(documents),
        "sentences": sum(len(document.sentences) for document in documents),
        "tokens": sum(len(document.tokens) for document in documents),
        "entities": dict(sorted(entities.items())),
        "dropped": dict(sorted(dropped.items())),
        "published": len(part.documents),
        "resolution": asdict(part.resolution) if part.resolution else None,
    }


def table(summaries: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The counts as text, one line per split."""
    rows: list[tuple[str, ...]] = [("corpus", "split", "documents", "sentences", "tokens", "entities", "by type")]
    for corpus, splits in summaries.items():
        for split, counts in splits.items():
            entities = counts["entities"]
            by_type = ", ".join(f"{type_} {count:,}" for type_, count in entities.items())
            figures = [counts["documents"], counts["sentences"], counts["tokens"], sum(entities.values())]
            rows.append((corpus, split, *(f"{figure:,}" for figure in figures), by_type))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) if 2 <= at <= 5 else cell.ljust(width) for at, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def run(workspace: Workspace, language: str) -> None:
    """Write the prepared documents of a language, and ``summary.json`` (corpus → split → counts) beside them.

    This covers every split of each corpus that the language trains on or reports on. Entities of types that the
    language lacks are dropped and counted. A growing corpus has no test part, and may have no documents yet; its
    sentences that a development or test part of the other corpora has are left out and counted.

    Raises:
        NerError: an unknown language or corpus, a missing or malformed file, a split without documents, or two
            documents with one id.
    """
    params = workspace.language(language)
    settings = workspace.params["prepare"]
    summaries: dict[str, dict[str, dict[str, Any]]] = {}
    corpora = corpora_of(params)
    held: set[str] = set()
    with replace_folder(workspace.paths.documents(language)) as folder:
        for corpus in [each for each in corpora if each not in workspace.growing]:
            limits = settings["limit"].get(corpus, {})
            ids: set[str] = set()
            for split in SPLITS:
                entry = corpus_entry(corpus, workspace.corpora)
                raw = workspace.raw_folder(corpus).parent
                part = read_split(raw, entry, split, heldout=settings["heldout"], type_set=params["type_set"])
                documents, dropped = of_types(limited(part.documents, limits.get(split)), params["types"])
                if split != "train":
                    held |= held_sentences(part.documents)
                if not documents:
                    remedy = "Give the corpus more documents, or raise prepare.limit."
                    raise NerError(f"no document for {split}", where=corpus, remedy=remedy)
                if repeated := next((one for one in documents if one.id in ids), None):
                    raise NerError(f"two documents of {corpus} are named {repeated.id}", where=repeated.source)
                ids.update(document.id for document in documents)
                write_jsonl(folder / f"{corpus}.{split}.jsonl", documents)
                summaries.setdefault(corpus, {})[split] = summary(documents, dropped, part)
        for corpus in [each for each in corpora if each in workspace.growing]:
            accepted = list(read_growing(workspace.raw_folder(corpus)).values())
            limits = settings["limit"].get(corpus, {})
            for split in GROWING_SPLITS:
                clean, left_out = without_held([one for one in accepted if one.split == split], held)
                documents, dropped = of_types(limited(clean, limits.get(split)), params["types"])
                write_jsonl(folder / f"{corpus}.{split}.jsonl", documents)
                counts = summary(documents, dropped, CorpusSplit(tuple(clean)))
                summaries.setdefault(corpus, {})[split] = counts | {"left_out": left_out}
        write_json(folder / "summary.json", summaries)
    print(table(summaries))
    for corpus, splits in summaries.items():
        if left_out := sum(counts.get("left_out", 0) for counts in splits.values()):
            print(f"{corpus}: left out {left_out:,} sentences that a development or test part has")
