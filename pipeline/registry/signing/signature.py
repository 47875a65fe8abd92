"""The signatures of registered versions: a file ``model.sig`` among their files, in OpenSSF model-signing's format.

That is a Sigstore bundle: an in-toto statement with the SHA-256 of every file, signed with a key on the curve P-256.
``model_signing verify key`` checks it, too. The package itself brings eleven others, clients of public transparency
logs, for which a key of our own has no use; ``cryptography``, which MLflow needs anyway, is enough.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import sha256_of, write_atomically
from multiner.pipeline.registry.store import database, tracking_uri

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

SIGNATURE = "model.sig"
UNSIGNED = (SIGNATURE, "registered_model_meta")  # the latter MLflow writes beside a version that it hands out
PRIVATE_KEY, PUBLIC_KEYS = "NER_SIGNING_KEY", "NER_SIGNING_PUBLIC_KEYS"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://model_signing/signature/v1.0"
RENEW = "Restore the version's files from a backup, or make another version champion: ner rollback LANG"


class BadSignature(NerError):
    """A version's files are not those that were signed, or it is not signed by a key that is trusted here."""


def signing_key(workspace: Workspace) -> EllipticCurvePrivateKey | None:
    """The key that new versions are signed with; the first call makes one for the workspace's own registry.

    It is in the file that ``NER_SIGNING_KEY`` names. Without that, the key of the workspace's own registry is in
    ``.run/signing``, readable by its owner alone; versions of another registry are not signed.

    Raises:
        NerError: the file has no key of the curve P-256.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    setting = os.environ.get(PRIVATE_KEY)
    if not setting and not _own_registry(workspace):
        return None
    file = Path(setting) if setting else workspace.paths.run / "signing" / "private.pem"
    if not setting and not file.is_file():
        _make_key(file)
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise NerError(f"the signing key cannot be read: {error}", where=str(file)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise NerError("the signing key is not on the curve P-256", where=str(file))
    if _own_registry(workspace) and not (public := _key_folder(workspace) / f"{hint(key.public_key())}.pem").is_file():
        with write_atomically(public) as opened:
            opened.write(_pem(key.public_key()).decode())
    return key


def trusted_keys(workspace: Workspace) -> dict[str, EllipticCurvePublicKey]:
    """The public keys that signatures are checked with, by :func:`hint`.

    They are the files ``*.pem`` in the folder that ``NER_SIGNING_PUBLIC_KEYS`` names, else in ``mlruns/keys``.

    Raises:
        NerError: a file has no key on the curve P-256, or the named folder has none.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    setting = os.environ.get(PUBLIC_KEYS)
    folder = Path(setting) if setting else _key_folder(workspace)
    keys = {}
    for file in sorted(folder.glob("*.pem")):
        try:
            key = serialization.load_pem_public_key(file.read_bytes())
        except (OSError, ValueError) as error:
            raise NerError(f"this public key cannot be read: {error}", where=str(file)) from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise NerError("this public key is not on the curve P-256", where=str(file))
        keys[hint(key)] = key
    if setting and not keys:
        raise NerError("there is no public key (*.pem) in this folder", where=f"{PUBLIC_KEYS}={setting}")
    return keys


def hint(key: EllipticCurvePublicKey) -> str:
    """What names a public key in a signature: the SHA-256 of its PEM file."""
    return sha256(_pem(key)).hexdigest()


