"""Signing a version when it is registered, and checking it before it is served."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.failures import registry_errors
from multiner.pipeline.registry.signing.signature import SIGNATURE, bundle, signing_key, trusted_keys, verify
from multiner.pipeline.registry.store import local_path, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient


def sign_version(client: MlflowClient, workspace: Workspace, name: str, version: str) -> None:
    """Add a signature to the files of a registered version that has none, if there is a key to sign with.

    Raises:
        NerError: as :func:`.signing_key`.
    """
    from mlflow.artifacts import download_artifacts

    key = signing_key(workspace)
    if key is None:
        return
    with TemporaryDirectory() as temporary:
        folder = Path(download_artifacts(artifact_uri=f"models:/{name}/{version}"))
        if (folder / SIGNATURE).is_file():
            return
        file = Path(temporary) / SIGNATURE
        file.write_text(bundle(folder, f"{name}/{version}", key), encoding="utf-8")
        model_id = str(client.get_model_version(name, version).source).rpartition("/")[2]
        client.log_model_artifact(model_id, str(file))


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
        BadSignature: as :func:`.verify`; ``serving.require_signature`` says whether there must be a signature.
    """
    from mlflow.artifacts import download_artifacts

    client, uri = open_store(workspace), f"models:/{name}/{version}"
    place = local_path(client.get_model_version_download_uri(name, version))
    folder = Path(download_artifacts(artifact_uri=uri, dst_path=None if place else str(scratch)))
    required = bool(workspace.params["serving"]["require_signature"])
    verify(folder, f"{name}/{version}", trusted_keys(workspace), required=required)
    return uri if place else str(folder)
