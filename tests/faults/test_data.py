"""The pull of corpora while disk, source or rights fail: it says so, and the old data stay whole."""

from __future__ import annotations

import json
import signal
from hashlib import sha256
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora import sources
from multiner.pipeline.corpora.manifest import write_manifest
from multiner.pipeline.corpora.pull import pull
from tests.faults.conftest import Fault, make_workspace
from tests.faults.injection import NER, UNPRIVILEGED, ner_with, run, server, small_disk

SENTENCE = "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\nleft NN I-NP O\nOslo NNP B-NP B-LOC\n. . O O\n\n"
FILES = {"train.txt": SENTENCE * 3, "valid.txt": SENTENCE, "test.txt": SENTENCE}
CORPUS = Path("data", "raw", "conll2003")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror of one small corpus."""
    folder = tmp_path / "mirror" / "conll2003"
    folder.mkdir(parents=True)
    monkeypatch.setenv(sources.MIRROR_VARIABLE, str(folder.parent))
    return folder


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Workspace:
    """A workspace whose manifest lists that corpus alone."""
    return make_workspace(tmp_path / "home", root, {"pull": {"mirrors": []}})


def publish(mirror: Path, workspace: Workspace, **files: str) -> None:
    """Put the corpus with these files in place of its own into the mirror, and into the manifest."""
    content = FILES | {f"{name}.txt": text for name, text in files.items()}
    for name, text in content.items():
        (mirror / name).write_text(text)
    hashes = {name: sha256(text.encode()).hexdigest() for name, text in content.items()}
    write_manifest(workspace.root, {"conll2003": hashes})


def content(folder: Path) -> dict[str, str]:
    """The files below a folder; leftovers too."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def first_data(mirror: Path, workspace: Workspace) -> dict[str, str]:
    """What the first pull has brought, before the corpus grew."""
    publish(mirror, workspace)
    pull(workspace)
    return content(workspace.paths.raw)


@pytest.mark.slow
@pytest.mark.faults("disk full in a pull")
def test_a_pull_on_a_full_disk_keeps_the_old_data(fault: Fault, mirror: Path, workspace: Workspace) -> None:
    with small_disk(workspace.paths.raw, 2) as disk:
        publish(mirror, workspace)
        assert run([NER, "pull"], workspace.root, prefix=disk.command).returncode == 0
        before = content(disk.content)
        assert before.keys() == {f"conll2003/{name}" for name in FILES}
        publish(mirror, workspace, train=SENTENCE * 8000)
        disk.fill(leave=100_000)
        refused = run([NER, "pull"], workspace.root, prefix=disk.command)
        fault.happened("No space left on device" in refused.stdout)
        assert refused.returncode == 1, refused.stdout
        assert "Traceback" not in refused.stdout
        disk.free()
        assert content(disk.content) == before, "nothing half-written either"
        with fault.control():
            done = run([NER, "pull"], workspace.root, prefix=disk.command)
            assert done.returncode == 0, done.stdout
        assert content(disk.content)["conll2003/train.txt"] == SENTENCE * 8000


@pytest.mark.slow
@pytest.mark.faults("kill -9 of a pull")
def test_a_killed_pull_keeps_the_old_data_and_is_repeated(
    fault: Fault, mirror: Path, workspace: Workspace, first_data: dict[str, str], tmp_path: Path
) -> None:
    publish(mirror, workspace, train=SENTENCE * 9)
    point = "multiner.pipeline.corpora.pull.writing"  # the copy is whole, the old data are still there
    killed = run([*ner_with("kill", point, tmp_path / "mark"), "pull"], workspace.root)
    fault.happened(killed.returncode == -signal.SIGKILL and (tmp_path / "mark").exists())
    assert content(workspace.root / CORPUS) == {path.partition("/")[2]: text for path, text in first_data.items()}
    with fault.control():
        assert pull(workspace).replaced == ["conll2003"]
    assert sorted(content(workspace.paths.raw)) == sorted(first_data), "what the killed one has left is gone"
    assert (workspace.root / CORPUS / "train.txt").read_text() == SENTENCE * 9


