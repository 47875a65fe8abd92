"""The command line: every stage is there and explains itself; errors are clear and never a stack trace."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from multiner.pipeline import cli, registry
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.registry.lineage import PACKAGE, code_closure

NER = Path(sys.executable).parent / "ner"
STAGES = [
    "pull",
    "validate",
    "prepare",
    "encoder",
    "vectors",
    "train",
    "export",
    "out-of-fold",
    "ensemble",
    "evaluate",
    "annotate",
    "register",
    "promote",
]
SYSTEM = [
    "run",
    "up",
    "down",
    "status",
    "deploy",
    "rollback",
    "predict",
    "readme",
    "behave",
    "history",
    "compare",
    "reproduce",
    "convert",
    "score",
]


def ner(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in quiet_environment(**environment).items() if name != "NER_ROOT"}
    return subprocess.run([NER, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_help_lists_every_command(root: Path) -> None:
    process = ner("--help", cwd=root)
    assert process.returncode == 0
    listed = {line.split()[0] for line in process.stdout.splitlines() if line.startswith("  ") and line.split()}
    assert listed >= {*STAGES, *SYSTEM}


@pytest.mark.parametrize("command", [*STAGES, *SYSTEM])
def test_each_command_explains_itself(command: str) -> None:
    groups = [entry.load() for entry in entry_points(group="ner.commands")]
    (group,) = [group for group in groups if command in group.commands]
    outcome = CliRunner().invoke(group, [command, "--help"], catch_exceptions=False)
    assert outcome.exit_code == 0
    assert len(outcome.output.split("Options:")[0].split()) > 6, outcome.output


def test_outside_a_workspace(tmp_path: Path) -> None:
    process = ner("prepare", "--language", "en", cwd=tmp_path)
    assert process.returncode == 1
    assert "no workspace found" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_package_of_another_extra_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["ner", "validate", "--language", "en"])
    monkeypatch.setitem(sys.modules, "great_expectations", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "multiner.pipeline.validation.stage", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "great_expectations is not installed" in capsys.readouterr().err


def test_an_unknown_language_and_option(root: Path) -> None:
    process = ner("prepare", "--language", "xx", cwd=root)
    assert process.returncode == 1
    assert "unknown language 'xx'" in process.stderr
    process = ner("prepare", "--langauge", "en", cwd=root)
    assert process.returncode == 2
    assert "No such option" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(("transient", "code"), [(False, 1), (True, 75)])
def test_the_exit_code_tells_what_may_pass_by_itself(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, transient: bool, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NerError("cannot be reached", transient=transient)

    monkeypatch.chdir(root)
    monkeypatch.setattr("multiner.pipeline.corpora.pull.pull", fail)
    monkeypatch.setattr(sys, "argv", ["ner", "pull"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/srv/x.txt"), 1, "error: /srv/x.txt: Permission denied ("),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a"), 1, "error: a: Is a directory (IsADirectoryError at "),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: No space left on device ("),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), 75, "error: Connection reset ("),
        (TimeoutError("timed out"), 75, "error: timed out ("),
    ],
)
def test_an_error_of_the_system_is_a_message(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, error: OSError, code: int, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.chdir(root)
    monkeypatch.setattr("multiner.pipeline.corpora.pull.pull", fail)
    monkeypatch.setattr(sys, "argv", ["ner", "pull"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err.startswith(message)


def test_a_full_standard_output_is_a_message(root: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run([NER, "status"], cwd=root, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == 1
    assert "No space left on device" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("arguments", [["3"], ["--reason", "a better one"]])
def test_an_order_needs_a_version_and_a_reason(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.commands, ["promote", "--language", "en", *arguments])
    assert result.exit_code == 2
    assert "VERSION and --reason go together" in result.output


def test_an_order_is_passed_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[tuple[object, ...]] = []

    def promote_version(workspace: object, language: str, version: str, *, reason: str) -> str:
        orders.append((language, version, reason))
        return version

    monkeypatch.chdir(root)
    monkeypatch.setattr("multiner.pipeline.registry.promote_version", promote_version)
    result = CliRunner().invoke(cli.commands, ["promote", "3", "-l", "en", "--reason", "a better one"])
    assert result.exit_code == 0
    assert orders == [("en", "3", "a better one")]


@pytest.fixture
def own_notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of notices, in place of the workspace's; no run report is written."""
    file = tmp_path / "notices.jsonl"
    monkeypatch.setenv("NER_NOTICES_FILE", str(file))
    monkeypatch.setattr("multiner.pipeline.registry.run_report.write_run_report", lambda *_: "runs/1")
    return file


def promotion(**fields: object) -> registry.Promotion:
    return registry.Promotion("ner-en", "2", "1", False, ["latency: the slowest golden sample took 2500 ms"], **fields)


