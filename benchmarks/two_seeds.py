"""The ensemble beside two seeds of the encoder averaged, which cost twice the encoder's time at every text.

    python benchmarks/two_seeds.py --language ru

Trains the transformer once more with another seed (a killed training goes on; --second takes a trained folder instead),
averages the probabilities of both, and writes the figures to metrics/<profile>/two_seeds/<language>.json. Needs the
whole graph's outputs: dvc repro
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.decoding import decode_spans
from multiner.pipeline.core.document import documents_hash, read_jsonl
from multiner.pipeline.core.environment import silence_telemetry
from multiner.pipeline.core.files import write_json
from multiner.pipeline.ensemble.cross_fitting import fingerprint
from multiner.pipeline.ensemble.identity import base_model_folders
from multiner.pipeline.ensemble.model import Ensemble
from multiner.pipeline.evaluation.predictions import predict
from multiner.pipeline.evaluation.scores import score, span_counts
from multiner.pipeline.evaluation.significance import paired_bootstrap
from multiner.pipeline.models.training_documents import read_training
from multiner.pipeline.models.transformer.network import TorchTransformer
from multiner.pipeline.models.transformer.training import train_model


def second_seed(workspace: Workspace, language: str) -> Path:
    """The transformer trained with the next seed; trained where none of these data and parameters is there yet."""
    other = replace(workspace, params=workspace.params | {"seed": workspace.params["seed"] + 1})
    train, dev = read_training(other, language)
    made_of = fingerprint(other, language, ["transformer"], train, dev)
    folder = workspace.paths.checkpoints(language, "second_seed") / f"leg-{made_of}"
    if not folder.is_dir():
        train_model(other, language, train, dev, folder=folder, name="second_seed")
    return folder


def figures(workspace: Workspace, language: str, second: Path) -> dict[str, Any]:
    """F1 of each seed, of both averaged and of the ensemble, by corpus and split, and the ensemble's lead."""
    seeds = [TorchTransformer.load(folder) for folder in (workspace.paths.trained(language), second)]
    ensemble = Ensemble.load(workspace.paths.ensemble(language), base_model_folders(workspace, language))
    types, seed = workspace.language(language)["types"], workspace.params["seed"]
    found: dict[str, Any] = {"seeds": [seed, seed + 1], "corpora": {}}
    for corpus in workspace.language(language)["train_on"]:
        for split in ("dev", "test"):
            documents = list(read_jsonl(workspace.paths.documents(language) / f"{corpus}.{split}.jsonl"))
            rows = [leg.predict(documents) for leg in seeds]
            both = [(one + other) / 2 for one, other in zip(*rows, strict=True)]
            systems = {
                name: [decode_spans(each, document.sentences, seeds[0].labels)
                       for document, each in zip(documents, by_document, strict=True)]
                for name, by_document in (("first seed", rows[0]), ("second seed", rows[1]), ("two seeds", both))
            }  # fmt: skip
            systems["ensemble"] = predict(ensemble, documents)["ensemble"]
            lead = paired_bootstrap(span_counts(documents, systems["two seeds"]),
                                    span_counts(documents, systems["ensemble"]), resamples=1000, seed=seed)  # fmt: skip
            scores = {name: score(documents, spans, types)["f1"] for name, spans in systems.items()}
            found["corpora"].setdefault(corpus, {})[split] = scores | {
                "data_hash": documents_hash(documents),
                "ensemble_over_two_seeds": {name: round(value, 4) for name, value in asdict(lead).items()},
            }
            print(corpus, split, *(f"{name} {value:.2f}" for name, value in scores.items()), sep="   ")
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", required=True, help="language code")
    parser.add_argument("--second", type=Path, help="folder of a transformer trained with another seed")
    options = parser.parse_args()
    silence_telemetry()
    workspace = Workspace.load()
    second = options.second or second_seed(workspace, options.language)
    path = workspace.paths.metrics(options.language).parent / "two_seeds" / f"{options.language}.json"
    write_json(path, figures(workspace, options.language, second))


if __name__ == "__main__":
    main()