@pytest.mark.slow
@pytest.mark.faults("an unreadable file")
def test_an_unreadable_file_is_named(
    fault: Fault, mirror: Path, workspace: Workspace, first_data: dict[str, str]
) -> None:
    publish(mirror, workspace, train=SENTENCE * 9)
    (mirror / "train.txt").chmod(0)
    refused = run([NER, "pull"], workspace.root, prefix=UNPRIVILEGED)
    fault.happened("Permission denied" in refused.stdout)
    assert refused.returncode == 1, refused.stdout
    assert str(mirror / "train.txt") in refused.stdout
    assert content(workspace.paths.raw) == first_data
    (mirror / "train.txt").chmod(0o644)
    with fault.control():
        done = run([NER, "pull"], workspace.root, prefix=UNPRIVILEGED)
        assert done.returncode == 0, done.stdout


def answer(body: bytes, length: int) -> bytes:
    """An HTTP answer that promises ``length`` bytes."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (length, body)


@pytest.fixture
def only(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    """The manifest's one corpus has one file, which comes from an address; gives the file's content."""
    monkeypatch.delenv(sources.MIRROR_VARIABLE, raising=False)
    write_manifest(workspace.root, {"posts": {"posts.txt": sha256(SENTENCE.encode()).hexdigest()}})
    return SENTENCE


def serve_from(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setitem(sources.PUBLIC, "posts", (f"{address}/posts.txt",))


@pytest.mark.faults("a truncated download")
def test_a_download_that_breaks_off_brings_nothing(
    fault: Fault, workspace: Workspace, only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(answer(only.encode()[:40], len(only))) as cut:
        serve_from(monkeypatch, cut.address)
        with pytest.raises(NerError, match=r"broke off|cannot be reached") as caught:
            pull(workspace)
        fault.happened(cut.requests)
    assert caught.value.transient
    assert content(workspace.root / "data") == {"manifest.json": (workspace.root / "data/manifest.json").read_text()}
    with server(answer(only.encode(), len(only))) as whole, fault.control():
        serve_from(monkeypatch, whole.address)
        assert pull(workspace).replaced == ["posts"]
    assert (workspace.root / "data/raw/posts/posts.txt").read_text() == only


@pytest.mark.faults("a source of corpora that accepts and never answers")
def test_a_source_that_hangs_is_given_up(
    fault: Fault, workspace: Workspace, only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sources.TIMEOUT_SECONDS <= 60
    monkeypatch.setattr(sources, "TIMEOUT_SECONDS", 0.5)
    with server() as hanging:
        serve_from(monkeypatch, hanging.address)
        with pytest.raises(NerError, match="cannot be reached: timed out") as caught:
            pull(workspace)
        fault.happened(hanging.requests)
    assert caught.value.transient
    assert not (workspace.root / "data/raw/posts").exists()
    monkeypatch.setattr(sources, "TIMEOUT_SECONDS", 30)
    with server(answer(only.encode(), len(only))) as whole, fault.control():
        serve_from(monkeypatch, whole.address)
        assert pull(workspace).replaced == ["posts"]


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.faults("a proxy in the environment")
def test_parts_call_each_other_past_a_proxy(fault: Fault, workspace: Workspace) -> None:
    result = {"language": "en", "model": {"name": "ner-en", "version": "1"}, "entities": [], "flags": []}
    body = json.dumps({"results": [result]}).encode()
    ask = ["predict", "Anna", "--json"]
    with server() as proxy, server(answer(body, len(body))) as gateway:
        variables = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), proxy.address)
        direct = run([NER, *ask, "--endpoint", gateway.address], workspace.root, **variables, NO_PROXY="", no_proxy="")
        with fault.control():
            assert direct.returncode == 0, direct.stdout
        assert (len(gateway.requests), proxy.requests) == (1, [])
        curl = ["curl", "--silent", "--max-time", "1", "--noproxy", "", gateway.address]
        fault.happened(run(curl, workspace.root, **variables).returncode and proxy.requests)  # others go through it
