"""Training a spaCy CNN pipeline from a spaCy config, with early stopping on development documents."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core import locks
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.files import replace_folder, write_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.core.progress import bar
from multiner.pipeline.core.training_failures import memory_advice, require_finite
from multiner.pipeline.models.pretrained.installation import install
from multiner.pipeline.models.training_documents import read_training

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.training import Example
    from spacy.vocab import Vocab

CONFIG = Path(__file__).with_name("spacy.cfg")
HISTORY = "history.json"


def config_overrides(types: Sequence[str], language: str, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """The settings of the spaCy config that params.yaml decides, by dotted names.

    Args:
        types: entity types.
        language: language code.
        params: the section ``spacy`` of params.yaml for the language.
        seed: seed of all random choices.
    """
    return {
        "nlp.lang": language,
        "system.seed": seed,
        "components.bio_tagger.model.tok2vec.encode.width": params["width"],
        "components.bio_tagger.model.tok2vec.encode.depth": params["depth"],
        "initialize.components.bio_tagger.labels": bio_labels(types),
        "training.max_epochs": params["epochs"],
        "training.patience": params["patience"],
        "training.dropout": params["dropout"],
        "training.batcher.size.start": params["batch_words"]["start"],
        "training.batcher.size.stop": params["batch_words"]["stop"],
    }


def examples(documents: Iterable[Document], vocab: Vocab) -> Iterator[Example]:
    """One spaCy example per sentence, on the gold tokens; a span that crosses a sentence border is left out."""
    from spacy.tokens import Span
    from spacy.training import Example

    from multiner.pipeline.models.spacy.component import to_doc, units

    for document in documents:
        for start, end in units(document):
            gold = to_doc(document, start, end, vocab)
            inside = [span for span in document.spans if start <= span.start and span.end <= end]
            gold.set_ents([Span(gold, span.start - start, span.end - start, label=span.label) for span in inside])
            yield Example(to_doc(document, start, end, vocab), gold)


def fit(
    train: Sequence[Document],
    dev: Sequence[Document],
    types: Sequence[str],
    *,
    language: str,
    vectors: Path | None,
    params: dict[str, Any],
    seed: int,
    folder: Path,
) -> None:
    """Train a pipeline, and write it with its history to ``folder`` (whole or absent).

    The weights are those of the epoch with the best strict span F1 on ``dev``, as the mean over its corpora; without
    development documents, those of the last epoch. The same seed gives the same weights.

    Args:
        train, dev: documents with gold spans.
        types: entity types.
        language: language code of spaCy.
        vectors: folder of a spaCy pipeline with static vectors; None: the network goes without.
        params: the section ``spacy`` of params.yaml for the language.
        seed: seed of all random choices.
        folder: the folder of the pipeline.

    Raises:
        Diverged: the loss is no finite number.
    """
    from spacy.util import fix_random_seed, load_config, load_model_from_config

    from multiner.pipeline.models.spacy.component import tagger_of

    fix_random_seed(seed)
    overrides = config_overrides(types, language, params, seed)
    if vectors is None:
        overrides["components.bio_tagger.model.tok2vec.embed.include_static_vectors"] = False
    config = load_config(CONFIG, overrides=overrides)
    nlp = load_model_from_config(config, auto_fill=True)
    nlp.config["initialize"]["vectors"] = str(vectors) if vectors else None
    training = list(examples(train, nlp.vocab))
    nlp.initialize(lambda: training)
    parts = [[each for each in dev if each.corpus == corpus] for corpus in sorted({each.corpus for each in dev})]
    weights, history = _optimise(nlp, training, [list(examples(part, nlp.vocab)) for part in parts])

    # A new pipeline, so that the vocabulary written to disk contains no word of the corpora.
    from spacy.training.initialize import load_vectors_into_model

    clean = load_model_from_config(config, auto_fill=True)
    if vectors:
        load_vectors_into_model(clean, str(vectors))
    tagger_of(clean).from_bytes(weights, exclude=["vocab"])
    with replace_folder(folder) as temporary:
        clean.to_disk(temporary)
        write_json(temporary / HISTORY, history)


def _optimise(nlp: Language, training: list[Example], dev: list[list[Example]]) -> tuple[bytes, list[dict[str, Any]]]:
    """The best weights (the bytes of the component), and the history with one entry per epoch; ``dev`` by corpus."""
    from spacy.schemas import ConfigSchemaTraining
    from spacy.util import registry

    from multiner.pipeline.models.spacy.component import NAME, tagger_of

    options = registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
    optimizer, batcher = options["optimizer"], options["batcher"]
    words = sum(len(example.reference) for example in training)
    weights, best, best_epoch, step = b"", -1.0, 0, 0
    history: list[dict[str, Any]] = []
    start_time = monotonic()
    with bar(words * options["max_epochs"], f"spaCy {nlp.lang}", unit="word") as progress:
        for epoch in range(1, options["max_epochs"] + 1):
            random.shuffle(training)
            losses: dict[str, float] = {}
            for batch in batcher(training):
                nlp.update(batch, drop=options["dropout"], sgd=optimizer, losses=losses)
                optimizer.step_schedules()
                step += 1
                progress.update(sum(len(example.reference) for example in batch))
            loss = losses.get(NAME, 0.0) / max(words, 1)
            remedy = f"Perhaps the static vectors hold such numbers: dvc repro --force vectors@{nlp.lang}"
            require_finite(loss, f"epoch {epoch}", where="params.yaml: spacy", remedy=remedy)
            with nlp.use_params(optimizer.averages):
                score = _f1(nlp, dev)
                if score >= best:  # of epochs with equal F1 the later one
                    weights = tagger_of(nlp).to_bytes(exclude=["vocab"])
                if score > best or not dev:
                    best, best_epoch = score, epoch
            seconds = round(monotonic() - start_time, 3)
            history.append({"step": step, "epoch": epoch, "loss": loss, "dev_f1": score, "seconds": seconds})
            progress.set_postfix(loss=f"{loss:.4f}", dev_f1=f"{score:.2f}", epoch=epoch)
            if epoch - best_epoch >= options["patience"]:
                break
    return weights, history


def _f1(nlp: Language, dev: list[list[Example]]) -> float:
    """Strict span F1 in percent by spaCy's scorer, as the mean over corpora; 0 without development documents."""
    return sum(100.0 * (nlp.evaluate(corpus)["ents_f"] or 0.0) for corpus in dev) / max(len(dev), 1)


