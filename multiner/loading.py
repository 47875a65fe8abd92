"""A model in this process, or behind a gateway: ``load("ner-en").predict("Ingrid Halvorsen flew to Oslo.")``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from filecmp import cmp
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from multiner.pipeline.core.environment import silence_telemetry
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.extras import needs
from multiner.pipeline.text.span_trimming import visible
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.serving.client.blocking import Client
from multiner.serving.client.connection import AUTO
from multiner.serving.client.results import Entity, Model, Result

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from multiner.pipeline.core.document import Document, Span
    from multiner.pipeline.ensemble.model import Ensemble

PACKAGE = Path(__file__).parent
OTHER_CODE = (
    "It was registered with other code than is installed here: ask the gateway, or register it anew: ner register"
)


class LocalModel:
    """A model in this process, which :func:`load` returns; threads may share it.

    It answers as the gateway does where its version is live and the request names its language. What the gateway adds
    of its own, the ``flags``, is not in the results.
    """

    def __init__(self, ensemble: Ensemble, source: Model) -> None:
        self._ensemble = ensemble
        self.model = source
        self.language: str = ensemble.language
        self.types: tuple[str, ...] = tuple(ensemble.types)

    def __repr__(self) -> str:
        return f"<LocalModel {self.model.name} {self.model.version}>"

    def entities(self, text: str) -> Result:
        """The entities of a text, with offsets in Unicode code points, scores, and what each leg found there."""
        return self._results([text])[0]

    @overload
    def predict(self, texts: str) -> Result: ...  # type: ignore[overload-overlap]  # a str is an Iterable[str], too
    @overload
    def predict(self, texts: Iterable[str]) -> list[Result]: ...
    def predict(self, texts: str | Iterable[str]) -> Result | list[Result]:
        """The result of a text, or of each of several, in order."""
        return self.entities(texts) if isinstance(texts, str) else self._results(list(texts))

    def _results(self, texts: Sequence[str]) -> list[Result]:
        from multiner.pipeline.inference.answers import answers

        results = []
        for text, answer in zip(texts, answers(self._ensemble, texts), strict=True):
            trimmed = (visible(text, entity) for entity in answer["entities"])
            entities = tuple(Entity.from_json(entity, text) for entity in trimmed if entity)
            results.append(Result(text, self.language, self.model, entities))
        return results

    def predict_documents(self, documents: Sequence[Document]) -> list[list[Span]]:
        """The spans of documents over their own tokens; their own spans are not read."""
        inputs = [replace(each, text=without_surrogates(each.text), spans=()) for each in documents]
        return [list(prediction.spans) for prediction in self._ensemble.predict(inputs)]


class EndpointModel:
    """The models behind a gateway: ``entities`` and ``predict`` as in :class:`LocalModel`; a context manager.

    Args:
        endpoint: the gateway's address.
        language: ``auto`` (the script of each sentence decides) or a code.
    """

    def __init__(self, endpoint: str, language: str = AUTO) -> None:
        self._client = Client(endpoint)
        self.language = language

    def __repr__(self) -> str:
        return f"<EndpointModel {self._client.endpoint} {self.language}>"

    def entities(self, text: str) -> Result:
        """The entities of a text. Raises ServiceError if the gateway refuses, fails or does not answer."""
        return self._client.entities(text, self.language)

    @overload
    def predict(self, texts: str) -> Result: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterable[str]) -> list[Result]: ...
    def predict(self, texts: str | Iterable[str]) -> Result | list[Result]:
        """The result of a text, or of each of several, in order; errors: see :meth:`entities`."""
        return self._client.entities(texts, self.language)

    def health(self) -> dict[str, Any]:
        """The gateway's state; errors: see :meth:`entities`."""
        return self._client.health()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@overload
def load(source: Path, version: str | int | None = None) -> LocalModel: ...
@overload
def load(source: str, version: str | int | None = None, language: str | None = None) -> LocalModel | EndpointModel: ...
def load(
    source: str | Path, version: str | int | None = None, language: str | None = None
) -> LocalModel | EndpointModel:
    """A model in this process, with the code that is installed here, or the models behind a gateway.

    A warning says where the model was registered with other code.

    Args:
        source: a name such as ``ner-en`` in the registry of the workspace around the current folder, or in
            ``NER_ROOT``; the folder of an MLflow model; or the address of a gateway, with ``http://``. A string
            without a slash is a folder only where that holds a file MLmodel.
        version: which version of the name; None: the champion.
        language: that a gateway is asked for; None: ``auto``. Other sources have one language.

    Raises:
        NerError: there is no such workspace, name, version or champion; or the model's files are missing or damaged; or
            no gateway answers.
    """
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        if version is not None:
            raise NerError("a gateway has the versions that are live", where=source, remedy="Leave version out.")
        endpoint = EndpointModel(source, language or AUTO)
        endpoint.health()
        return endpoint
    if language is not None:
        raise NerError("a model has its own language", where=str(source), remedy="Leave language out.")
    model, folder = model_source(source, version)
    return _load(folder, model, f"{model.name} version {model.version}" if model.version else model.name)