@pytest.mark.parametrize(("final", "code"), [(True, 0), (False, 75)])
def test_a_gate_that_could_not_judge_is_no_regular_end(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    own_notices: Path,
    final: bool,
    code: int,
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr("multiner.pipeline.registry.promote", lambda *_, **__: promotion(final=final))
    monkeypatch.setattr(sys, "argv", ["ner", "promote", "--language", "en"])
    ended = 0
    try:
        cli.main()
    except SystemExit as error:
        ended = error.code
    assert ended == code
    printed_text = capsys.readouterr()
    assert "latency" in printed_text.out
    assert "the champion stays" in (printed_text.err if code else printed_text.out)
    assert own_notices.exists() is final, "a refusal makes a notice; where it failed, Airflow does"


@pytest.mark.parametrize(
    ("champion", "printed_text"), [(None, "there is no champion yet"), ("1", "the champion stays")]
)
def test_a_refused_challenger_leaves_the_champion_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, root: Path, own_notices: Path, champion: str | None, printed_text: str
) -> None:
    refused = registry.Promotion("ner-en", "2", champion, False, ["too bad"])
    monkeypatch.setattr(registry, "promote", lambda *_, **__: refused)
    monkeypatch.setenv("NER_ROOT", str(root))
    process = CliRunner().invoke(cli.promote, ["--language", "en"])
    assert process.output.splitlines()[0] == "too bad"
    assert process.output.splitlines()[1] == "run report: runs/1"
    assert printed_text in process.output.splitlines()[2]


def test_a_challenger_that_passed_and_waits_is_named_in_the_last_line(
    monkeypatch: pytest.MonkeyPatch, root: Path, own_notices: Path
) -> None:
    calls = []

    def promote(_: object, language: str, **options: object) -> registry.Promotion:
        calls.append(options)
        return registry.Promotion("ner-en", "3", "2", False, ["no worse"], passed=True, report="experiments/1/x.html")

    monkeypatch.setattr(registry, "promote", promote)
    monkeypatch.setenv("NER_ROOT", str(root))
    process = CliRunner().invoke(cli.promote, ["--language", "en", "--judge-only"])
    assert process.output.splitlines() == [
        "no worse",
        "run report: runs/1",
        "report: experiments/1/x.html",
        "to promote it: ner promote --language en --approved 3",
        "passed: version 3",
    ]
    CliRunner().invoke(cli.promote, ["--language", "en", "--approved", "3"])
    options = {"judge_only": True, "approved": None, "by": None}
    assert calls == [options, options | {"judge_only": False, "approved": "3"}]
    both = CliRunner().invoke(cli.promote, ["--language", "en", "--judge-only", "--approved", "3"])
    assert both.exit_code == 2


def test_a_broken_parameter_file(root: Path, tmp_path: Path) -> None:
    (tmp_path / "params").mkdir()
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text("profile: cpu\nseed: {1\n")
    process = ner("prepare", "--language", "en", cwd=tmp_path)
    assert process.returncode == 1
    assert "params.yaml:" in process.stderr
    assert "Traceback" not in process.stderr


def test_mistakes_in_parameters_stop_a_command_before_any_work(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "params", tmp_path / "params")
    shutil.copyfile(root / "dvc.yaml", tmp_path / "dvc.yaml")
    text = (root / "params.yaml").read_text(encoding="utf-8").replace("weight_step: 0.1", "weight_step: 0")
    text = text.replace("max_certain_loss:", "max_certain_losses:")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    process = ner("prepare", "--language", "en", cwd=tmp_path)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert "ensemble.weight_step: 0 should be" in process.stderr
    assert "did you mean max_certain_loss?" in process.stderr
    assert not (tmp_path / "data").exists()


def test_help_does_not_wait_for_the_schema() -> None:
    code = "import sys, multiner.pipeline.cli; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_stage_of_the_graph_is_a_command(root: Path) -> None:
    graph = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    for name, stage in graph["stages"].items():
        words = stage.get("do", stage)["cmd"].split()
        assert words[0] == "ner"
        assert words[1] in STAGES, name


ASIDE = re.compile(  # parameters are tracked by their values; the others change no result
    r"pipeline/(config/.*|corpora/.*|cli\.py|core/(cancellation|errors|files|progress|locks|processes|environment|dvc_locks|object_store|training_failures)\.py"
    r"|models/base\.py)|(.*/)?__init__\.py"
)
TRAINING = re.compile(
    r"pipeline/models/(transformer/(checkpoint|checkpoint_store|encoders|examples|fine_tuning|launcher|network|optimisation|training)|spacy/(training|vectors)"
    r"|pretrained/installation)\.py"
)


@pytest.mark.parametrize(
    ("stage", "entry", "aside"),
    [("ensemble", "ensemble/fit.py", TRAINING), ("evaluate", "evaluation/stage.py", re.compile("nothing"))],
)
def test_a_stage_depends_on_the_code_that_its_result_follows_from(
    root: Path, stage: str, entry: str, aside: re.Pattern[str]
) -> None:
    """A change there must not leave old figures standing beside new answers."""
    graph = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    deps = graph["stages"][stage]["do"]["deps"]
    modules = [path.relative_to(PACKAGE).as_posix() for path in code_closure([PACKAGE / "pipeline" / entry])]
    needed = [path for path in modules if not ASIDE.fullmatch(path) and not aside.fullmatch(path)]
    assert len(needed) > 10
    assert not [path for path in needed if not any(path == dep or path.startswith(f"{dep}/") for dep in deps)]


def test_the_graph_depends_on_files_that_are_there(root: Path) -> None:
    graph = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    for stage in graph["stages"].values():
        for path in stage.get("do", stage)["deps"]:
            if path.startswith("pipeline/"):
                assert (root / path).exists(), path
    assert os.access(root / ".ci" / "run", os.X_OK)
