"""The model that figures are of: read from its files, which may be damaged, and told from others by hashes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import folder_hash, read_json, sha256_of

if TYPE_CHECKING:
    from multiner.pipeline.ensemble.model import Ensemble

VOLATILE = "history.json"  # carries seconds, which differ between equal trainings
FORM = {"language": str, "types": list, "members": list}


def read_description(file: Path) -> dict[str, Any]:
    """What ``ensemble.json`` says of an ensemble: ``language``, ``types``, ``members`` and ``chooser``.

    Raises:
        NerError: it cannot be read, or is damaged.
    """
    try:
        value = read_json(file)
    except OSError as error:
        raise NerError(f"cannot be read: {error.strerror}", where=str(file), remedy="Tune it: dvc repro") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise NerError(f"damaged: {error}", where=str(file), remedy="Tune it again: dvc repro") from None
    if not isinstance(value, dict) or not all(isinstance(value.get(key), kind) for key, kind in FORM.items()):
        raise NerError("not an ensemble's description", where=str(file), remedy="Tune it again: dvc repro")
    return value


def load_ensemble(file: Path, legs: dict[str, Path]) -> Ensemble:
    """The ensemble that ``file`` describes, each leg from its folder.

    Raises:
        NerError: the file is missing or damaged, or goes with other legs or other code.
    """
    from multiner.pipeline.ensemble.model import Ensemble

    read_description(file)
    return Ensemble.load(file, legs)


def leg_hashes(legs: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each leg's files, without those that differ between equal trainings."""
    return {leg: folder_hash(folder, without=[VOLATILE]) for leg, folder in legs.items()}


def model_hash(file: Path, legs: Mapping[str, Path]) -> dict[str, Any]:
    """What tells a model from others: SHA-256 of its ``ensemble.json`` (``file``) and of each leg's folder."""
    return {"ensemble": sha256_of(file), "legs": leg_hashes(legs)}
