"""The code blocks of the documents, and a user who types their lines in a folder that has the files they name."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.serving.documents.files import pdf

SHELL = ("console", "sh", "bash")
PROGRAM = ("python", "js")
FENCE = re.compile(r"^ *(?:```|~~~)", flags=re.M)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.S | re.M)
LINES = {
    "notes.conll": "Ingrid B-person\nHalvorsen I-person\nflew O\nto O\nOslo B-place\n. O\n",
    "train.txt": "1 Ingrid NNP B-PER\n2 Halvorsen NNP I-PER\n3 won VBD O\n4 Gold NN B-OTH\n5 . . O\n",
    "de.conll": "Käthe I-PER\naus O\nKöln I-Ort\nist O\nzwölf I-Zahl\n. O\n",
    "notes.conllu": "1\tIngrid\t_\t_\t_\t_\t_\t_\t_\tNER=B-PER\n2\tleft\t_\t_\t_\t_\t_\t_\t_\tNER=O|SpaceAfter=No\n"
    "3\t.\t_\t_\t_\t_\t_\t_\t_\tNER=O\n\n",
    "project/note.txt": "Ingrid Halvorsen left on Monday.\n",
    "project/note.ann": "T1\tPerson 0 16\tIngrid Halvorsen\nT2\tDate 25 31\tMonday\n",
    "articles/a.jsonl": '{"url": "https://example.org/1", "body": "Ingrid Halvorsen flew to Oslo."}\n',
}


ELSEWHERE = {  # what a block holds: where its lines are run instead
    "$ make run": "tests/e2e/test_main_job.py, on slices of the corpora",
    "$ make test": "make test, of which this is a part",
    "tritonclient": "make clients",
    "@huggingface/inference": "make clients",
    "presidio_analyzer": "tests/serving/client/test_presidio.py",
    "training = train(": "tests/docs/test_third_language.py",
    "SparkSession": "make test-spark",
    "docker compose": "tests/docker/test_compose.py, without a Docker daemon",
    "AIRFLOW__": "make integration",
    "/admin/actions": "docs/first-hour.md, another order of the same form",
    "ner rollback en": "docs/first-hour.md",
    "benchmarks/scaling.py": "tests/benchmarks/test_scaling_benchmark.py",
    "NER_NODE": "tests/pipeline/models/test_launcher.py, without the command line",
    "ner search": "tests/pipeline/search/test_search.py, without the command line",
    "spacy download": "make run, with another profile; the download wants a model hub",
    "the package rich is not installed": "tests/test_packages.py, of other commands",
}
PAGES_ELSEWHERE = ("docs/first-hour.md", "docs/tutorials/third_language.md")  # typed whole, by tests of their own


@dataclass(frozen=True)
class Example:
    """A code block.

    Attributes:
        page: the document's path within the repository.
        language: that the block is marked with.
        code: its text.
    """

    page: str
    language: str
    code: str

    def commands(self) -> list[tuple[str, str]]:
        """The commands of a shell's block, each with the output that the block shows for it."""
        prompt = "$ " if self.language == "console" else ""
        commands: list[tuple[str, str]] = []
        for line in self.code.splitlines(keepends=True):
            if commands and not commands[-1][1] and unfinished(commands[-1][0]):
                commands[-1] = (commands[-1][0] + line, "")
            elif line.startswith(prompt):
                commands.append((line.removeprefix(prompt), ""))
            else:
                commands[-1] = (commands[-1][0], commands[-1][1] + line)
        return commands


def unfinished(command: str) -> bool:
    """Whether a command goes on in the next line."""
    try:
        shlex.split(command, comments=True)
    except ValueError:  # a quotation is open
        return True
    return command.rstrip("\n").endswith(("\\", "|"))


def elsewhere(example: Example) -> list[str]:
    """The keys of ``ELSEWHERE`` that a block holds."""
    return [phrase for phrase in ELSEWHERE if phrase in example.code]


def examples(root: Path) -> Iterator[Example]:
    """The blocks of commands and programs in README.md and docs."""
    for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        assert len(FENCE.findall(text)) == 2 * len(BLOCK.findall(text)), f"{path}: a block of another form"
        for language, code in BLOCK.findall(text):
            if language in SHELL + PROGRAM:
                yield Example(path.relative_to(root).as_posix(), language, code)


def write_files(folder: Path) -> None:
    """The files that the blocks read."""
    for name, text in LINES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="latin-1" if name == "de.conll" else "utf-8")
    (folder / "report.pdf").write_bytes(pdf(["Ingrid Halvorsen flew to Oslo."], ["Nobody met her there."]))


class User:
    """Who types the lines of the documents.

    Args:
        folder: an empty one, where the lines are typed; it gets the files that they read.
        environment: the variables of the shell.
        gateway: its address, in place of that in the documents.
        names: in place of names in the documents, such as that of a model.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], gateway: str, names: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.names = {"http://127.0.0.1:8000": gateway, "localhost:8000": gateway.removeprefix("http://"), **names}
        write_files(folder)

    def translated(self, text: str) -> str:
        """A text with the names as they are here."""
        for name, here in self.names.items():
            text = text.replace(name, here)
        return text

    def type(self, example: Example) -> None:
        """Run what a block holds; raises if a line fails, or prints something else than the block shows."""
        if example.language == "python":
            (self.folder / "example.py").write_text(self.translated(example.code), encoding="utf-8")
            self._run("python example.py", example.page + "\n" + example.code)
            return
        for command, shown in example.commands():
            printed = self._run(self.translated(command), example.page)
            assert not shown or pattern(self.translated(shown)).fullmatch(printed), (example.page, command, printed)

    def _run(self, line: str, where: str) -> str:
        failing = 'curl() { command curl --fail-with-body "$@"; }\nset -eo pipefail\n'  # an answer of 4xx is a failure
        done = subprocess.run(
            ["bash", "-c", failing + line], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{where}\n$ {line}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout


def pattern(shown: str) -> re.Pattern[str]:
    """An output that a block shows: any number may stand for a number, and anything for an ellipsis."""
    text = re.sub(r"[\d,]*\d", r"[\\d,]*\\d", re.escape(shown.strip()).replace("…", ".*"))
    return re.compile(text + r"\s*")
