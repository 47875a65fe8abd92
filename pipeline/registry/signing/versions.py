"""Signing a version when it is registered, and checking it before it is served.

A tag of the version says that it was signed, so a signature that is removed does not make it one of an older release,
which has none.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.signing.signature import (
    RENEW,
    SIGNATURE,
    BadSignature,
    bundle,
    signing_key,
    trusted_keys,
    verify,
)
from multiner.pipeline.registry.store import local_path, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

SIGNED = "ner.signed"  # tag of a version whose files have a signature


def sign_version(client: MlflowClient, workspace: Workspace, name: str, version: str) -> None:
    """Add a signature to the files of a registered version that has none, if there is a key to sign with.

    Raises:
        BadSignature: the version was signed before, and its signature was removed.
        NerError: as :func:`.signing_key`.
    """
    from mlflow.artifacts import download_artifacts

    key = signing_key(workspace)
    if key is None:
        return
    entry = client.get_model_version(name, version)
    with TemporaryDirectory() as temporary:
        folder = Path(download_artifacts(artifact_uri=f"models:/{name}/{version}"))
        if not (folder / SIGNATURE).is_file():
            if SIGNED in entry.tags:  # whoever removed it may have changed the files, too
                raise _removed(f"{name}/{version}")
            file = Path(temporary) / SIGNATURE
            file.write_text(bundle(folder, f"{name}/{version}", key), encoding="utf-8")
            client.log_model_artifact(str(entry.source).rpartition("/")[2], str(file))
        if SIGNED not in entry.tags:
            client.set_model_version_tag(name, version, SIGNED, "true")


@registry_errors()
def checked_source(workspace: Workspace, name: str, version: str, scratch: Path) -> str:
    """What `mlflow models serve` is to serve, once the version's signature was checked.

    That is the version's address where its files are on this machine, else the folder of a copy.

    Args:
        workspace: whose registry.
        name: of the model.
        version: its number.
        scratch: an empty folder for the copy.

    Raises:
        BadSignature: as :func:`.verify`, or the signature was removed; ``serving.require_signature`` says whether a
            version that was never signed is refused.
    """
    from mlflow.artifacts import download_artifacts

    client, uri = open_store(workspace), f"models:/{name}/{version}"
    place = local_path(client.get_model_version_download_uri(name, version))
    folder = Path(download_artifacts(artifact_uri=uri, dst_path=None if place else str(scratch)))
    signed = SIGNED in client.get_model_version(name, version).tags
    required = bool(workspace.params["serving"]["require_signature"]) and not signed
    if not verify(folder, f"{name}/{version}", trusted_keys(workspace), required=required) and signed:
        raise _removed(f"{name}/{version}")
    return uri if place else str(folder)


def _removed(name: str) -> BadSignature:
    return BadSignature("the signature was removed since the version was signed", where=name, remedy=RENEW)
