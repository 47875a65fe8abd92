"""The model that a tuning continues: its files, and the trained weights, which only the workspace has.

A version holds its transformer as ONNX, which cannot be trained. The weights that it was exported from lie in the
outputs of the profile. The history of their training is copied along with each export and has its times, so equal
histories mean the same weights.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from multiner.pipeline.annotate import in_registry, registered_model, require_language
from multiner.pipeline.config.settings import Workspace, read_yaml
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.ensemble.identity import read_description
from multiner.pipeline.models.transformer.export import HISTORY
from multiner.pipeline.registry.registration import alias_version
from multiner.pipeline.registry.store import CHAMPION, model_name, open_store, registry_exists

TRANSFORMER = "transformer"


@dataclass(frozen=True)
class StartingModel:
    """A model to continue.

    Attributes:
        name: as messages name it, ``ner-en version 3`` or a folder.
        language: its language.
        types: its entity types.
        ensemble: its ``ensemble.json``.
        legs: the folder of each base model, by name.
        weights: the trained transformer in PyTorch.
    """

    name: str
    language: str
    types: list[str]
    ensemble: Path
    legs: dict[str, Path]
    weights: Path


def starting_model(workspace: Workspace, model: str) -> StartingModel:
    """The model that ``NAME``, ``NAME@ALIAS``, ``NAME@VERSION`` or the folder of an MLflow model means.

    Raises:
        NerError: there is no such model, it has no transformer, or the workspace lacks its trained weights.
    """
    if os.sep in model or (Path(model) / "MLmodel").is_file():
        folder, name = Path(model), model
    else:
        folder, name = _registered(workspace, model)
    if not (folder / "MLmodel").is_file():
        raise NerError("this is not the folder of an MLflow model: it holds no file MLmodel", where=str(folder))
    language = str((read_yaml(folder / "MLmodel").get("metadata") or {}).get("language"))
    workspace.language(language)
    require_language(folder, language)
    artifacts = folder / "artifacts"
    description = read_description(artifacts / "ensemble.json")
    legs = {member["name"]: artifacts / member["name"] for member in description["members"]}
    if description["types"] != (types := workspace.language(language)["types"]):
        raise NerError(
            f"the model has the types {', '.join(description['types'])}; params.yaml has {', '.join(types)}",
            where=f"params.yaml: languages.{language}.types",
        )
    if TRANSFORMER not in legs:
        raise NerError("the model has no transformer to continue", where=name)
    weights = _trained_weights(workspace, language, legs[TRANSFORMER] / HISTORY, name)
    return StartingModel(name, language, description["types"], artifacts / "ensemble.json", legs, weights)


def _registered(workspace: Workspace, model: str) -> tuple[Path, str]:
    """The folder and the name of a registered version, from ``NAME``, ``NAME@ALIAS`` or ``NAME@VERSION``."""
    name, _, alias = model.partition("@")
    names = {model_name(workspace, language): language for language in workspace.languages}
    if name not in names or not registry_exists(workspace):
        raise NerError(
            f"no model {name!r} in the registry",
            remedy=f"Choose one of: {', '.join(names)}; with @ALIAS or @VERSION where it is not the champion. "
            f"A folder is given with a slash: ./{name}",
        )
    alias = alias or CHAMPION
    version = alias if in_registry(alias) else alias_version(open_store(workspace), name, alias)
    if version is None:
        raise NerError(f"{name} has no alias {alias!r}", remedy=f"Give a version or an alias that it has: {name}@3")
    folder, name, version = registered_model(workspace, names[name], version)
    return folder, f"{name} version {version}"


def _trained_weights(workspace: Workspace, language: str, history: Path, name: str) -> Path:
    """The folder of the trained transformer whose export has this history, among the outputs of all profiles."""
    outputs = workspace.root / "data" / "out"
    content = history.read_bytes() if history.is_file() else None
    for folder in sorted(outputs.glob(f"*/{language}/trained/{TRANSFORMER}")):
        if (folder / HISTORY).is_file() and (folder / HISTORY).read_bytes() == content:
            return folder
    place = workspace.paths.trained(language).relative_to(workspace.root)
    raise NerError(
        "the trained weights of this model are not in the workspace: the registry holds only their ONNX export",
        where=name,
        remedy=f"Check out the dvc.lock that it was trained with (lineage/dvc.lock in its MLflow run), then: "
        f"dvc checkout {place} or dvc pull {place}",
    )
