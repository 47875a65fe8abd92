"""Parameters (params.yaml overlaid by params/<profile>.yaml) and the catalogue of every path of a workspace."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiner.pipeline.config.yaml_source import dotted, read_source
from multiner.pipeline.core.errors import NerError

UNADDRESSABLE = "%?"  # MLflow and Airflow cannot be given a SQLite database whose path holds one of these


def find_root(start: Path | None = None) -> Path:
    """The workspace: the folder in ``NER_ROOT``, else the nearest one upwards that holds params.yaml and dvc.yaml.

    Raises:
        NerError: there is none, or its path holds a character that no database's address can.
    """
    if named := os.environ.get("NER_ROOT"):
        candidates = [Path(named).resolve()]
    else:
        here = (start or Path.cwd()).resolve()
        candidates = [here, *here.parents]
    for folder in candidates:
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            if wrong := next((each for each in UNADDRESSABLE if each in str(folder)), None):
                raise NerError(
                    f"the workspace's path holds {wrong!r}, which the addresses of its databases cannot",
                    where=str(folder),
                    remedy="Rename or move the folder: registry and artifacts follow the move.",
                )
            return folder
    raise NerError(
        "no workspace found: no params.yaml with a dvc.yaml beside it",
        where=str(candidates[0]),
        remedy="Change into a clone of the project, or set NER_ROOT to one.",
    )


def overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``top`` in their place; mappings merge, everything else replaces."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def for_language(params: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The parameters as they count for a language: its own mappings go before the sections of their names.

    ``languages`` holds that language's corpora and types alone.
    """
    settings = params["languages"][language]
    own = {key: value for key, value in settings.items() if isinstance(value, dict)}
    corpora = {key: value for key, value in settings.items() if key not in own}
    return overlay(dict(params), own) | {"languages": corpora}


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping.

    Raises:
        NerError: the file is missing, is no YAML, is no mapping, or has a key twice.
    """
    source = read_source(path)
    if source.doubled:
        key, line = source.doubled[0]
        raise NerError(f"the key {dotted(key)} stands twice", where=f"{path}:{line}", remedy="Leave one of them.")
    return source.values


def load_params(root: Path, profile: str | None = None) -> dict[str, Any]:
    """The parameters of ``profile`` (by default the one that params.yaml names), as the schema allows them.

    Raises:
        NerError: an unreadable file, an unknown profile, or mistakes in the parameters, all of them told.
    """
    base = read_source(root / "params.yaml", "params.yaml")
    profile = profile or base.values.get("profile")
    known = sorted(file.stem for file in (root / "params").glob("*.yaml"))
    if profile not in known:
        line = f":{base.lines['profile',]}" if ("profile",) in base.lines else ""
        remedy = f"Choose one of: {', '.join(known)}."
        raise NerError(f"unknown profile {profile!r}", where=f"params.yaml{line}: profile", remedy=remedy)
    from multiner.pipeline.config.checks import check  # pydantic: only where there are parameters to check

    top = read_source(root / "params" / f"{profile}.yaml", f"params/{profile}.yaml")
    params = overlay(base.values, top.values) | {"profile": profile}
    check(params, [base, top], root)
    return params


@dataclass(frozen=True)
class Paths:
    """Where everything lies, for one workspace and profile."""

    root: Path
    profile: str

    @property
    def raw(self) -> Path:
        """The corpora as published, a folder each, tracked by DVC."""
        return self.root / "data" / "raw"

    @property
    def packages(self) -> Path:
        """Weights and vectors that packages ship, tracked by DVC."""
        return self.raw / "packages"

    def encoder(self, name: str) -> Path:
        """A packaged encoder as a Hugging Face folder, shared by all profiles."""
        return self.root / "data" / "encoders" / name

    def vectors(self, language: str) -> Path:
        """spaCy's static vectors for a language, shared by all profiles."""
        return self.root / "data" / "vectors" / language

    def out(self, language: str) -> Path:
        """All outputs of a profile for a language."""
        return self.root / "data" / "out" / self.profile / language

    def documents(self, language: str) -> Path:
        """Prepared documents: ``<corpus>.<train|dev|test>.jsonl``."""
        return self.out(language) / "documents"

    def validation(self, language: str) -> Path:
        """The validation report and its Data Docs."""
        return self.out(language) / "validation"

    def trained(self, language: str) -> Path:
        """The transformer as training left it, in PyTorch; the leg ``transformer`` is exported from it."""
        return self.out(language) / "trained" / "transformer"

    def leg(self, language: str, name: str) -> Path:
        """A leg as it answers."""
        return self.out(language) / "legs" / name

    def out_of_fold(self, language: str) -> Path:
        """What legs say of training documents that they were trained without."""
        return self.out(language) / "out_of_fold"

    def ensemble(self, language: str) -> Path:
        """Calibration and weights of the ensemble, JSON."""
        return self.out(language) / "ensemble.json"

    def report(self, language: str) -> Path:
        """Error report, plots and predictions of the evaluation."""
        return self.out(language) / "report"

    def checkpoints(self, language: str, leg: str) -> Path:
        """Where a training keeps its checkpoints: outside DVC's outputs, which DVC deletes before a run."""
        return self.root / "data" / "checkpoints" / self.profile / language / leg

    def metrics(self, language: str) -> Path:
        """The committed figures."""
        return self.root / "metrics" / self.profile / f"{language}.json"

    @property
    def review(self) -> Path:
        """Sentences that people have corrected, a CoNLL file a language; of all profiles."""
        return self.root / "data" / "review"

    @property
    def mlruns(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlruns"

    @property
    def run(self) -> Path:
        """State of running services: process ids, ports, logs."""
        return self.root / ".run"


@dataclass(frozen=True)
class Workspace:
    """A workspace with its resolved parameters."""

    root: Path
    params: dict[str, Any]

    @property
    def profile(self) -> str:
        """The profile in force."""
        return str(self.params["profile"])

    @property
    def paths(self) -> Paths:
        """The catalogue of paths for the profile in force."""
        return Paths(self.root, self.profile)

    @property
    def raw(self) -> Path:
        """Folder of the raw corpora: the pulled ones, or the bundled samples."""
        return self.root / str(self.params["prepare"].get("raw", "data/raw"))

    @property
    def bundled(self) -> bool:
        """Whether the bundled samples stand for the published corpora."""
        return self.raw != self.paths.raw

    @property
    def languages(self) -> list[str]:
        """Language codes, in the order of params.yaml."""
        return list(self.params["languages"])

    def language(self, code: str) -> dict[str, Any]:
        """What stands under ``languages`` for a language.

        Its ``types`` are a list here, also where params.yaml names a set of types; ``type_set`` is that name or None.

        Raises:
            NerError: the language is not configured, or names an unknown set of types.
        """
        try:
            params: dict[str, Any] = self.params["languages"][code]
        except KeyError:
            raise NerError(
                f"unknown language {code!r}",
                where="params.yaml: languages",
                remedy=f"Choose one of: {', '.join(self.languages)}.",
            ) from None
        if not isinstance(params["types"], str):
            return params | {"type_set": None}
        from multiner.pipeline.config.type_maps import types_of_set

        return params | {"types": types_of_set(params["types"]), "type_set": params["types"]}

    def section(self, name: str, language: str) -> dict[str, Any]:
        """A section of the parameters with the values that count for a language."""
        section: dict[str, Any] = for_language(self.params, language)[name]
        return section

    @classmethod
    def load(cls, profile: str | None = None, root: Path | None = None) -> Workspace:
        """The workspace around the current folder, with the parameters of ``profile``.

        Raises:
            NerError: no workspace, or unreadable parameters.
        """
        root = root or find_root()
        return cls(root, load_params(root, profile))
