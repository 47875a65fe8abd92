"""Peak memory of a training's windows: all epochs' held at once against one epoch's at a time, as the training has it.

    python benchmarks/training_memory.py

Each variant makes the windows of all epochs in a process of its own, without a model. Needs the stages `encoder` and
`prepare@en`: dvc repro encoder prepare@en
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections import deque
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import silence_telemetry
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models.training_documents import read_split
from multiner.pipeline.models.transformer.examples import batches, oversample
from multiner.pipeline.models.transformer.network import special_pieces_of
from multiner.pipeline.models.transformer.training import encoder_of
from multiner.pipeline.models.windows import Windower

VARIANTS = {"all epochs": None, "one epoch": 0}  # finished epochs whose windows are kept; None: all


def megabytes() -> float:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(variant: str, language: str, epochs: int) -> dict[str, float]:
    """Memory before and at the peak of a variant, in MB, in this process."""
    from transformers import AutoTokenizer

    workspace = Workspace.load()
    options, types = workspace.section("transformer", language), workspace.language(language)["types"]
    tokenizer = AutoTokenizer.from_pretrained(encoder_of(workspace, language))
    windower = Windower(tokenizer.backend_tokenizer, special_pieces_of(tokenizer), options["max_pieces"])
    documents = oversample(read_split(workspace, language, "train"), options["repeat"])
    before = megabytes()
    each_epoch = (
        batches(documents, windower, bio_labels(types), size=options["batch_pieces"],
                case_augmentation=options["recase"], seed=f"{workspace.params['seed']}/{epoch}")
        for epoch in range(epochs)
    )  # fmt: skip
    deque(each_epoch, maxlen=VARIANTS[variant])
    return {"before": round(before), "peak": round(megabytes()), "windows": round(megabytes() - before)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", default="en", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="write the figures here too, as JSON")
    options = parser.parse_args()
    silence_telemetry()
    if options.variant:
        print(json.dumps(measure(options.variant, options.language, options.epochs)))
        return
    command = [sys.executable, __file__, "--language", options.language, "--epochs", str(options.epochs), "--variant"]
    figures = {
        name: json.loads(subprocess.run([*command, name], check=True, capture_output=True, text=True).stdout)
        for name in VARIANTS
    }
    held, streamed = figures.values()
    figures["ratio"] = {key: round(held[key] / streamed[key], 2) for key in ("windows", "peak")}
    for name, row in figures.items():
        print(f"{name:12} {row}")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
