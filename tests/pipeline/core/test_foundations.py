"""Files that are whole or absent, parameters, and stages that end with their command."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import reduce
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from multiner.pipeline.config.schema import NOT_IN_PROFILES
from multiner.pipeline.config.settings import Paths, Workspace, find_root, load_params, overlay
from multiner.pipeline.config.yaml_file import read_yaml_file
from multiner.pipeline.core.document import Span, from_words, read_jsonl, write_jsonl
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import replace_folder, write_atomically
from multiner.pipeline.core.processes import is_running


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError):  # noqa: PT012 (the block is what fails)
        with write_atomically(path) as file:
            file.write("half")
            raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with replace_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(RuntimeError):  # noqa: PT012 (the block is what fails)
        with replace_folder(folder) as temporary:
            (temporary / "b").write_text("2")
            raise RuntimeError
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [folder]


def test_documents_survive_the_way_to_a_file_and_back(tmp_path: Path) -> None:
    document = from_words("d1", [["Ада", "🙂"], ["Осло"]], [Span(2, 3, "LOC")], lines=[4, 7], corpus="c", split="dev")
    write_jsonl(tmp_path / "d.jsonl", [document])
    assert list(read_jsonl(tmp_path / "d.jsonl")) == [document]
    assert document.text == "Ада 🙂\nОсло"
    assert document.span_text(document.spans[0]) == "Осло"


def test_halves_are_about_equal_and_fixed() -> None:
    halves = [from_words(f"corpus/{number}", [["x"]]).half() for number in range(400)]
    assert 160 < halves.count("tune") < 240
    assert halves[:4] == [from_words(f"corpus/{number}", [["x"]]).half() for number in range(4)]


def test_profiles_overlay_the_parameters(root: Path) -> None:
    assert overlay({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2]}) == {"a": {"b": 3, "c": 2}, "d": [2]}
    for path in sorted((root / "params").glob("*.yaml")):
        params = load_params(root, path.stem)
        assert params["profile"] == path.stem


def tracked(root: Path) -> Iterator[tuple[str, str, str, set[str], set[str]]]:
    """Stages of dvc.yaml by language: stage, language, start, keys of params.yaml, keys of the profile's file.

    In the keys of a stage that reads another language's documents, ``*`` stands for that language.
    """
    graph = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    for name, stage in graph["stages"].items():
        for code in stage.get("foreach", ()):
            each = stage["foreach"][code].get("start", "") if isinstance(stage["foreach"], dict) else ""
            params = stage["do"].get("params", [])
            here = [key for key in params if isinstance(key, str)]
            above = [key for part in params if isinstance(part, dict) for key in part["params/${profile}.yaml"]]
            names = {"${item}": code, "${key}": code, "${item.language}": "*"}
            keys = ({reduce(lambda key, name: key.replace(*name), names.items(), key) for key in part}
                    for part in (here, above))  # fmt: skip
            yield name, code, each, *keys


def test_every_profile_has_the_keys_that_the_graph_tracks(root: Path) -> None:
    """DVC refuses a stage one of whose keys is missing."""
    expected = {key.replace("*", "en") for *_, keys in tracked(root) for key in keys}
    assert {"transformer", "languages.en.transformer", "languages.ru.spacy"} <= expected
    for path in [root / "params.yaml", *sorted((root / "params").glob("*.yaml"))]:
        lines = read_yaml_file(path).lines
        assert not {key for key in expected if tuple(key.split(".")) not in lines}, path.name


def encoder_keys(stage: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The keys of params.yaml that the stage tracks, and those of the profile."""
    (profile,) = (each for each in stage["params"] if isinstance(each, dict))
    return [each for each in stage["params"] if isinstance(each, str)], next(iter(profile.values()))


def test_every_stage_of_the_graph_has_every_language(root: Path) -> None:
    """The DAGs read the languages in params.yaml, and the stages of each in dvc.yaml."""
    graph = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    lists = {name: list(stage["foreach"]) for name, stage in graph.items() if "foreach" in stage}
    assert len(lists) == len(graph) - 1, "the encoder alone has no language"
    workspace = Workspace(root, load_params(root, "cpu"))
    languages = workspace.languages
    starting = [code for code in languages if workspace.section("transformer", code)["start"]]
    assert lists.pop("train_start") == starting == ["ru"]
    assert all(each == languages for each in lists.values())
    for path in (root / "params").glob("*.yaml"):
        assert list(yaml.safe_load(path.read_text(encoding="utf-8"))["languages"]) == languages, path.name
    here, above = ({key for key in keys if key.startswith("languages")} for keys in encoder_keys(graph["encoder"]))
    assert here == above == {f"languages.{code}.transformer" for code in languages}


def test_what_a_profile_may_set_is_tracked_wherever_params_yaml_is(root: Path) -> None:
    for name, _, _, here, above in tracked(root):
        for key in here:
            refused = any(fnmatchcase(key, pattern) for pattern in NOT_IN_PROFILES)
            covered = any(key == other or key.startswith(f"{other}.") for other in above)
            assert refused or covered, (name, key)


