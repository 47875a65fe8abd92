"""The files of a trained ensemble: reading them, with a message if they are damaged, and identifying them by hash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import folder_hash, read_json, sha256_of

if TYPE_CHECKING:
    from multiner.pipeline.config.settings import Workspace
    from multiner.pipeline.ensemble.model import Ensemble

VOLATILE = "history.json"  # contains training times, which differ between otherwise equal trainings
REQUIRED = {"language": str, "types": list, "members": list}


def base_model_folders(workspace: Workspace, language: str) -> dict[str, Path]:
    """The folder of each base model of the language's ensemble, by name."""
    return {name: workspace.paths.leg(language, name) for name in workspace.legs(language)}


def read_description(file: Path) -> dict[str, Any]:
    """The content of ``ensemble.json``. Raises NerError if the file cannot be read, or is damaged."""
    try:
        value = read_json(file)
    except OSError as error:
        raise NerError(f"cannot be read: {error.strerror}", where=str(file), remedy="Tune it: dvc repro") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise NerError(f"damaged: {error}", where=str(file), remedy="Tune it again: dvc repro") from None
    if not isinstance(value, dict) or not all(isinstance(value.get(key), kind) for key, kind in REQUIRED.items()):
        raise NerError("not an ensemble's description", where=str(file), remedy="Tune it again: dvc repro")
    return value


def load_ensemble(file: Path, folders: dict[str, Path]) -> Ensemble:
    """Load the ensemble that ``file`` describes, with each base model from its folder.

    Raises:
        NerError: the file is missing or damaged, or belongs to other base models or other code.
    """
    from multiner.pipeline.ensemble.model import Ensemble

    read_description(file)
    return Ensemble.load(file, folders)


def leg_hashes(folders: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of the files of each base model, without those that differ between equal trainings."""
    return {name: folder_hash(folder, without=[VOLATILE]) for name, folder in folders.items()}


def model_hash(file: Path, folders: Mapping[str, Path]) -> dict[str, Any]:
    """The identity of a model: SHA-256 of its ``ensemble.json`` (``file``) and of the folder of each base model."""
    return {"ensemble": sha256_of(file), "legs": leg_hashes(folders)}
