"""A workspace: its parameters (params.yaml overridden by params/<profile>.yaml) and its paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiner.pipeline.config.corpora import Corpus, corpus_entry, published, read_catalogue, types_of_set
from multiner.pipeline.core.errors import NerError

CORPORA_FOLDER = "params/corpora"
UNADDRESSABLE = "%?"  # MLflow and Airflow cannot be given a SQLite database whose path holds one of these


def find_root(start: Path | None = None) -> Path:
    """The workspace: the folder in ``NER_ROOT``, else the nearest one upwards that holds params.yaml and dvc.yaml.

    Args:
        start: where the search begins; the current folder by default.

    Raises:
        NerError: no folder is a workspace, or its path holds a character that no database's address can hold.
    """
    if setting := os.environ.get("NER_ROOT"):
        candidates = [Path(setting).resolve()]
    else:
        here = (start or Path.cwd()).resolve()
        candidates = [here, *here.parents]
    for folder in candidates:
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            surrogates = ("bytes that are not UTF-8" for each in str(folder) if "\ud800" <= each <= "\udfff")
            if wrong := next((repr(each) for each in UNADDRESSABLE if each in str(folder)), next(surrogates, None)):
                raise NerError(
                    f"the workspace's path holds {wrong}, which the address of an SQLite database cannot contain",
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
    """``base`` overridden by ``top``: mappings are merged, other values replaced."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def for_language(params: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The parameters of a language: its own mappings override the sections of the same names.

    ``languages`` then holds only this language's corpora and types. ``ensemble.legs`` is without ``shipped`` if the
    language has no pretrained pipeline.
    """
    settings = params["languages"][language]
    own = {key: value for key, value in settings.items() if isinstance(value, dict)}
    corpora = {key: value for key, value in settings.items() if key not in own}
    merged = overlay(dict(params), own) | {"languages": corpora}
    if "shipped" in own and not merged["shipped"].get("pipeline"):
        legs = [leg for leg in merged["ensemble"]["legs"] if leg != "shipped"]
        merged["ensemble"] = merged["ensemble"] | {"legs": legs}
    return merged


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises NerError if the file is missing, is no YAML, is no mapping, or has a key twice."""
    from multiner.pipeline.config.yaml_file import dotted, read_yaml_file

    source = read_yaml_file(path)
    if source.repeated:
        key, line = source.repeated[0]
        raise NerError(f"the key {dotted(key)} stands twice", where=f"{path}:{line}", remedy="Leave one of them.")
    return source.values


def load_params(root: Path, profile: str | None = None) -> dict[str, Any]:
    """The checked parameters of ``profile`` (by default the one that params.yaml names).

    Raises:
        NerError: an unreadable file, an unknown profile, or mistakes in the parameters (names all of them).
    """
    from multiner.pipeline.config.yaml_file import read_yaml_file

    base = read_yaml_file(root / "params.yaml", "params.yaml")
    profile = profile or base.values.get("profile")
    profiles = sorted(file.stem for file in (root / "params").glob("*.yaml"))
    if profile not in profiles:
        line = f":{base.lines['profile',]}" if ("profile",) in base.lines else ""
        remedy = f"Choose one of: {', '.join(profiles)}."
        raise NerError(f"unknown profile {profile!r}", where=f"params.yaml{line}: profile", remedy=remedy)
    from multiner.pipeline.config.checks import check  # imports pydantic, so only here

    top = read_yaml_file(root / "params" / f"{profile}.yaml", f"params/{profile}.yaml")
    params = overlay(base.values, top.values) | {"profile": profile}
    check(params, [base, top], root, catalogue(root))
    return params


def catalogue(root: Path) -> dict[str, Corpus]:
    """The published corpora and those of the workspace, by name.

    Raises:
        NerError: a YAML file in params/corpora is malformed, or has the name or the folder of a published corpus.
    """
    own = read_catalogue(root / CORPORA_FOLDER, own=True)
    others = {*published(), *(corpus.folder for corpus in published().values()), "packages"}
    for name, corpus in own.items():
        if taken := {name, corpus.folder} & others:
            where, remedy = f"{CORPORA_FOLDER}/{name}.yaml", "Choose another name."
            raise NerError(f"{taken.pop()} is the name of other raw data", where=where, remedy=remedy)
    return {**published(), **own}