def test_a_stage_of_one_language_tracks_no_other_languages_values(root: Path) -> None:
    for name, code, _, here, above in tracked(root):
        own = [key for key in here | above if key.startswith("languages")]
        if name == "train_start":  # its documents are another language's, and all else is its own
            own = [key for key in own if key not in ("languages.*.train_on", "languages.*.types")]
        assert all(key.split(".")[1] == code and len(key.split(".")) > 2 for key in own), name
    base = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for section in ("transformer", "spacy", "ensemble", "export"):  # where a change costs a training
        text = yaml.safe_dump(base[section])
        assert not any(f" {code}:" in text for code in base["languages"]), section


def test_dvc_and_the_parameters_start_each_language_from_the_same_weights(root: Path) -> None:
    stages = [(name, code, each) for name, code, each, *_ in tracked(root) if each]
    assert {"train_transformer", "out_of_fold"} <= {name for name, *_ in stages}
    workspace = Workspace(root, load_params(root, "cpu"))
    for name, code, each in stages:
        start = workspace.section("transformer", code)["start"]
        path = Paths(root, "${profile}").start(code) if start else workspace.paths.packaged_encoders
        assert each == path.relative_to(root).as_posix(), (name, code)
    graph = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for code, each in graph["train_start"]["foreach"].items():
        assert each == {"language": workspace.section("transformer", code)["start"]}, code


def test_bad_parameters_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NER_ROOT", raising=False)
    with pytest.raises(NerError, match="no workspace"):
        find_root(tmp_path)
    (tmp_path / "params").mkdir()
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text("profile: nowhere\n")
    with pytest.raises(NerError, match="unknown profile 'nowhere'"):
        load_params(tmp_path)
    (tmp_path / "params.yaml").write_text("profile: cpu\nseed: [1\n")
    with pytest.raises(NerError, match=r"params\.yaml:\d"):
        load_params(tmp_path)


@pytest.mark.parametrize(("name", "refused"), [("a%20b", "%"), ("what?", "?"), ("no. #1 & more é", None)])
def test_a_path_that_no_databases_address_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, refused: str | None
) -> None:
    folder = tmp_path / name
    (folder / "below").mkdir(parents=True)
    for file in ("params.yaml", "dvc.yaml"):
        (folder / file).write_text("{}\n")
    monkeypatch.delenv("NER_ROOT", raising=False)
    if refused is None:
        assert find_root(folder / "below") == folder
        return
    with pytest.raises(NerError, match=f"path holds '[{refused}]'") as caught:
        find_root(folder / "below")
    assert caught.value.where == str(folder)


def test_a_workspace_whose_path_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """MLflow would write beside it, into a folder with U+FFFD in its name."""
    folder = tmp_path / os.fsdecode(b"a\xffb")
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).touch()
    with pytest.raises(NerError, match="not UTF-8"):
        find_root(folder)


def test_an_unknown_language_is_named(root: Path) -> None:
    with pytest.raises(NerError, match="unknown language 'xx'"):
        Workspace(root, load_params(root)).language("xx")


def test_a_process_that_ends_while_it_is_looked_at_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    process = psutil.Process()
    assert is_running(process)

    def gone() -> str:
        raise psutil.NoSuchProcess(process.pid)

    monkeypatch.setattr(process, "status", gone)
    assert not is_running(process)


def test_a_stage_ends_with_the_command_that_started_it(tmp_path: Path) -> None:
    """As when ``dvc repro`` is killed: the stage notices, and does not train on beside its successor."""
    stage = (
        "import time; from multiner.pipeline.core.processes import end_with_dvc; end_with_dvc(seconds=0.1); "
        "print('up', flush=True); time.sleep(60)"
    )
    (tmp_path / "dvc").write_text(
        textwrap.dedent(f"""
        import os, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", {stage!r}], stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
        child.wait()
    """)
    )
    parent = subprocess.Popen([sys.executable, str(tmp_path / "dvc")], stdout=subprocess.PIPE, text=True)
    stage_pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    limit = time.monotonic() + 20
    while psutil.pid_exists(stage_pid) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not psutil.pid_exists(stage_pid)


def test_a_folder_that_another_machine_writes_is_left_alone(tmp_path: Path) -> None:
    """A process in a namespace of its own, as in another container, does not know the ids of this one."""
    code = "import sys; from pathlib import Path; from multiner.pipeline.core.files import replace_folder\n"
    code += "with replace_folder(Path(sys.argv[1])) as folder: (folder / 'theirs').touch()"
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    with replace_folder(tmp_path / "out") as folder:
        (folder / "ours").touch()
        subprocess.run([*command, str(tmp_path / "out")], check=True)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["theirs"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ours"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.faults("kill -9 while an output is written")
def test_a_folder_is_replaced_as_a_whole_and_leftovers_of_the_killed_are_removed(tmp_path: Path) -> None:
    place = tmp_path / "out"
    killed = "import os, sys; from pathlib import Path; from multiner.pipeline.core.files import replace_folder\n"
    killed += "with replace_folder(Path(sys.argv[1])) as folder: (folder / 'half').touch(); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", killed, str(place)], check=False).returncode == -9
    assert [path.name for path in tmp_path.iterdir()] != []
    assert not place.exists()
    for content in ("first", "second"):
        with replace_folder(place) as folder:
            (folder / content).touch()
        assert [path.name for path in place.iterdir()] == [content]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
