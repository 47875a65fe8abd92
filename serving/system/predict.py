"""The command `ner predict`: the entities of texts, from a gateway or from champions that are started here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import click

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.text.languages import AUTO
from multiner.pipeline.text.surrogates import without_surrogates

BATCH_TEXTS = 16
BATCH_CHARACTERS = 50_000
RETRIES = 2
ENCODE = "Convert it to UTF-8, for example from Windows-1251: iconv -f WINDOWS-1251 -t UTF-8"
MAX_WAIT = 10  # seconds, for a model that restarts
COLOURS = {"PER": 130, "LOC": 22, "ORG": 20}  # of the terminal's 256: orange, green, blue
OTHER_COLOUR = 55  # purple


def read_texts(arguments: Sequence[str], files: Iterable[Path] = (), stdin: BinaryIO | None = None) -> Iterator[str]:
    """Each argument, then each line of each file and of ``stdin``.

    Raises:
        NerError: a file cannot be read, or an argument or a line is not UTF-8.
    """
    for number, argument in enumerate(arguments, 1):
        if argument != without_surrogates(argument):  # surrogates stand for bytes that are not UTF-8
            raise NerError("not UTF-8", where=f"text {number} of the command", remedy=ENCODE)
        yield argument
    for path in files:
        try:
            with path.open("rb") as lines:
                yield from _decoded(lines, str(path))
        except OSError as error:
            raise NerError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if stdin is not None:
        yield from _decoded(stdin, "standard input")


def _decoded(lines: Iterable[bytes], where: str) -> Iterator[str]:
    """Decode lines from UTF-8, without their ends (LF or CR LF) and without a byte order mark."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problem = f"not UTF-8: byte 0x{line[error.start]:02x}"
            raise NerError(problem, where=f"{where}:{number}", remedy=ENCODE) from None
        yield text.removesuffix("\n").removesuffix("\r")


def predict_remote(endpoint: str, texts: Iterable[str], language: str = AUTO) -> Iterator[dict[str, Any]]:
    """A gateway's result for each text: ``text``, ``language``, ``model``, ``entities``.

    Args:
        endpoint: the gateway's address, with or without ``/v1/entities``.
        texts: read one by one, as needed.
        language: ``auto`` or a code.

    Raises:
        ServiceError: the gateway does not answer, or refuses.
    """
    from multiner.serving.client.blocking import Client
    from multiner.serving.client.protocol import ServiceError

    with Client(endpoint, retries=RETRIES, max_wait=MAX_WAIT, batch=BATCH_TEXTS, characters=BATCH_CHARACTERS) as client:
        try:
            for result in client.stream(texts, language):
                yield result.to_json()
        except ServiceError as error:
            if error.status is None:
                error.remedy = "Start it with: ner deploy, or leave out --endpoint to predict in this process."
            raise


def predict_here(workspace: Workspace, texts: Iterable[str], language: str = AUTO) -> Iterator[dict[str, Any]]:
    """The champions' results, as of :func:`predict_remote`.

    Each champion is started when it is first needed, in a process with the code that was frozen with it. So it answers
    as it did at its promotion, whatever the project's code is now.

    Raises:
        NerError: unknown language, no champion for it, or it does not load or answer.
    """
    from multiner.pipeline.annotate import CHAMPION, registered_model
    from multiner.pipeline.inference import isolated_process
    from multiner.serving.answers import ModelFailed
    from multiner.serving.routing.segmentation import merge_answers, split_by_language

    if language != AUTO:
        workspace.language(language)
    models: dict[str, tuple[Callable[[str | list[str]], Any], dict[str, str]]] = {}
    with ExitStack() as processes:

        def ask(code: str, text: str) -> tuple[dict[str, Any], dict[str, str]]:
            if code not in models:
                folder, name, version = registered_model(workspace, code, CHAMPION)
                answer = processes.enter_context(isolated_process.conversation(folder))
                models[code] = answer, {"name": name, "version": version}
            answer, model = models[code]
            return answer(without_surrogates(text)), model

        for text in texts:
            own = split_by_language(text, language, workspace.languages)
            try:
                answers, sources = zip(*(ask(each.language, each.text) for each in own), strict=True)
                yield {"text": text} | merge_answers(text, own, answers, sources)
            except (isolated_process.ProcessFailed, ModelFailed) as error:
                raise NerError(
                    f"the champion does not answer: {error}",
                    where=" and ".join(f"{model['name']} version {model['version']}" for _, model in models.values()),
                    remedy="Go back to the former champion: ner rollback LANG; or train anew: ner run.",
                ) from None


def write(results: Iterable[dict[str, Any]], output: TextIO, json_lines: bool) -> None:
    """Write each result: the coloured text, or a line of JSON."""
    for result in results:
        if json_lines:
            print(dump(result, output.encoding or "utf-8"), file=output, flush=True)
        else:
            # without colours where the output is no terminal, or NO_COLOR is set
            colour = False if os.environ.get("NO_COLOR") else None
            click.echo(coloured(result["text"], result["entities"]), file=output, color=colour)


def dump(result: dict[str, Any], encoding: str = "utf-8") -> str:
    """A result as one line of JSON; in ASCII if the encoding lacks one of its characters (UTF-8: lone surrogates)."""
    line = json.dumps(result, ensure_ascii=False)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(result)
    return line


def coloured(text: str, entities: Sequence[dict[str, Any]]) -> str:
    """The text with each entity on its type's colour, followed by the type."""
    line, at = "", 0
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        colour = COLOURS.get(entity["label"], OTHER_COLOUR)
        line += _printable(text[at : entity["start"]])
        line += click.style(_printable(text[entity["start"] : entity["end"]]), fg="bright_white", bg=colour, bold=True)
        line += click.style(f" {entity['label']}", dim=True)
        at = entity["end"]
    return line + _printable(text[at:])


def _printable(text: str) -> str:
    """The text without control characters, which would change the terminal."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text)
