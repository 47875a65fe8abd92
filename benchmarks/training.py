"""Training beside Hugging Face's Trainer: same encoder, documents, epochs, steps, precision, learning rate and threads.

    python benchmarks/training.py

Both fine-tune the encoder of the profile light on the same slice of CoNLL-2003 in one run, one after the other, in fp32
and, where the CPU multiplies in it, in bf16. The Trainer's batch is as many sentences as make it take as many steps as
ours. Its classifier learns at the encoder's rate, ours at ten times that. Its other settings are its defaults; it is
timed without an evaluation, ours with that of each epoch. F1 is that of the development slice. Needs the stages
`encoder` and `prepare@en`: dvc repro encoder prepare@en
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from machine import Circumstances
from training_figures import OURS, TRAINER, Figure, table

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.document import Document, read_jsonl
from multiner.pipeline.core.environment import silence_telemetry
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.models.transformer.checkpoint import Checkpoints
from multiner.pipeline.models.transformer.encoders import resolve_encoder
from multiner.pipeline.models.transformer.network import TorchTransformer
from multiner.pipeline.models.transformer.optimisation import mixed_precision
from multiner.pipeline.models.transformer.training import fit

HERE = Path(__file__).resolve().parent
PACKAGES = ("accelerate", "torch", "transformers")


def alone(train: Callable[..., Any], *arguments: Any) -> Any:
    """What a training gives, in a process of its own: accelerate keeps the precision of a process's first one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(train, *arguments).result()


def timed(train: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and seconds of processor time, of a call."""
    began, processor = perf_counter(), process_time()
    train()
    return perf_counter() - began, process_time() - processor


def ours(train: Sequence[Document], choose: Sequence[Document], dev: Sequence[Document], types: list[str], encoder: str,
         options: dict[str, Any], seed: int, folder: Path) -> tuple[tuple[float, float], int, float]:  # fmt: skip
    """Times of the training, which keeps the epoch that is best on ``choose``, its steps, and its F1 on ``dev``."""
    checkpoints = Checkpoints(folder / "checkpoints", "benchmark")
    times = timed(lambda: fit(train, choose, types, encoder=encoder, options=options, seed=seed,
                              checkpoints=checkpoints, folder=folder / "leg", title="ours"))  # fmt: skip
    leg = TorchTransformer.load(folder / "leg")
    return times, read_json(folder / "leg" / "history.json")[-1]["step"], f1(dev, leg.predict(dev), leg.labels)


def trainer(train: Sequence[Document], dev: Sequence[Document], types: list[str], encoder: str,
            options: dict[str, Any], steps: int, seed: int,
            folder: Path) -> tuple[tuple[float, float], int, float]:  # fmt: skip
    """The same by Hugging Face's Trainer, sentence by sentence, in about as many ``steps``."""
    import torch
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    torch.set_num_threads(options["threads"])
    labels = bio_labels(types)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModelForTokenClassification.from_pretrained(encoder, num_labels=len(labels))

    def example(document: Document, start: int, end: int, gold: Sequence[str]) -> dict[str, Any]:
        encoded = tokenizer(document.words(start, end), is_split_into_words=True, truncation=True)
        words = encoded.word_ids()
        firsts = [word is not None and word != before for before, word in zip([None, *words], words, strict=False)]
        encoded["labels"] = [labels.index(gold[start + word]) if first else -100
                             for word, first in zip(words, firsts, strict=True)]  # fmt: skip
        return encoded

    rows = [
        example(document, sentence.start, sentence.end, gold)
        for document in train
        for gold in [encode(document.spans, len(document.tokens))]
        for sentence in document.sentences
    ]
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=options["epochs"], seed=seed, bf16=options["precision"] == "bf16",
        per_device_train_batch_size=ceil(options["epochs"] * len(rows) / steps), use_cpu=True, report_to=[],
        save_strategy="no", learning_rate=options["learning_rate"], weight_decay=options["weight_decay"],
        warmup_steps=options["warmup"],
    )  # fmt: skip
    loop = Trainer(model=model, args=arguments, train_dataset=rows,
                   data_collator=DataCollatorForTokenClassification(tokenizer))  # fmt: skip
    times = timed(loop.train)
    model.eval()
    spans = []
    for document in dev:
        found = torch.zeros(len(document.tokens), len(labels))
        for sentence in document.sentences:
            encoded = tokenizer(document.words(sentence.start, sentence.end), is_split_into_words=True,
                                truncation=True, return_tensors="pt")  # fmt: skip
            with torch.inference_mode():
                chances = model(**encoded.to(model.device)).logits[0].softmax(-1)
            words = encoded.word_ids()
            for at in reversed(range(len(words))):
                if words[at] is not None:
                    found[sentence.start + words[at]] = chances[at]
        spans.append(found.numpy())
    return times, loop.state.global_step, f1(dev, spans, labels)


def f1(documents: Sequence[Document], rows: Sequence[Any], labels: Sequence[str]) -> float:
    """Strict span F1, in percent."""
    return span_f1(documents, [decode_spans(found, document.sentences, labels, scores=False)
                               for document, found in zip(documents, rows, strict=True)])  # fmt: skip


def compare(
    workspace: Workspace, options: dict[str, Any], documents: int, dev_documents: int, epochs: int, threads: int
) -> dict[str, Any]:
    """Train both in each precision, with the ``options`` of a section ``transformer``; the result."""
    folder, types = workspace.paths.documents("en"), workspace.language("en")["types"]
    train = list(read_jsonl(folder / "conll2003.train.jsonl"))[:documents]
    dev = list(read_jsonl(folder / "conll2003.dev.jsonl"))
    choose, dev = dev[dev_documents : dev_documents * 4 // 3], dev[:dev_documents]
    encoder, seed = resolve_encoder(options["encoder"], workspace.paths), workspace.params["seed"]
    options = options | {"repeat": {}, "recase": {}, "epochs": epochs, "threads": threads}
    words = sum(len(document.tokens) for document in train)
    figures, circumstances = [], Circumstances()
    for precision in ["fp32", "bf16"] if mixed_precision("auto") == "bf16" else ["fp32"]:
        options["precision"] = precision
        with TemporaryDirectory(prefix="ner-benchmark-") as temporary:
            own = alone(ours, train, choose, dev, types, encoder, options, seed, Path(temporary) / "ours")
            peer = alone(trainer, train, dev, types, encoder, options, own[1], seed, Path(temporary) / "trainer")
        for name, ((seconds, cpu), steps, score) in ((TRAINER, peer), (OURS, own)):
            figure = Figure(
                name, precision, steps, round(seconds / epochs, 1), round(cpu / epochs, 1),
                round(words * epochs / seconds, 1), round(peer[0][0] / seconds, 2), round(score, 2),
            )  # fmt: skip
            figures.append(asdict(figure))
    return {
        "documents": len(train),
        "dev_documents": len(dev),
        "words": words,
        "epochs": epochs,
        "threads": threads,
        "ratio_to": TRAINER,
        "machine": circumstances.as_json(),
        "versions": {package: version(package) for package in PACKAGES},
        "figures": figures,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=60, help="training documents (default: %(default)s)")
    parser.add_argument("--dev", type=int, default=60, help="development documents (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="of both (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of both (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "training.en.json", help="JSON file")
    options = parser.parse_args()
    silence_telemetry()
    small = Workspace.load("light").section("transformer", "en")
    result = compare(Workspace.load(), small, options.documents, options.dev, options.epochs, options.threads)
    print(table(result))
    write_json(options.output, result)
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