def finder(model: str | Path, version: str | int | None, language: str) -> Callable[[list[str]], list[Result]]:
    """What gives the results of texts, in order: a gateway, or a model in this process.

    Args:
        model: as :func:`load` takes it; or the address of a gateway, with ``http://`` or ``https://``.
        version: of a registered model; None: the champion.
        language: that a gateway is asked for; ``auto``, or that of the model in this process.

    Raises:
        NerError: there is no such model, its files are missing or damaged, or it has another language.
    """
    if isinstance(model, str) and model.startswith(("http://", "https://")):
        return EndpointModel(model, language).predict
    local = load(model, version)
    if language not in (AUTO, local.language):
        raise NerError(f"the model's language is {local.language}, not {language}", where=str(model),
                       remedy=f"Ask in {local.language}, or load another model.")  # fmt: skip
    return local.predict


def model_source(source: str | Path, version: str | int | None = None) -> tuple[Model, Path]:
    """The name and version that results show, and the folder of the model's files; see :func:`load`.

    Raises:
        NerError: there is no such workspace, name, version, champion or folder of an MLflow model.
    """
    if isinstance(source, str) and os.sep not in source and not (Path(source) / "MLmodel").is_file():
        return _registered(source, version)
    if version is not None:
        raise NerError("a folder has no versions", where=str(source), remedy="Leave version out, or give a name.")
    if not (Path(source) / "MLmodel").is_file():
        raise NerError(
            "this is not the folder of an MLflow model: it holds no file MLmodel",
            where=str(source),
            remedy="Give the folder that holds MLmodel and artifacts, or a name of the registry, such as ner-en.",
        )
    return Model(str(source), ""), Path(source)


@needs("serve")
def _registered(name: str, version: str | int | None) -> tuple[Model, Path]:
    """The version of a name, the champion where none is named, and the folder of its files."""
    import mlflow  # first: the extra serve brings it

    from multiner.pipeline.config.settings import Workspace
    from multiner.pipeline.registry.registration import alias_version, known_version
    from multiner.pipeline.registry.store import CHAMPION, open_store, registry_exists

    workspace = Workspace.load()
    if not registry_exists(workspace):
        raise NerError(
            "there is no registry yet",
            where=str(workspace.paths.mlruns),
            remedy="Train and promote a model: ner run. A folder is given with a slash: ./FOLDER",
        )
    client = open_store(workspace)
    number = alias_version(client, name, CHAMPION) if version is None else known_version(client, name, str(version))
    if number is None:
        raise _absent(client, name, version)
    try:
        return Model(name, number), Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{number}"))
    except (mlflow.MlflowException, OSError) as error:
        raise _damaged(f"its files are not there: {error}", f"{name} version {number}") from error


def _absent(client: MlflowClient, name: str, version: str | int | None) -> NerError:
    """What is raised where the registry has no such name, version or champion."""
    names = sorted(model.name for model in client.search_registered_models())
    if name not in names:
        choices = f"It has: {', '.join(names)}." if names else "It has none yet; train and promote a model: ner run."
        return NerError(
            f"the registry has no model {name!r}", remedy=f"{choices} A folder is given with a slash: ./{name}"
        )
    numbers = sorted(int(each.version) for each in client.search_model_versions(f"name = '{name}'"))
    versions = ", ".join(map(str, numbers)) or "none"
    if version is not None:
        return NerError(f"{name} has no version {version!r}", remedy=f"It has: {versions}.")
    return NerError(
        f"{name} has no champion", remedy=f"Promote one: ner promote; or give a version. It has: {versions}."
    )


def _load(folder: Path, source: Model, where: str) -> LocalModel:
    """The model in a folder.

    Args:
        folder: of an MLflow model.
        source: name and version that results show.
        where: what an error names.
    """
    silence_telemetry()
    with needs("infer"):
        from multiner.pipeline.inference.documents import load_ensemble

        other_code = _other_code(folder / "code" / PACKAGE.name)
        try:
            ensemble = load_ensemble(folder / "artifacts")
        except ModuleNotFoundError:
            raise
        except Exception as error:  # whatever the libraries raise that read weights, JSON and spaCy's folders
            reason = error.message if isinstance(error, NerError) else f"{type(error).__name__}: {error}"
            raise _damaged(reason.partition("\n")[0], where, OTHER_CODE if other_code else "") from error
    if other_code:
        warnings.warn(f"{where}: answers may differ from the gateway's. {OTHER_CODE}", stacklevel=3)
    return LocalModel(ensemble, source)


def _damaged(reason: str, where: str, remedy: str = "") -> NerError:
    remedy = remedy or "Its files are missing or damaged: bring them back, load another version, or register it anew."
    return NerError(f"the model cannot be loaded: {reason}", where=where, remedy=remedy)


def _other_code(code: Path) -> bool:
    """Whether the code that was frozen with a model differs from the code installed here."""
    files = [file for file in code.rglob("*.py") if file != code / "__init__.py"]  # that one is frozen empty
    installed = [PACKAGE / file.relative_to(code) for file in files]
    return not files or not all(
        here.is_file() and cmp(file, here, shallow=False) for file, here in zip(files, installed, strict=True)
    )
