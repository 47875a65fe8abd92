"""``ner annotate``: write predictions for any corpus in the format of that corpus, for scorers of other projects."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from multiner.pipeline.config.settings import Workspace, read_yaml
from multiner.pipeline.core.document import Document, Span
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, write_atomically
from multiner.pipeline.core.progress import bar
from multiner.pipeline.corpora.columns import read_column_file
from multiner.pipeline.corpora.factrueval import document_stems, read_tokenised
from multiner.pipeline.corpora.factrueval_write import annotation_files
from multiner.pipeline.evaluation.predictions import Predictor, chunks

if TYPE_CHECKING:
    pass

CHAMPION = "champion"
Predict = Callable[[Sequence[Document]], list[list[Span]]]


def run(
    workspace: Workspace, language: str, source: Path, output: Path, model: str | None = None, column: int | None = None
) -> tuple[int, int]:
    """Write ``source`` with predicted entities to ``output``; returns the numbers of documents and entities.

    Args:
        workspace: the workspace of the model.
        language: language code.
        source: a column file, or a folder in factRuEval's format (``.txt`` and ``.tokens`` suffice).
        output: a file or folder that does not exist yet.
        model: ``champion``, a version of the registry, or a folder with an ensemble or an MLflow model; None: the
            ensemble of the current profile.
        column: the column of the tokens, from 1; None: the first, unless it evidently holds ids.

    Raises:
        NerError: the language is unknown, the model is missing or for another language, the input is missing or
            malformed (the message names the line), or the output exists.
    """
    workspace.language(language)
    if output.exists() or output.is_symlink():
        raise NerError("the output is there already", where=str(output), remedy="Remove it, or name another.")
    if not source.exists():
        raise NerError("no such file or folder", where=str(source))
    folder = None
    if model:
        folder = registered_model(workspace, language, model)[0] if in_registry(model) else Path(model)
    if folder and (folder / "MLmodel").is_file():
        require_language(folder, language)
        predict: Predict = partial(predict_isolated, folder)
    else:
        predict = lambda documents: predict_here(load(workspace, language, folder), documents)  # noqa: E731
    if source.is_dir():
        if column is not None:
            raise NerError("a folder has no columns", where=str(source), remedy="Leave --column out.")
        return annotate_folder(source, output, predict)
    return annotate_file(source, output, predict, column)


def require_language(folder: Path, language: str) -> None:
    """Refuse an MLflow model that was not registered for ``language``.

    Raises:
        NerError: the model is for another language, or its metadata does not name one.
    """
    file = folder / "MLmodel"
    registered = (read_yaml(file).get("metadata") or {}).get("language")
    if registered != language:
        kind = f"for {registered!r}" if registered else "of no known language"
        raise NerError(f"the model is {kind}, not {language!r}", where=str(file))


def predict_isolated(folder: Path, documents: Sequence[Document]) -> list[list[Span]]:
    """The spans of each document by an MLflow model, in a process with the code that is part of the model.

    Raises:
        NerError: the model does not load or answer.
    """
    from multiner.pipeline.inference import isolated_process

    try:
        with bar(len(documents), "annotate", unit="document") as progress:
            return isolated_process.predict(folder, list(documents), progress.update)
    except isolated_process.ProcessFailed as error:
        raise NerError(f"the model does not answer: {error}", where=str(folder)) from None


def load(workspace: Workspace, language: str, folder: Path | None) -> Predictor:
    """Load the ensemble in ``folder``; None: that of the current profile.

    Raises:
        NerError: the ensemble is missing, damaged, or for another language.
    """
    from multiner.pipeline.ensemble.identity import base_model_folders, load_ensemble

    if folder is None:
        file, legs = workspace.paths.ensemble(language), base_model_folders(workspace, language)
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


def in_registry(model: str) -> bool:
    """Whether ``model`` is ``champion`` or a version's number, not a folder."""
    return model == CHAMPION or model.isdecimal()


def registered_model(workspace: Workspace, language: str, model: str) -> tuple[Path, str, str]:
    """The folder, the name and the version of a language's champion, or of the version ``model`` of its registry.

    Raises:
        NerError: there is no champion, or no such version.
    """
    from multiner.pipeline import registry
    from multiner.pipeline.registry.champions import model_folder, registered_version

    version = (
        registry.champion(workspace, language) if model == CHAMPION else registered_version(workspace, language, model)
    )
    if version is None:
        missing = "no champion" if model == CHAMPION else f"no version {model}"
        raise NerError(
            f"{missing} for {language!r} in the registry",
            remedy=f"Train and promote one: ner register --language {language}",
        )
    return model_folder(version), version.name, version.version


def find_ensemble(folder: Path) -> tuple[Path, dict[str, Path]]:
    """The file of an ensemble and the folders of its base models, in the outputs of a profile or an MLflow model."""
    legs = folder / "legs" if (folder / "legs").is_dir() else folder
    folders = {each.name: each for each in sorted(legs.iterdir()) if each.is_dir()} if legs.is_dir() else {}
    return folder / "ensemble.json", folders


def predict_here(predictor: Predictor, documents: Sequence[Document]) -> list[list[Span]]:
    """The spans of each document by an ensemble, in this process."""
    spans: list[list[Span]] = []
    with bar(sum(len(document.sentences) for document in documents), "annotate", unit="sentence") as progress:
        for chunk in chunks(documents):
            spans += [list(prediction.spans) for prediction in predictor.predict(chunk)]
            progress.update(sum(len(document.sentences) for document in chunk))
    return spans


def annotate_file(source: Path, output: Path, predict: Predict, column: int | None = None) -> tuple[int, int]:
    """Write the column file ``source`` with the predicted IOB2 tags as an additional last column."""
    content = read_column_file(source, column)
    spans = predict(content.documents)
    with write_atomically(output, "wb") as file:
        file.write(content.annotated(spans).encode())
    return len(content.documents), sum(map(len, spans))


def annotate_folder(source: Path, output: Path, predict: Predict) -> tuple[int, int]:
    """Write a factRuEval folder with predicted ``.spans``, ``.objects`` and ``.task1``.

    It also gets unchanged copies of ``.txt`` and ``.tokens``, so that it can be read as a corpus.
    """
    stems = document_stems(source)
    contents = [read_tokenised(stem) for stem in stems]
    spans = predict([document for document, _ in contents])
    numbers = count(1)
    with replace_folder(output) as folder:
        for stem, (document, ids), predicted in zip(stems, contents, spans, strict=True):
            for suffix in (".txt", ".tokens"):
                shutil.copyfile(stem.with_name(stem.name + suffix), folder / f"{stem.name}{suffix}")
            for suffix, content in annotation_files(document.with_spans(predicted), ids, numbers).items():
                (folder / f"{stem.name}{suffix}").write_text(content, encoding="utf-8", newline="\n")
    return len(stems), sum(map(len, spans))
