"""An archive is whole or absent, and gives back what was written, or nothing."""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from multiner.pipeline.core.errors import NerError
from multiner.serving.housekeeping import archive
from multiner.serving.housekeeping.archive import Damaged


def unpack(path: Path, folder: Path) -> dict:
    with archive.unpacked(path, folder) as (_, manifest):
        return manifest


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """An archive with two files."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"first")
    (source / "b").write_bytes(bytes(range(256)) * 100)
    path = tmp_path / "archive.tar"
    with archive.new_archive(path) as file:
        archive.write(file, {"x/a": source / "a", "b": source / "b", "gone": source / "gone"}, {"at": "now"})
    return path


def foreign(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], manifest: bool = True) -> Path:
    """An archive that another program has made, with a manifest that fits."""
    hashes = {info.name: sha256(content).hexdigest() for info, content in members}
    with tarfile.open(path, "w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if manifest:
            text = json.dumps({"files": hashes}).encode()
            info = tarfile.TarInfo(archive.MANIFEST)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return path


def test_files_come_back_as_they_were(written: Path, tmp_path: Path) -> None:
    manifest = unpack(written, tmp_path / "target")
    assert manifest["at"] == "now"
    assert sorted(manifest["files"]) == ["b", "x/a"]
    assert (tmp_path / "target" / "x" / "a").read_bytes() == b"first"
    assert (tmp_path / "target" / "b").read_bytes() == bytes(range(256)) * 100
    assert written.stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_of_an_archive_that_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), archive.new_archive(tmp_path / "archive.tar"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_file_or_folder_with_something_in_it_stays_as_it_is(written: Path, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="already"), archive.new_archive(written):
        pass
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").touch()
    with pytest.raises(NerError, match="not an empty folder"):
        unpack(written, target)
    with pytest.raises(NerError, match="not an empty folder"):
        unpack(written, written)
    (target / "mine").unlink()
    unpack(written, target)
    assert (target / "b").is_file()


def test_a_flipped_byte_is_refused(written: Path, tmp_path: Path) -> None:
    content = bytearray(written.read_bytes())
    at = content.index(b"first")
    content[at] ^= 1
    written.write_bytes(content)
    with pytest.raises(Damaged, match="x/a is not what was written"):
        unpack(written, tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_cut_off_archive_is_refused(written: Path, tmp_path: Path, share: float) -> None:
    content = written.read_bytes().rstrip(b"\0")
    written.write_bytes(content[: int(share * len(content))])
    with pytest.raises(Damaged):
        unpack(written, tmp_path / "target")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.tar", "source"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "x/../../evil", "x//evil"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = foreign(tmp_path / "archive.tar", [(tarfile.TarInfo(name), b"1")])
    with pytest.raises(Damaged, match="leave the folder"):
        unpack(path, tmp_path / "deep" / "target")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_only_files_are_unpacked(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(Damaged, match="no backup has"):
        unpack(foreign(tmp_path / "archive.tar", [(info, b"")]), tmp_path / "target")


def test_a_member_twice_or_below_a_file_is_refused(tmp_path: Path) -> None:
    for names in (("a", "a"), ("a", "a/b")):
        path = foreign(tmp_path / "archive.tar", [(tarfile.TarInfo(name), b"1") for name in names])
        with pytest.raises(Damaged):
            unpack(path, tmp_path / "target")


def test_without_a_manifest_it_is_no_backup(tmp_path: Path) -> None:
    path = foreign(tmp_path / "archive.tar", [(tarfile.TarInfo("a"), b"1")], manifest=False)
    with pytest.raises(Damaged, match="no manifest"):
        unpack(path, tmp_path / "target")


def test_a_file_that_shrinks_while_it_is_read_is_whole_in_the_archive(tmp_path: Path) -> None:
    growing = tmp_path / "log"
    growing.write_bytes(bytes(5_000_000))
    path = tmp_path / "archive.tar"

    def shrink(count: int) -> None:
        growing.write_bytes(b"short")

    with archive.new_archive(path) as file:
        archive.write(file, {"log": growing, "next": path.parent / "log"}, {}, shrink)
    unpack(path, tmp_path / "target")
    assert (tmp_path / "target" / "log").stat().st_size == 5_000_000
    assert (tmp_path / "target" / "next").read_bytes() == b"short"
