"""Checkpoints in the object store (``NER_STORE``), so that a training which another machine began goes on here.

Each checkpoint is one object, ``checkpoints/FINGERPRINT/STEP.tar``; the fingerprint is of all that the trained weights
depend on, so a checkpoint is never taken up with other data or parameters. Two machines at the same training write the
same content. Without a store nothing happens here.
"""

from __future__ import annotations

import logging
import tarfile
from pathlib import Path

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, replace_folder
from multiner.pipeline.core.object_store import object_store

log = logging.getLogger(__name__)
SUFFIX = ".tar"
LAST = "last/progress.json"  # is in every whole checkpoint


def restore(folder: Path) -> None:
    """Bring the newest checkpoint of the fingerprint that ``folder`` is named by, unless this machine has a newer one.

    Raises:
        NerError: the store does not answer.
    """
    if (store := object_store()) is None:
        return
    place = f"checkpoints/{folder.name}"
    here = int(read_json(folder / LAST)["step"]) if (folder / LAST).is_file() else -1
    for name in reversed(store.names(place)):
        if not name.endswith(SUFFIX) or int(name.removesuffix(SUFFIX)) <= here:
            return
        try:
            with replace_folder(folder) as temporary, store.reading(f"{place}/{name}") as file:
                with tarfile.open(fileobj=file, mode="r|") as archive:
                    archive.extractall(temporary, filter="data")
        except (tarfile.TarError, EOFError, FileNotFoundError) as error:  # removed meanwhile, or cut off
            log.warning("the checkpoint %s/%s cannot be read: %s", place, name, error)
            continue
        log.warning("the training goes on from step %s, which the object store has", name.removesuffix(SUFFIX))
        return


def save(folder: Path, step: int) -> None:
    """Copy the checkpoint in ``folder`` to the store; the ones before are removed. A store that is away is no error."""
    place, name = f"checkpoints/{folder.name}", f"{step:012d}{SUFFIX}"
    try:
        if (store := object_store()) is None:
            return
        with store.writing(f"{place}/{name}") as file, tarfile.open(fileobj=file, mode="w|") as archive:
            for part in sorted(folder.iterdir()):
                if not part.name.startswith("."):
                    archive.add(part, part.name)
        for other in store.names(place):
            if other < name:
                store.remove(f"{place}/{other}")
    except NerError as error:
        log.warning("the checkpoint of step %d stays on this machine: %s", step, error)


def clear(fingerprint: str) -> None:
    """Remove the checkpoints of a training that is done; what cannot be removed does no harm."""
    try:
        if store := object_store():
            for name in store.names(f"checkpoints/{fingerprint}"):
                store.remove(f"checkpoints/{fingerprint}/{name}")
    except NerError as error:
        log.warning("checkpoints stay in the object store: %s", error)