def bundle(folder: Path, name: str, key: EllipticCurvePrivateKey) -> str:
    """The signature of the files in a folder, as the text of ``model.sig``.

    Args:
        folder: of a version.
        name: of the version, such as ``ner-en/3``: the signature fits no other one.
        key: the private key.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    digests = file_digests(folder)
    whole = sha256(b"".join(bytes.fromhex(digest) for digest in digests.values())).hexdigest()
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": list(UNSIGNED)}
    resources = [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in digests.items()]
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": whole}}],
        "predicateType": PREDICATE,
        "predicate": {"serialization": serialization, "resources": resources},
    }
    payload = json.dumps(statement, ensure_ascii=False).encode()
    signature = key.sign(_signed(payload), ec.ECDSA(hashes.SHA256()))
    content = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(content)


def verify(folder: Path, name: str, keys: Mapping[str, EllipticCurvePublicKey], *, required: bool) -> bool:
    """Check the files of a version against their signature; returns whether there is one.

    Args:
        folder: of the version.
        name: of the version, such as ``ner-en/3``.
        keys: the public keys that are trusted, by :func:`hint`.
        required: whether a version without a signature is refused.

    Raises:
        BadSignature: a file was changed, added or removed, the signature is damaged, of another version, or by another
            key; or there is none, though it is required.
    """
    file = folder / SIGNATURE
    if not file.is_file():
        if required:
            raise BadSignature(
                "this version is not signed", where=name, remedy="Allow it (serving.require_signature: false), or "
                "register the model anew: ner register"
            )  # fmt: skip
        return False
    signed = _statement(file, name, keys)
    for cache in folder.rglob("__pycache__"):  # whoever loads a model in place leaves these; Python makes them anew
        shutil.rmtree(cache, ignore_errors=True)
    present = file_digests(folder)
    if different := sorted(signed.items() ^ present.items()):
        path = different[0][0]
        state = (
            "was changed" if path in signed and path in present else "was added" if path in present else "is missing"
        )
        raise BadSignature(f"{path} {state} since the version was signed", where=name, remedy=RENEW)
    return True


def file_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of the files that a signature covers, by their paths, in alphabetical order.

    Raises:
        BadSignature: there is a symbolic link, which may lead anywhere.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    if link := next((name for name, path in paths.items() if path.is_symlink()), None):
        raise BadSignature(f"{link} is a symbolic link", where=str(folder), remedy=RENEW)
    names = sorted(name for name, path in paths.items() if path.is_file() and name not in UNSIGNED)
    return {name: sha256_of(paths[name]) for name in names}


def _statement(file: Path, name: str, keys: Mapping[str, EllipticCurvePublicKey]) -> dict[str, str]:
    """The digests in a signature, by path, once the signature was checked."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        envelope = content["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        if (key := keys.get(content["verificationMaterial"]["publicKey"]["hint"])) is None:
            raise BadSignature(
                "this version is signed with a key that is not trusted here",
                where=name,
                remedy=f"Put the signer's public key (*.pem) into the folder that {PUBLIC_KEYS} names, or mlruns/keys.",
            )
        key.verify(signature, _signed(payload), ec.ECDSA(hashes.SHA256()))
        statement = json.loads(payload)
        resources = statement["predicate"]["resources"]
        subject = statement["subject"][0]["name"]
        digests = {str(each["name"]): str(each["digest"]) for each in resources}
    except (InvalidSignature, ValueError, LookupError, TypeError) as error:
        reason = "it was altered" if isinstance(error, InvalidSignature) else "it cannot be read"
        raise BadSignature(f"the signature does not hold: {reason}", where=name, remedy=RENEW) from None
    if subject != name:
        raise BadSignature(f"the signature is that of {subject}", where=name, remedy=RENEW)
    return digests


def _signed(payload: bytes) -> bytes:
    """What is signed of a payload: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _pem(key: EllipticCurvePublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _make_key(file: Path) -> None:
    """Write a new private key, readable by its owner alone, unless another process was quicker."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    content = ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, form, none)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = mkstemp(dir=file.parent)  # with mode 600
    with os.fdopen(handle, "wb") as opened:
        opened.write(content)
    with suppress(FileExistsError):
        os.link(temporary, file)
    Path(temporary).unlink()


def _own_registry(workspace: Workspace) -> bool:
    return tracking_uri(workspace) == f"sqlite:///{database(workspace)}"


def _key_folder(workspace: Workspace) -> Path:
    return workspace.paths.mlruns / "keys"
