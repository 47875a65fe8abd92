"""Sentences per second of `ner annotate --to` on one core, beside spaCy's and Hugging Face's own ways.

    python benchmarks/annotate.py --language en

Raw sentences in, records out. `ner annotate` works as it does on a collection: a process with the MLflow model gets 32
texts in a call and answers them as JSON, of which this process makes the lines of a shard. It is measured as shipped
(encoder in int8), and with the encoder in fp32 as Hugging Face's pipeline has it. All are timed in turn, round by
round, as by benchmarks/inference.py; threads are equal, by default one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory

from inference import BATCHES, CORPORA, Pass, measure, packaged, sentences, table
from systems import crown_all, make_workspace
from taggers import ADAPTERS, Answer, hugging_face, timed

from multiner.pipeline.bulk.collection import Record
from multiner.pipeline.bulk.output import ModelIdentity, output_record
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.inference.isolated_process import conversation
from multiner.pipeline.registry.lineage import PACKAGE

FP32 = Path(__file__).with_name("rivals") / "torch_ensemble.py"


def annotate(folder: Path, threads: int, stack: ExitStack) -> Answer:
    """`ner annotate` by one process with the MLflow model in ``folder``."""
    ask = stack.enter_context(conversation(folder, threads))
    model = ModelIdentity(folder.name, "", "")

    def answer(texts: Sequence[str]) -> list[str]:
        rows = enumerate(zip(texts, ask(list(texts)), strict=True))
        records = [
            output_record(Record(1, 0, str(number), text), found, model, with_text=True)
            for number, (text, found) in rows
        ]
        return [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]

    return answer


def run(options: argparse.Namespace) -> None:
    """Register both forms of the model in workspaces of their own, measure, print the table."""
    paths, language = Workspace.load(options.profile).paths, options.language
    corpus = options.corpus or CORPORA[language]
    texts = sentences(paths.documents(language) / f"{corpus}.test.jsonl", options.sentences)
    ensembles, trained = {language: paths.ensemble(language).parent}, {language: paths.trained(language)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ner-benchmark-")))
        shipped = crown_all(make_workspace(folder / "int8", ensembles, {}))[language]
        exact = crown_all(make_workspace(folder / "fp32", ensembles, {}, trained), FP32)[language]
        shutil.copytree(PACKAGE, exact / "code" / PACKAGE.name, dirs_exist_ok=True)  # PyTorch's code is not served
        systems = {
            "`ner annotate`": annotate(shipped, options.threads, stack),
            "`ner annotate`, encoder in fp32": annotate(exact, options.threads, stack),
        }
        systems |= hugging_face(str(paths.trained(language)), options.threads, "float32")
        for task in packaged(paths.packages, language):
            if task.environment is None:
                systems |= ADAPTERS[task.adapter][0](**task.arguments)
        passes = {name: passes_of(answer, texts) for name, answer in systems.items()}
        print(f"{len(texts)} sentences of {corpus}.test, {options.threads} threads: {', '.join(systems)}")
        figures = [asdict(figure) for figure in measure(passes, len(texts), options.rounds)]
        print(table({"figures": figures, "versions": {}}))


def passes_of(answer: Answer, texts: Sequence[str]) -> Pass:
    """Passes of a system that has warmed up; `ner annotate` computes in another process, so no processor time."""
    for size in BATCHES:
        answer(texts[:size])
    return lambda size: (timed(answer, texts, size)[0], nan)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", "-l", choices=sorted(CORPORA), default="en")
    parser.add_argument("--corpus", help="take the sentences from this corpus's test part")
    parser.add_argument("--profile", help="of params.yaml; by default the one in force")
    parser.add_argument("--sentences", type=int, default=500, help="sentences a pass (default 500)")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each system (default 5)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each system (default 1)")
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
