"""Signatures of versions: any change of a file, of the signature or of the version that it stands for is refused."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from mlflow.artifacts import download_artifacts

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry import register
from multiner.pipeline.registry.signing import signature
from multiner.pipeline.registry.signing.signature import (
    SIGNATURE,
    BadSignature,
    bundle,
    hint,
    signing_key,
    trusted_keys,
    verify,
)
from multiner.pipeline.registry.signing.versions import SIGNED, checked_source
from multiner.pipeline.registry.store import open_store

KEY = ec.generate_private_key(ec.SECP256R1())
KEYS = {hint(KEY.public_key()): KEY.public_key()}
NAME = "ner-en/3"


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """The folder of a signed version."""
    folder = tmp_path / "model"
    (folder / "code" / "multiner").mkdir(parents=True)
    (folder / "weights.onnx").write_bytes(bytes(range(256)))
    (folder / "code" / "multiner" / "a.py").write_text("1\n")
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / SIGNATURE).write_text(bundle(folder, NAME, KEY))
    return folder


def test_what_was_signed_passes(signed: Path) -> None:
    assert verify(signed, NAME, KEYS, required=True)
    (signed / "registered_model_meta").write_text("what MLflow notes")
    (signed / "code" / "__pycache__").mkdir()
    (signed / "code" / "__pycache__" / "a.pyc").write_bytes(b"left by an import")
    assert verify(signed, NAME, KEYS, required=True)
    assert not (signed / "code" / "__pycache__").exists()


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("weights.onnx", bytes([*range(255), 254]), "weights.onnx was changed"),
        ("code/multiner/a.py", b"2\n", "a.py was changed"),
        ("code/multiner/b.py", b"", "b.py was added"),
        ("MLmodel", None, "MLmodel is missing"),
    ],
)
def test_a_changed_added_or_missing_file_is_refused(
    signed: Path, path: str, content: bytes | None, message: str
) -> None:
    (signed / path).unlink(missing_ok=True) if content is None else (signed / path).write_bytes(content)
    with pytest.raises(BadSignature, match=message) as caught:
        verify(signed, NAME, KEYS, required=False)
    assert caught.value.where == NAME
    assert "ner rollback" in (caught.value.remedy or "")
    assert caught.value.exit_code == 1


def test_a_link_is_refused(signed: Path, tmp_path: Path) -> None:
    (signed / "MLmodel").rename(tmp_path / "MLmodel")
    (signed / "MLmodel").symlink_to(tmp_path / "MLmodel")
    with pytest.raises(BadSignature, match="symbolic link"):
        verify(signed, NAME, KEYS, required=False)


def test_the_signature_of_another_version_is_refused(signed: Path) -> None:
    with pytest.raises(BadSignature, match="that of ner-en/3"):
        verify(signed, "ner-en/4", KEYS, required=False)


def test_an_altered_signature_is_refused(signed: Path) -> None:
    content = json.loads((signed / SIGNATURE).read_text())
    statement = json.loads(base64.b64decode(content["dsseEnvelope"]["payload"]))
    statement["subject"][0]["name"] = "ner-en/4"
    content["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    (signed / SIGNATURE).write_text(json.dumps(content))
    with pytest.raises(BadSignature, match="it was altered"):
        verify(signed, "ner-en/4", KEYS, required=False)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"dsseEnvelope": {"payload": "?"}}', "\x00"])
def test_a_signature_that_is_none_is_refused(signed: Path, text: str) -> None:
    (signed / SIGNATURE).write_text(text)
    with pytest.raises(BadSignature, match="cannot be read"):
        verify(signed, NAME, KEYS, required=False)


def test_a_key_that_is_not_trusted_is_refused(signed: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(BadSignature, match="not trusted") as caught:
        verify(signed, NAME, {hint(other): other}, required=False)
    assert "NER_SIGNING_PUBLIC_KEYS" in (caught.value.remedy or "")


def test_a_version_without_a_signature_passes_unless_one_is_required(signed: Path) -> None:
    (signed / SIGNATURE).unlink()
    assert not verify(signed, NAME, KEYS, required=False)
    with pytest.raises(BadSignature, match="not signed"):
        verify(signed, NAME, KEYS, required=True)


def test_the_key_is_made_once_and_its_owner_alone_can_read_it(workspace: Workspace) -> None:
    key = signing_key(workspace)
    assert key is not None
    file = workspace.paths.run / "signing" / "private.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["private.pem"]
    again = signing_key(workspace)
    assert again is not None
    assert trusted_keys(workspace).keys() == {hint(key.public_key())} == {hint(again.public_key())}
    file.unlink()  # as after `make clean`: older versions stay valid
    assert signing_key(workspace) is not None
    assert len(trusted_keys(workspace)) == 2


def test_keys_of_the_environment_take_their_place(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = tmp_path / "key.pem", tmp_path / "keys"
    signature._make_key(file)
    folder.mkdir()
    monkeypatch.setenv("NER_SIGNING_KEY", str(file))
    monkeypatch.setenv("NER_SIGNING_PUBLIC_KEYS", str(folder))
    key = signing_key(workspace)
    assert key is not None
    with pytest.raises(NerError, match="no public key"):
        trusted_keys(workspace)
    (folder / "a.pem").write_bytes(signature._pem(key.public_key()))
    assert list(trusted_keys(workspace)) == [hint(key.public_key())]
    file.write_text("no key")
    with pytest.raises(NerError, match="cannot be read"):
        signing_key(workspace)


def test_a_registry_elsewhere_is_not_signed_without_a_key(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert signing_key(workspace) is None


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_registered_version_is_signed_and_a_flipped_byte_is_not_served(workspace, fill, empty_leg, tmp_path) -> None:  # noqa: ANN001
    fill(empty_leg)
    model = register(workspace, "en")
    assert checked_source(workspace, model.name, model.version, tmp_path) == "models:/ner-en/1"
    folder = Path(download_artifacts(artifact_uri="models:/ner-en/1"))
    assert (folder / SIGNATURE).is_file()
    assert verify(folder, "ner-en/1", trusted_keys(workspace), required=True)
    weights = next(folder.rglob("weights.bin"))
    content = bytearray(weights.read_bytes())
    content[7] ^= 1
    os.truncate(weights, 0)
    weights.write_bytes(content)
    with pytest.raises(BadSignature, match=r"weights\.bin was changed"):
        checked_source(workspace, model.name, model.version, tmp_path)
    (folder / SIGNATURE).unlink()  # to pass for a version of an older release, which has none
    with pytest.raises(BadSignature, match="the signature was removed"):
        checked_source(workspace, model.name, model.version, tmp_path)
    with pytest.raises(BadSignature, match="the signature was removed"):
        register(workspace, "en")
    assert not (folder / SIGNATURE).exists(), "what may have been changed is not signed again"

    open_store(workspace).delete_model_version_tag(model.name, model.version, SIGNED)
    assert checked_source(workspace, model.name, model.version, tmp_path) == "models:/ner-en/1"
    workspace.params["serving"]["require_signature"] = True
    with pytest.raises(BadSignature, match="not signed"):
        checked_source(workspace, model.name, model.version, tmp_path)
