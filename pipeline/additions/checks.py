"""What is checked of a new language before anything is written: its code, encoder, vectors and pretrained pipeline."""

from __future__ import annotations

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.pretrained.installation import SLOVNET
from multiner.pipeline.models.spacy import vectors as spacy_vectors
from multiner.pipeline.models.transformer import mpnet
from multiner.pipeline.models.transformer.encoders import E5, PACKAGED

SCRIPTS = {E5: ("Latn", "Cyrl"), mpnet.NAME: ("Latn",)}  # of the packaged encoders' vocabularies


def check_code(code: str, where: str) -> None:
    """Refuse codes that spaCy has no rules for, and other spellings than its own, such as ``deu`` and ``EN``."""
    from spacy.util import get_lang_class

    remedy = "Give a code such as de, es or uk; xx has the rules that all languages share."
    try:
        own = str(get_lang_class(code).lang)
    except (ImportError, AttributeError):  # AttributeError: a module of spaCy's that is no language
        raise NerError(f"spaCy knows no language {code!r}", where=where, remedy=remedy) from None
    if own != code:
        raise NerError(f"spaCy's code of the language {code!r} is {own!r}", where=where, remedy=f"Give {own}.")


def check_encoder(code: str, encoder: str | None, workspace: Workspace) -> None:
    """Refuse an encoder that is in no package and no folder, or cannot read the language's script.

    A name that may be one on the Hugging Face hub passes. None: the encoder of the section ``transformer``.
    """
    from babel.core import get_global

    encoder = encoder or str(workspace.params["transformer"]["encoder"])
    if not encoder.startswith(PACKAGED):
        is_path = encoder.startswith((".", "/", "~")) or encoder.count("/") > 1
        if is_path and not (workspace.root / encoder).is_dir():
            remedy = "Name a folder with config.json and model.safetensors, or an encoder on the Hugging Face hub."
            raise NerError(f"no folder {encoder!r}", where="--encoder", remedy=remedy)
        return
    name = encoder.removeprefix(PACKAGED)
    if name not in SCRIPTS:
        remedy = f"Name {' or '.join(PACKAGED + each for each in SCRIPTS)}, a folder, or an encoder on the hub."
        raise NerError(f"no package has the encoder {name!r}", where="--encoder", remedy=remedy)
    tag = get_global("likely_subtags").get(code, "")
    if tag and not any(f"_{script}" in tag for script in SCRIPTS[name]):
        letters = " and ".join({"Latn": "Latin", "Cyrl": "Cyrillic"}[script] for script in SCRIPTS[name])
        raise NerError(
            f"the packaged encoder reads {letters} letters, {code} is written in others ({tag})",
            where="--encoder",
            remedy="Name a folder, or an encoder on the Hugging Face hub.",
        )


def check_pretrained(vectors: str | None, shipped: str | None, workspace: Workspace) -> None:
    """Refuse vectors and pretrained pipelines that are in no package, no folder, and not installed."""
    from spacy.util import is_package

    packaged = {"--vectors": ("navec", *spacy_vectors.PACKAGED), "--shipped": (SLOVNET, *spacy_vectors.PACKAGED)}
    for option, name in (("--vectors", vectors), ("--shipped", shipped)):
        if name and name not in packaged[option] and not (workspace.root / name).is_dir() and not is_package(name):
            remedy = (
                f"Name {', '.join(packaged[option])}, an installed spaCy pipeline "
                f"(python -m spacy download {name}), or a pipeline's folder."
            )
            raise NerError(f"no spaCy pipeline {name!r}", where=option, remedy=remedy)