@dataclass(frozen=True)
class Paths:
    """All paths of a workspace and profile."""

    root: Path
    profile: str

    @property
    def raw(self) -> Path:
        """The corpora as published, one folder each, tracked by DVC."""
        return self.root / "data" / "raw"

    @property
    def packages(self) -> Path:
        """Weights and vectors that packages ship, tracked by DVC."""
        return self.raw / "packages"

    @property
    def packaged_encoders(self) -> Path:
        """The encoders from packages that the profile names, a Hugging Face folder each."""
        return self.root / "data" / "encoders" / "packaged"

    def encoder(self, name: str) -> Path:
        """An encoder that a user has put in place as a Hugging Face folder; the same for all profiles."""
        return self.root / "data" / "encoders" / name

    @property
    def behaviour(self) -> Path:
        """The workspace's own behaviour suites, a file for each language; they need not exist."""
        return self.root / "params" / "behaviour"

    def vectors(self, language: str) -> Path:
        """spaCy's static vectors for a language; the same for all profiles."""
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
        """The trained transformer in PyTorch, from which the base model ``transformer`` is exported."""
        return self.out(language) / "trained" / "transformer"

    def start(self, language: str) -> Path:
        """The encoder that has been trained on another language's documents first, in PyTorch."""
        return self.out(language) / "trained" / "start"

    def leg(self, language: str, name: str) -> Path:
        """A base model in the form that answers."""
        return self.out(language) / "legs" / name

    def out_of_fold(self, language: str) -> Path:
        """Cross-fitting: predictions for training documents by base models that were trained without them."""
        return self.out(language) / "out_of_fold"

    def ensemble(self, language: str) -> Path:
        """Calibration, weights and meta-classifier of the ensemble (JSON)."""
        return self.out(language) / "ensemble.json"

    def report(self, language: str) -> Path:
        """Error report, plots and predictions of the evaluation."""
        return self.out(language) / "report"

    def checkpoints(self, language: str, name: str) -> Path:
        """Checkpoints of a training; not among DVC's outputs, since DVC deletes those before a run."""
        return self.root / "data" / "checkpoints" / self.profile / language / name

    def metrics(self, language: str) -> Path:
        """The evaluation's metrics, committed to git."""
        return self.root / "metrics" / self.profile / f"{language}.json"

    @property
    def review(self) -> Path:
        """Sentences that users have corrected, one CoNLL file per language; the same for all profiles."""
        return self.root / "data" / "review"

    def drift(self, language: str) -> Path:
        """The last check of live traffic for drift: its page and its figures."""
        return self.out(language) / "drift"

    @property
    def mlruns(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlruns"

    def usage(self, stage: str) -> Path:
        """The resources that a stage used when it last ran; not among DVC's outputs, whose bytes it must not change."""
        return self.run / "usage" / self.profile / f"{stage}.json"

    @property
    def run(self) -> Path:
        """State of running services: process ids, ports, logs."""
        return self.root / ".run"


@dataclass(frozen=True)
class Workspace:
    """A workspace with the parameters of a profile."""

    root: Path
    params: dict[str, Any]

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return str(self.params["profile"])

    @property
    def paths(self) -> Paths:
        """The paths of the profile."""
        return Paths(self.root, self.profile)

    @property
    def raw(self) -> Path:
        """The folder of the raw corpora: the pulled ones or the bundled samples."""
        return self.root / str(self.params["prepare"].get("raw", "data/raw"))

    @property
    def bundled(self) -> bool:
        """Whether the bundled samples take the place of the published corpora."""
        return self.raw != self.paths.raw

    @property
    def languages(self) -> list[str]:
        """Language codes, in the order of params.yaml."""
        return list(self.params["languages"])

    @property
    def growing(self) -> dict[str, Any]:
        """The growing corpora by name: those that `ner pull` takes new texts into."""
        return dict(self.params.get("growing", {}))

    @property
    def corpora(self) -> dict[str, Corpus]:
        """The published corpora and those of the workspace, by name."""
        return catalogue(self.root)

    def raw_folder(self, corpus: str) -> Path:
        """The folder of a corpus's raw data; of the published ones alone there are bundled samples."""
        if corpus in self.growing:
            return self.paths.raw / corpus
        entry = corpus_entry(corpus, self.corpora)
        return (self.paths.raw if entry.own else self.raw) / entry.folder

    def language(self, code: str) -> dict[str, Any]:
        """The parameters under ``languages.<code>``.

        ``types`` is always a list here; ``type_set`` is the name of the set of types in params.yaml, or None.

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
        return params | {
            "types": types_of_set(params["types"], self.corpora.values()), "type_set": params["types"],
        }  # fmt: skip

    def legs(self, language: str) -> list[str]:
        """The base models of a language's ensemble: without a pretrained pipeline, ``shipped`` is none of them."""
        return list(self.section("ensemble", language)["legs"])

    def start_corpora(self, language: str) -> list[str]:
        """The corpora of another language that its encoder is trained on first (``transformer.start``)."""
        start = self.section("transformer", language)["start"] if "transformer" in self.legs(language) else None
        return list(self.language(start)["train_on"]) if start else []

    def section(self, name: str, language: str) -> dict[str, Any]:
        """A section of the parameters with a language's own values."""
        section: dict[str, Any] = for_language(self.params, language)[name]
        return section

    @classmethod
    def load(cls, profile: str | None = None, root: Path | None = None) -> Workspace:
        """The workspace around the current folder (see :func:`find_root`), with the parameters of ``profile``."""
        from multiner.pipeline.config import checks  # noqa: F401 (first: without its packages no workspace is of use)

        root = root or find_root()
        return cls(root, load_params(root, profile))
