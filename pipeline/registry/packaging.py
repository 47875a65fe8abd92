"""The ensemble as an MLflow model: code as files, weights as ONNX, spaCy folders and JSON; no pickle."""

from __future__ import annotations

import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.files import replace_folder
from multiner.pipeline.inference.cancelled_calls import CALL, CANCEL
from multiner.pipeline.registry.lineage import ENTRY_POINTS, MODEL_CODE, PACKAGE, code_closure

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

SERVED_WITH = (
    *("mlflow", "navec", "numpy", "onnxruntime", "pandas", "pymorphy3", "pymorphy3-dicts-ru"),
    *("razdel", "slovnet", "spacy", "threadpoolctl", "tokenizers"),
)
EXAMPLES = {
    "en": "Ada Sterling of Northwind Labs flew from Lisbon to Oslo.",
    "ru": "Анна Северцева из компании «Ладога» прилетела из Томска в Самару.",
}


def log_model(run_id: str, name: str, workspace: Workspace, language: str, code: Path = MODEL_CODE) -> str:
    """Log the ensemble of a language as a pyfunc of the run and register it; returns the new version.

    The model holds a copy of the code that answers, so that later changes of the code do not change its answers.
    ``code`` is the file that gives MLflow the model; benchmarks use others.
    """
    import mlflow

    with mlflow.start_run(run_id=run_id), TemporaryDirectory() as folder:
        logged = mlflow.pyfunc.log_model(name="model", **_content(workspace, language, code, Path(folder)))
    tags = {"language": language, "profile": workspace.profile}
    registered = mlflow.register_model(logged.model_uri, name, tags=tags)
    return str(registered.version)


def save_model(path: Path, workspace: Workspace, language: str) -> None:
    """Write the ensemble of a language as the folder of an MLflow model, without a registry; whole or absent."""
    import mlflow

    with replace_folder(path) as new, TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(new, **_content(workspace, language, MODEL_CODE, Path(folder)))


def _content(workspace: Workspace, language: str, code: Path, folder: Path) -> dict[str, Any]:
    """What MLflow takes for a model; ``folder`` gets the copy of the code."""
    import pandas as pd

    paths = workspace.paths
    legs = {leg: str(paths.leg(language, leg)) for leg in workspace.legs(language)}
    return {
        "python_model": str(code),
        "artifacts": {"ensemble": str(paths.ensemble(language)), **legs},
        "code_paths": [str(freeze_code(folder, code))],
        "signature": signature(),
        "input_example": pd.DataFrame({"text": [EXAMPLES.get(language, EXAMPLES["en"])]}),
        "pip_requirements": requirements(),
        "metadata": {"language": language, "profile": workspace.profile},
    }


def freeze_code(folder: Path, code: Path = MODEL_CODE) -> Path:
    """Copy the modules that a served model imports into ``folder``, below a package of the project's name.

    Args:
        folder: where the package is made.
        code: the file that gives MLflow the model; what it imports is copied, too.
    """
    package = folder / PACKAGE.name
    for path in (each for each in code_closure({*ENTRY_POINTS, code}) if each.is_relative_to(PACKAGE)):
        target = package / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (package / "__init__.py").touch()
    return package


def requirements() -> list[str]:
    """The packages that serving needs, in the versions installed here, without build tags such as ``+cpu``."""
    pins = []
    for package in SERVED_WITH:
        with suppress(PackageNotFoundError):
            pins.append(f"{package}=={version(package).split('+')[0]}")
    return pins


def signature() -> ModelSignature:
    """Input: a column ``text``. Output: entities with every base model's opinion, and tokens on request."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Map, Object, Property

    text, number, position = DataType.string, DataType.double, DataType.long

    def record(*, required: bool = True, **kinds: Any) -> Object:
        return Object([Property(name, kind, required) for name, kind in kinds.items()])

    opinion = record(label=text, score=number, start=position, end=position, required=False)
    entity = record(start=position, end=position, text=text, label=text, score=number, legs=Map(opinion))
    token = record(start=position, end=position, text=text, probabilities=Map(number))
    return ModelSignature(
        inputs=Schema([ColSpec(text, "text")]),
        outputs=Schema([ColSpec(Array(entity), "entities"), ColSpec(Array(token), "tokens", required=False)]),
        params=ParamSchema(
            [ParamSpec("tokens", DataType.boolean, False), ParamSpec(CALL, text, ""), ParamSpec(CANCEL, text, "")]
        ),
    )
