"""``ner annotate``: predictions for a corpus of anyone's, in the corpus's own format, for others' scorers to score."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path

from multiner.pipeline.config.settings import Workspace, read_yaml
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, write_atomically
from multiner.pipeline.core.progress import bar
from multiner.pipeline.corpora.columns import read_column_file
from multiner.pipeline.corpora.factrueval import document_stems, read_tokenised
from multiner.pipeline.corpora.factrueval_write import annotation_files
from multiner.pipeline.evaluation.predictions import Predictor, chunks

CHAMPION = "champion"
Predict = Callable[[Sequence[Document]], list[list[Span]]]


def run(
    workspace: Workspace, language: str, source: Path, output: Path, model: str | None = None, column: int | None = None
) -> tuple[int, int]:
    """Write ``source`` with predicted entities to ``output``; returns how many documents and entities.

    Args:
        workspace: whose model it is.
        language: its code.
        source: a column file, or a folder in factRuEval's format (``.txt`` and ``.tokens`` suffice).
        output: a file or a folder that is not there yet.
        model: None for the ensemble of the profile in force; ``champion``; or a folder with an ensemble or an MLflow
            model.
        column: of a column file the token's, from 1; None for the first, if it does not evidently hold ids.

    Raises:
        NerError: an unknown language, a missing model or one of another language, a missing or malformed input (names
            the line), or an output that is there already.
    """
    workspace.language(language)
    if output.exists() or output.is_symlink():
        raise NerError("the output is there already", where=str(output), remedy="Remove it, or name another.")
    if not source.exists():
        raise NerError("no such file or folder", where=str(source))
    folder = champion_folder(workspace, language) if model == CHAMPION else Path(model) if model else None
    if folder and (folder / "MLmodel").is_file():
        require_language(folder, language)
        predict: Predict = partial(by_frozen_code, folder)
    else:
        predict = lambda documents: with_bar(load(workspace, language, folder), documents)  # noqa: E731
    if source.is_dir():
        if column is not None:
            raise NerError("a folder has no columns", where=str(source), remedy="Leave --column out.")
        return annotate_folder(source, output, predict)
    return annotate_file(source, output, predict, column)


def require_language(folder: Path, language: str) -> None:
    """Refuse an MLflow model that was not registered for ``language``.

    Raises:
        NerError: it is for another, or does not say for which.
    """
    file = folder / "MLmodel"
    said = (read_yaml(file).get("metadata") or {}).get("language")
    if said != language:
        whose = f"for {said!r}" if said else "of no known language"
        raise NerError(f"the model is {whose}, not {language!r}", where=str(file))


def by_frozen_code(folder: Path, documents: Sequence[Document]) -> list[list[Span]]:
    """The spans of each document by an MLflow model, with the code that was frozen with it.

    Raises:
        NerError: it does not load or answer.
    """
    from multiner.pipeline.inference import isolated_process as fresh

    try:
        with bar(len(documents), "annotate", unit="document") as progress:
            return fresh.predict(folder, list(documents), progress.update)
    except fresh.ProcessFailed as error:
        raise NerError(f"the model does not answer: {error}", where=str(folder)) from None


def load(workspace: Workspace, language: str, folder: Path | None) -> Predictor:
    """The ensemble in ``folder``, by default that of the profile in force.

    Raises:
        NerError: there is none, it is damaged, or it speaks another language.
    """
    from multiner.pipeline.ensemble.identity import load_ensemble

    if folder is None:
        paths = workspace.paths
        file = paths.ensemble(language)
        legs = {leg: paths.leg(language, leg) for leg in workspace.params["ensemble"]["legs"]}
    else:
        file, legs = find_ensemble(folder)
    if not file.is_file():
        raise NerError(
            "no trained ensemble here",
            where=str(file),
            remedy="Train it: dvc repro, or name a model: --model champion, or --model FOLDER.",
        )
    ensemble = load_ensemble(file, legs)
    if ensemble.language != language:
        raise NerError(f"the model is for {ensemble.language!r}, not {language!r}", where=str(file))
    return ensemble


def champion_folder(workspace: Workspace, language: str) -> Path:
    """The files of the champion.

    Raises:
        NerError: there is no champion.
    """
    from multiner.pipeline import registry
    from multiner.pipeline.registry.champions import model_folder

    champion = registry.champion(workspace, language)
    if champion is None:
        raise NerError(
            f"no champion for {language!r} in the registry",
            remedy=f"Train and promote one: ner register --language {language}",
        )
    return model_folder(champion)


def find_ensemble(folder: Path) -> tuple[Path, dict[str, Path]]:
    """The ensemble's file and its legs' folders, in a folder of a profile's outputs."""
    legs = folder / "legs" if (folder / "legs").is_dir() else folder
    found = {each.name: each for each in sorted(legs.iterdir()) if each.is_dir()} if legs.is_dir() else {}
    return folder / "ensemble.json", found


def with_bar(predictor: Predictor, documents: Sequence[Document]) -> list[list[Span]]:
    """The spans of each document, with a progress bar of sentences."""
    found: list[list[Span]] = []
    with bar(sum(len(document.sentences) for document in documents), "annotate", unit="sentence") as progress:
        for group in chunks(documents):
            found += [list(prediction.spans) for prediction in predictor.predict(group)]
            progress.update(sum(len(document.sentences) for document in group))
    return found


def annotate_file(source: Path, output: Path, predict: Predict, column: int | None = None) -> tuple[int, int]:
    """Write the column file ``source`` with its predicted IOB2 tags as a further last column."""
    read = read_column_file(source, column)
    spans = predict(read.documents)
    with write_atomically(output, "wb") as file:
        file.write(read.annotated(spans).encode())
    return len(read.documents), sum(map(len, spans))


def annotate_folder(source: Path, output: Path, predict: Predict) -> tuple[int, int]:
    """Write the documents of a factRuEval folder with predicted ``.spans``, ``.objects`` and ``.task1``.

    ``.txt`` and ``.tokens`` are copied as they are, so that the folder can be read as a corpus.
    """
    stems = document_stems(source)
    read = [read_tokenised(stem) for stem in stems]
    spans = predict([document for document, _ in read])
    numbers = count(1)
    with replace_folder(output) as folder:
        for stem, (document, ids), found in zip(stems, read, spans, strict=True):
            for suffix in (".txt", ".tokens"):
                shutil.copyfile(stem.with_name(stem.name + suffix), folder / f"{stem.name}{suffix}")
            for suffix, content in annotation_files(document.with_spans(found), ids, numbers).items():
                (folder / f"{stem.name}{suffix}").write_text(content, encoding="utf-8", newline="\n")
    return len(stems), sum(map(len, spans))