def run(workspace: Workspace, language: str) -> None:
    """Stage ``train_spacy``: train on the train parts, with early stopping on the tune halves.

    If params.yaml sets ``spacy.pipeline`` for the language, that pretrained pipeline is installed instead.
    """
    folder = workspace.paths.leg(language, "spacy")
    if pipeline := workspace.section("spacy", language)["pipeline"]:
        types = workspace.language(language)["types"]
        where = f"params.yaml: languages.{language}.spacy.pipeline"
        install(pipeline, types, folder, packages=workspace.paths.packages, where=where)
        return
    train, dev = read_training(workspace, language)
    train_model(workspace, language, train, dev, folder=folder)


def train_model(
    workspace: Workspace, language: str, train: Sequence[Document], dev: Sequence[Document], *, folder: Path,
    name: str = "spacy",
) -> None:  # fmt: skip
    """Train with the parameters of a language, and write the pipeline to ``folder``.

    Args:
        workspace, language: parameters and paths.
        train: documents with gold spans to train on.
        dev: documents with gold spans; the epoch with the best F1 on them is written.
        folder: the folder of the pipeline, which is replaced as a whole.
        name: name of the lock, which one training holds at a time.

    Raises:
        NerError: the memory does not suffice, the loss is no finite number, or another training holds the lock.
    """
    types = workspace.language(language)["types"]
    lock = workspace.paths.checkpoints(language, name).with_suffix(".lock")
    params = workspace.section("spacy", language)
    with locks.hold(lock, locks.TRAINING), memory_advice("batch_words, width or depth", "spacy.batch_words"):
        fit(
            train,
            dev,
            types,
            language=language,
            vectors=workspace.paths.vectors(language) if params["vectors"] else None,
            params=params,
            seed=workspace.params["seed"],
            folder=folder,
        )
