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
from pathlib import Path
from tempfile import TemporaryDirectory

from inference import CORPORA, Answer, hugging_face, measure, natasha, sentences, spacy_shipped, table, texts
from systems import crown_all, make_workspace

from multiner.pipeline.bulk.collection import Record
from multiner.pipeline.bulk.output import ModelIdentity, output_record
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.inference.isolated_process import conversation
from multiner.pipeline.registry.lineage import PACKAGE

FP32 = Path(__file__).with_name("rivals") / "torch_ensemble.py"


def annotate(folder: Path, threads: int, stack: ExitStack) -> Answer:
    """`ner annotate` by one process with the MLflow model in ``folder``."""
    ask = stack.enter_context(conversation(folder, threads))
    model = ModelIdentity(folder.name, "", "")

    def answer(documents: Sequence[Document]) -> list[str]:
        rows = zip(documents, ask(texts(documents)), strict=True)
        records = [
            output_record(Record(1, 0, document.id, document.text), found, model, with_text=True)
            for document, found in rows
        ]
        return [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]

    return answer


def run(options: argparse.Namespace) -> None:
    """Register both forms of the model in workspaces of their own, measure, print the table."""
    paths, language = Workspace.load(options.profile).paths, options.language
    corpus = options.corpus or CORPORA[language]
    documents = sentences(paths.documents(language) / f"{corpus}.test.jsonl", options.sentences)
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
        systems |= hugging_face(paths.trained(language), options.threads)
        systems |= spacy_shipped(paths.packages) if language == "en" else natasha(paths.packages)
        print(f"{len(documents)} sentences of {corpus}.test, {options.threads} threads: {', '.join(systems)}")
        print(table(measure(systems, documents, options.rounds)))


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
