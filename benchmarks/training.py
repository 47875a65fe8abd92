"""Training throughput beside Hugging Face's Trainer with its defaults: same encoder, documents, epochs and threads.

    python benchmarks/training.py

Both fine-tune the packaged encoder on the same slice of CoNLL-2003 in one run, one after the other; words per second
are the slice's words times epochs by the seconds of the training call, F1 is that of the development slice. Ours takes
fewer and larger steps an epoch, so it is trained again with one more epoch until it is as good as Trainer's: the ratio
at the same F1 compares the seconds to there. Needs the stages `encoder` and `prepare@en`: dvc repro encoder prepare@en
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans, span_f1
from multiner.pipeline.core.document import Document, read_jsonl
from multiner.pipeline.core.environment import silence_telemetry
from multiner.pipeline.core.iob2 import bio_labels, encode
from multiner.pipeline.models.transformer.checkpoint import Checkpoints
from multiner.pipeline.models.transformer.encoders import resolve_encoder
from multiner.pipeline.models.transformer.network import TorchTransformer
from multiner.pipeline.models.transformer.training import fit


def ours(train: Sequence[Document], choose: Sequence[Document], dev: Sequence[Document], types: list[str], encoder: str,
         options: dict[str, Any], seed: int, folder: Path) -> tuple[float, float]:  # fmt: skip
    """Seconds of the training, which keeps the epoch that is best on ``choose``, and its F1 on ``dev``."""
    began = perf_counter()
    fit(train, choose, types, encoder=encoder, options=options, seed=seed,
        checkpoints=Checkpoints(folder / "checkpoints", "benchmark"), folder=folder / "leg", title="ours")  # fmt: skip
    seconds = perf_counter() - began
    leg = TorchTransformer.load(folder / "leg")
    return seconds, f1(dev, leg.predict(dev), leg.labels)


def trainer(train: Sequence[Document], dev: Sequence[Document], types: list[str], encoder: str, epochs: int, seed: int,
            folder: Path) -> tuple[float, float]:  # fmt: skip
    """The same by Hugging Face's Trainer, sentence by sentence, all its settings left at their defaults."""
    import torch
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

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
    arguments = TrainingArguments(output_dir=str(folder), num_train_epochs=epochs, seed=seed, report_to=[],
                                  save_strategy="no", disable_tqdm=False)  # fmt: skip
    loop = Trainer(model=model, args=arguments, train_dataset=rows,
                   data_collator=DataCollatorForTokenClassification(tokenizer))  # fmt: skip
    began = perf_counter()
    loop.train()
    seconds = perf_counter() - began
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
    return seconds, f1(dev, spans, labels)


def f1(documents: Sequence[Document], rows: Sequence[Any], labels: Sequence[str]) -> float:
    """Strict span F1, in percent."""
    return span_f1(documents, [decode_spans(found, document.sentences, labels, scores=False)
                               for document, found in zip(documents, rows, strict=True)])  # fmt: skip


def tell(figures: dict[str, Any], name: str, words: int, epochs: int, seconds: float, score: float) -> None:
    """Print a training's figures and add them to ``figures``."""
    figures[name] = {"epochs": epochs, "seconds": round(seconds, 1), "words_per_second": round(words / seconds, 1),
                     "dev_f1": round(score, 2)}  # fmt: skip
    print(f"{name:16} {seconds:7.1f} s {words / seconds:8.1f} words/s   development F1 {score:.2f}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=150, help="training documents (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of Trainer (default: %(default)s)")
    parser.add_argument("--most-epochs", type=int, default=5, help="epochs of ours at most (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="write the figures here too, as JSON")
    options = parser.parse_args()
    silence_telemetry()
    workspace = Workspace.load()
    folder, types = workspace.paths.documents("en"), workspace.language("en")["types"]
    train = list(read_jsonl(folder / "conll2003.train.jsonl"))[: options.documents]
    dev = list(read_jsonl(folder / "conll2003.dev.jsonl"))
    choose, dev = dev[60:80], dev[:60]
    encoder = resolve_encoder("packaged:e5-small", workspace.paths)
    settings = workspace.section("transformer", "en") | {"repeat": {}}
    words = sum(len(document.tokens) for document in train)
    seed = workspace.params["seed"]
    import torch

    torch.set_num_threads(settings["threads"])
    figures: dict[str, Any] = {"documents": len(train), "words": words, "threads": settings["threads"]}
    with TemporaryDirectory(prefix="ner-benchmark-") as temporary:
        peer = trainer(train, dev, types, encoder, options.epochs, seed, Path(temporary) / "trainer")
        tell(figures, "Trainer", words * options.epochs, options.epochs, *peer)
        for epochs in range(options.epochs, options.most_epochs + 1):
            folder = Path(temporary) / f"ours-{epochs}"
            seconds, score = ours(train, choose, dev, types, encoder, settings | {"epochs": epochs}, seed, folder)
            tell(figures, f"ours, {epochs} epochs", words * epochs, epochs, seconds, score)
            figures.setdefault("ratio", round(peer[0] / seconds, 2))  # the first has Trainer's number of epochs
            if score >= peer[1]:
                figures["ratio_at_same_f1"] = round(peer[0] / seconds, 2)
                break
    same = figures.get("ratio_at_same_f1", f"not reached in {options.most_epochs} epochs")
    print(f"words/s at {options.epochs} epochs: ratio {figures['ratio']}; seconds to Trainer's F1: ratio {same}")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
