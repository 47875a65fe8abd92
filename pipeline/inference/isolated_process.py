"""Predicting with a model version in a separate process, with the code that is part of the version."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Timer
from typing import Any

from multiner.pipeline.core.document import Document, Span, write_jsonl
from multiner.pipeline.core.environment import THREADS, quiet_environment
from multiner.pipeline.inference.ask import REPEATS

ASK = Path(__file__).with_name("ask.py")
SECONDS = 3600  # time limit for loading and short texts
SLOWEST = 20  # tokens per further second of the limit: a tenth of the speed of a slow core
PROGRESS = re.compile(r"\| (\d+)/(\d+) \[")  # a progress bar in a log
TAIL = 600  # characters of a failed process's output in the message


class ProcessFailed(Exception):
    """The process ended with an error or exceeded its time limit; the message has the end of its output.

    Attributes:
        killed: whether a signal ended it, as where memory is short.
    """

    def __init__(self, message: str, *, killed: bool = False) -> None:
        super().__init__(message)
        self.killed = killed


@dataclass(frozen=True, slots=True)
class Answers:
    """The answer to each text, the milliseconds that it took, and the seconds to load the model."""

    answers: list[Any]
    milliseconds: list[float]
    load_seconds: float


def ask(model: Path, texts: list[str], repeats: int = REPEATS) -> Answers:
    """Load the model in the folder ``model`` with MLflow, and send it each text alone, ``repeats`` times.

    Raises:
        ProcessFailed: the model does not load or answer.
    """
    with TemporaryDirectory(prefix="ner-gate-") as folder:
        (Path(folder) / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        run_python(model, Path(folder), "-P", str(ASK), str(model), "texts.json", "answers.json", str(repeats))
        return Answers(**json.loads((Path(folder) / "answers.json").read_text(encoding="utf-8")))


def limit(documents: Sequence[Document]) -> int:
    """The time limit, in seconds, for predicting ``documents``."""
    return SECONDS + sum(len(document.tokens) for document in documents) // SLOWEST


def predict(
    model: Path, documents: list[Document], advance: Callable[[int], object] = lambda _: None
) -> list[list[Span]]:
    """The model's spans for each document; it does not see the gold spans.

    ``advance`` is called every quarter of a minute with the number of documents since the last call.

    Raises:
        ProcessFailed: the process ended with an error, or exceeded :func:`limit`.
    """
    count = 0

    def follow(line: str) -> None:
        nonlocal count
        if (match := PROGRESS.search(line)) and int(match[2]) == len(documents):
            advance(int(match[1]) - count)
            count = int(match[1])

    with TemporaryDirectory(prefix="ner-gate-") as folder:
        write_jsonl(Path(folder) / "documents.jsonl", [document.with_spans([]) for document in documents])
        options = ["--model", str(model), "--documents", "documents.jsonl", "--output", "spans.jsonl"]
        run_python(model, Path(folder), "-m", _module(model), *options, seconds=limit(documents), on_line=follow)
        lines = [json.loads(line) for line in (Path(folder) / "spans.jsonl").open(encoding="utf-8")]
    if [line["id"] for line in lines] != [document.id for document in documents]:
        raise ProcessFailed("the predictions are not those of the documents")
    return [[Span(*span) for span in line["spans"]] for line in lines]


@contextmanager
def conversation(model: Path, threads: int | None = None) -> Iterator[Callable[[str | list[str]], Any]]:
    """A process with the model, as a function from a text to its answer, or from a list of texts to their answers.

    The process ends with the context, or when this process ends. The function raises :class:`ProcessFailed` if the
    process does not answer.

    Args:
        model: folder of an MLflow model.
        threads: CPU threads of the process; None: as many as this one has.
    """
    with TemporaryDirectory(prefix="ner-ask-") as folder, (Path(folder) / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", str(ASK), str(model)], cwd=folder,
            env=_environment(model, Path(folder)) | thread_environment(threads),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
        )  # fmt: skip

        def answer(question: str | list[str]) -> Any:
            try:
                print(json.dumps(question), file=process.stdin, flush=True)
                line = process.stdout.readline() if process.stdout else ""
            except BrokenPipeError:
                line = ""
            if not line:
                process.wait()
                log.seek(0)
                message = f"exit status {process.returncode}: {log.read().strip()[-TAIL:]}"
                raise ProcessFailed(message, killed=process.returncode < 0)
            return json.loads(line)

        try:
            yield answer
        finally:
            process.kill()
            process.communicate()


def run_python(
    model: Path,
    folder: Path,
    *arguments: str,
    seconds: float = SECONDS,
    on_line: Callable[[str], object] = lambda _: None,
) -> None:
    """Run Python in ``folder``, with the model's own code first on the path.

    ``on_line`` is called with each line of output, progress bars included.

    Raises:
        ProcessFailed: the exit status is not 0, or the process exceeded the time limit.
    """
    output: deque[str] = deque(maxlen=TAIL)
    late = Event()
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=_environment(model, folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip

        def stop() -> None:
            late.set()
            process.kill()

        watch = Timer(seconds, stop)
        watch.start()
        try:
            for line in process.stdout or ():
                on_line(line)
                if not PROGRESS.search(line):
                    output.append(line)
            process.wait()
        finally:
            watch.cancel()
            process.kill()
    if late.is_set():
        raise ProcessFailed(f"no answer within {seconds:,.0f} seconds")
    if process.returncode:
        raise ProcessFailed(f"exit status {process.returncode}: {''.join(output).strip()[-TAIL:]}")


def thread_environment(threads: int | None) -> dict[str, str]:
    """The environment variables by which a process with a model uses so many CPU threads; none for None."""
    names = (THREADS, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {} if threads is None else dict.fromkeys(names, str(threads))


def _environment(model: Path, folder: Path) -> dict[str, str]:
    """The environment of a process in ``folder`` that runs the model's own code."""
    return quiet_environment(
        PYTHONPATH=str(model / "code"),
        PYTHONDONTWRITEBYTECODE="1",
        MLFLOW_TRACKING_URI=f"sqlite:///{folder}/none.db",  # the model needs no registry
    )


def _module(model: Path) -> str:
    """The module that predicts documents; it has another name in versions from before the package ``multiner``."""
    return "multiner.pipeline.inference.documents" if (model / "code" / "multiner").is_dir() else "pipeline.predict"
