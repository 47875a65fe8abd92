"""A model version at work in a process of its own, with the code that was frozen with it."""

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
from multiner.pipeline.core.environment import quiet_environment
from multiner.pipeline.inference.ask import REPEATS

ASK = Path(__file__).with_name("ask.py")
SECONDS = 3600  # a process that hangs must end some time: so many seconds to load and answer what is short
SLOWEST = 20  # and one more for so many tokens: a tenth of what a slow core reads
PROGRESS = re.compile(r"\| (\d+)/(\d+) \[")  # of a progress bar in a log
TAIL = 600  # characters of what a failed process said


class ProcessFailed(Exception):
    """The process ended with an error, or did not end; the message is the last of what it said."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered to each text, in how many milliseconds, and how long it took to load."""

    answers: list[Any]
    milliseconds: list[float]
    load_seconds: float


def ask(model: Path, texts: list[str], repeats: int = REPEATS) -> Answers:
    """Load the model with MLflow and ask it each text alone.

    Args:
        model: folder of an MLflow model.
        texts: what to ask.
        repeats: how often each text is asked; the quickest answer gives its milliseconds.

    Raises:
        ProcessFailed: it does not load, or does not answer.
    """
    with TemporaryDirectory(prefix="ner-gate-") as folder:
        (Path(folder) / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        run_python(model, Path(folder), "-P", str(ASK), str(model), "texts.json", "answers.json", str(repeats))
        return Answers(**json.loads((Path(folder) / "answers.json").read_text(encoding="utf-8")))


def limit(documents: Sequence[Document]) -> int:
    """The seconds after which a process that predicts ``documents`` is taken to hang."""
    return SECONDS + sum(len(document.tokens) for document in documents) // SLOWEST


def predict(
    model: Path, documents: list[Document], advance: Callable[[int], object] = lambda _: None
) -> list[list[Span]]:
    """The model's spans for each document; it does not get to see the gold ones.

    Args:
        model: folder of an MLflow model.
        documents: what to ask.
        advance: called with the number of documents done since the last call, every quarter of a minute.

    Raises:
        ProcessFailed: it ended with an error, or not within :func:`limit`.
    """
    done = 0

    def heard(line: str) -> None:
        nonlocal done
        if (found := PROGRESS.search(line)) and int(found[2]) == len(documents):
            advance(int(found[1]) - done)
            done = int(found[1])

    with TemporaryDirectory(prefix="ner-gate-") as folder:
        write_jsonl(Path(folder) / "documents.jsonl", [document.with_spans([]) for document in documents])
        options = ["--model", str(model), "--documents", "documents.jsonl", "--output", "spans.jsonl"]
        run_python(
            model,
            Path(folder),
            "-m",
            _entry(model),
            *options,
            seconds=limit(documents),
            heard=heard,
        )
        lines = [json.loads(line) for line in (Path(folder) / "spans.jsonl").open(encoding="utf-8")]
    if [line["id"] for line in lines] != [document.id for document in documents]:
        raise ProcessFailed("the predictions are not those of the documents")
    return [[Span(*span) for span in line["spans"]] for line in lines]


@contextmanager
def conversation(model: Path) -> Iterator[Callable[[str], Any]]:
    """The model in a process of its own that answers one text after the other, for as long as the context lasts.

    The function it gives raises :class:`ProcessFailed` where the process does not answer.
    """
    with TemporaryDirectory(prefix="ner-ask-") as folder, (Path(folder) / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", str(ASK), str(model)], cwd=folder, env=_environment(model, Path(folder)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
        )  # fmt: skip

        def answer(text: str) -> Any:
            try:
                print(json.dumps(text), file=process.stdin, flush=True)
                line = process.stdout.readline() if process.stdout else ""
            except BrokenPipeError:
                line = ""
            if not line:
                process.wait()
                log.seek(0)
                raise ProcessFailed(f"exit status {process.returncode}: {log.read().strip()[-TAIL:]}")
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
    heard: Callable[[str], object] = lambda _: None,
) -> None:
    """Run Python in ``folder`` with the model's own code first on its path.

    Args:
        model: folder of an MLflow model.
        folder: where it runs.
        arguments: Python's.
        seconds: after which it is ended.
        heard: called with each line that it says, the states of a progress bar among them.

    Raises:
        ProcessFailed: any exit status but 0, or it did not end in time.
    """
    said: deque[str] = deque(maxlen=TAIL)
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
                heard(line)
                if not PROGRESS.search(line):
                    said.append(line)
            process.wait()
        finally:
            watch.cancel()
            process.kill()
    if late.is_set():
        raise ProcessFailed(f"no answer within {seconds:,.0f} seconds")
    if process.returncode:
        raise ProcessFailed(f"exit status {process.returncode}: {''.join(said).strip()[-TAIL:]}")


def _environment(model: Path, folder: Path) -> dict[str, str]:
    """That of a process which works in ``folder`` with the model's own code."""
    return quiet_environment(
        PYTHONPATH=str(model / "code"),
        PYTHONDONTWRITEBYTECODE="1",
        MLFLOW_TRACKING_URI=f"sqlite:///{folder}/none.db",  # a model is files only; nothing is to be looked up
    )


def _entry(model: Path) -> str:
    """The module that predicts documents; versions of before the package ``multiner`` have it under another name."""
    return "multiner.pipeline.inference.documents" if (model / "code" / "multiner").is_dir() else "pipeline.predict"
