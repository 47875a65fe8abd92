"""Predict the spans of prepared documents, as a command in a separate process.

The registry's gate runs it with the copy of this package that is part of a model version. So its options and its
output must not change: JSON Lines with one line ``{"id": …, "spans": [[start, end, label, score]]}`` per document, in
order; start and end count tokens.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from multiner.pipeline.core.document import read_jsonl
from multiner.pipeline.core.files import write_atomically
from multiner.pipeline.core.progress import bar

if TYPE_CHECKING:
    from multiner.pipeline.ensemble.model import Ensemble

CHUNK = 16  # documents per step of the progress bar


def load_ensemble(artifacts: Path) -> Ensemble:
    """Load the ensemble in a model's ``artifacts``: ``ensemble.json`` and one folder per base model."""
    from multiner.pipeline.ensemble.model import Ensemble

    legs = {folder.name: folder for folder in sorted(artifacts.iterdir()) if folder.is_dir()}
    return Ensemble.load(artifacts / "ensemble.json", legs)


def predict_file(model: Path, documents: Path, output: Path) -> None:
    """Write the spans that the MLflow model in the folder ``model`` predicts for a file of documents."""
    ensemble = load_ensemble(model / "artifacts")
    inputs = list(read_jsonl(documents))
    with write_atomically(output) as file, bar(len(inputs), "predict", unit="document") as progress:
        for start in range(0, len(inputs), CHUNK):
            chunk = inputs[start : start + CHUNK]
            for document, prediction in zip(chunk, ensemble.predict(chunk), strict=True):
                spans = [[span.start, span.end, span.label, span.score] for span in prediction.spans]
                file.write(json.dumps({"id": document.id, "spans": spans}, ensure_ascii=False) + "\n")
            progress.update(len(chunk))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m multiner.pipeline.inference.documents", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of an MLflow model")
    parser.add_argument("--documents", type=Path, required=True, help="prepared documents, JSON Lines")
    parser.add_argument("--output", type=Path, required=True, help="spans, JSON Lines")
    options = parser.parse_args()
    predict_file(options.model, options.documents, options.output)


if __name__ == "__main__":
    main()
