"""Strict F1 of the encoder that answers (int8, ONNX Runtime) beside the same one as trained (fp32, PyTorch).

    python benchmarks/precision.py --language en

On the whole development part of a corpus, the encoder alone. Only figures are printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import read_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models import load_base_model
from multiner.pipeline.models.transformer.export import score
from multiner.pipeline.models.transformer.network import TorchTransformer

CORPORA = {"en": "conll2003", "ru": "factrueval-name"}


def compare(trained: Path, exported: Path, dev: Path, every: int = 1) -> tuple[float, float]:
    """F1 of the trained and of the exported encoder on each ``every``-th document of the file ``dev``, in percent.

    Raises:
        NerError: a leg or the documents are missing.
    """
    for path in (trained, dev):
        if not path.exists():
            raise NerError("not here", where=str(path), remedy="Make it: dvc repro")
    documents = list(read_jsonl(dev))[::every]
    return score(TorchTransformer.load(trained), documents, "fp32"), score(
        load_base_model("transformer", exported), documents, "int8"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", "-l", choices=sorted(CORPORA), default="en")
    parser.add_argument("--corpus", help="whose development part")
    parser.add_argument("--profile", help="of params.yaml; by default the one in force")
    parser.add_argument("--every", type=int, default=1, help="take each n-th document only (default 1: all)")
    parser.add_argument("--transformer", type=Path, help="exported transformer leg, where it lies elsewhere")
    options = parser.parse_args()
    paths, language = Workspace.load(options.profile).paths, options.language
    corpus = options.corpus or CORPORA[language]
    exported = options.transformer or paths.leg(language, "transformer")
    try:
        before, after = compare(
            paths.trained(language), exported, paths.documents(language) / f"{corpus}.dev.jsonl", options.every
        )
    except NerError as error:
        parser.exit(1, f"error: {error}\n")
    print(f"{corpus}.dev: fp32 {before:.2f}, int8 {after:.2f}, difference {after - before:+.2f} F1")


if __name__ == "__main__":
    main()
