"""The packaged encoder: the file format, and the trimmed vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiner.pipeline.config.settings import Paths
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.transformer.encoders import (
    E5File,
    content_hash,
    dequantise,
    is_in_kept_script,
    resolve_encoder,
)


def test_q4_blocks_hold_low_then_high_nibbles() -> None:
    nibbles = bytes((index % 16) | ((15 - index % 16) << 4) for index in range(16))
    weights = dequantise(np.float16(0.5).tobytes() + nibbles, 32)
    assert weights[:16].tolist() == [0.5 * (index - 8) for index in range(16)]
    assert weights[16:].tolist() == [0.5 * (7 - index) for index in range(16)]


@pytest.mark.parametrize(("piece", "stays"), [("▁Moscow", True), ("▁Москва", True), ("2026", True), ("«", True),
                                              ("東京", False), ("ελ", False), ("🙂", True)])  # fmt: skip
def test_pieces_of_latin_and_cyrillic_script_and_signs_stay(piece: str, stays: bool) -> None:
    assert is_in_kept_script(piece) is stays


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(NerError, match="no E5S1 file"):
        E5File(tmp_path / "weights.bin")


def test_names_of_encoders(tmp_path: Path) -> None:
    paths = Paths(tmp_path, "cpu")
    with pytest.raises(NerError, match="not unpacked"):
        resolve_encoder("packaged:e5-small", paths)
    paths.encoder("e5-small").mkdir(parents=True)
    (paths.encoder("e5-small") / "config.json").touch()
    assert resolve_encoder("packaged:e5-small", paths) == str(paths.encoder("e5-small"))
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert resolve_encoder("models/mine", paths) == str(tmp_path / "models" / "mine")
    assert resolve_encoder("bert-base-cased", paths) == "bert-base-cased"


def test_an_encoder_of_the_hub_is_told_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "models--acme--bert" / "snapshots" / "0123abcd" / "config.json"
    monkeypatch.setattr("transformers.utils.cached_file", lambda name, of: str(file) if name == "acme/bert" else None)
    assert content_hash("acme/bert") == "0123abcd"

    def unreachable(*_: str) -> str:
        raise OSError("We couldn't connect\nto the hub")

    monkeypatch.setattr("transformers.utils.cached_file", unreachable)
    with pytest.raises(NerError, match="cannot be loaded: We couldn't connect\n") as caught:
        content_hash("acme/bert")
    assert caught.value.where.endswith("acme/bert")
