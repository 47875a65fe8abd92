"""The command `ner predict`: entities of texts, from a gateway or from the champions started here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.text.languages import AUTO
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.serving.answers import ModelFailed
from multiner.serving.routing.segmentation import merge_answers, split_by_language

if TYPE_CHECKING:
    from rich.text import Text

BATCH_TEXTS = 16
BATCH_CHARACTERS = 50_000
RETRIES = 2
ENCODE = "Convert it to UTF-8, for example from Windows-1251: iconv -f WINDOWS-1251 -t UTF-8"
MAX_WAIT = 10  # seconds, for a model that restarts
STYLES = {"PER": "bold white on dark_orange3", "LOC": "bold white on dark_green", "ORG": "bold white on blue3"}
OTHER_STYLE = "bold white on purple4"


def read_texts(arguments: Sequence[str], files: Iterable[Path] = (), stdin: BinaryIO | None = None) -> Iterator[str]:
    """The texts: each argument, then each line of each file, then each line of ``stdin``.

    Raises:
        NerError: a file cannot be read; or it, ``stdin`` or an argument is not UTF-8.
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
    """Lines in UTF-8 as texts, without their ends (LF or CR LF) and without a byte order mark at the beginning.

    Raises:
        NerError: a line is not UTF-8.
    """
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problem = f"not UTF-8: byte 0x{line[error.start]:02x}"
            raise NerError(problem, where=f"{where}:{number}", remedy=ENCODE) from None
        yield text.removesuffix("\n").removesuffix("\r")


def predict_remote(endpoint: str, texts: Iterable[str], language: str = AUTO) -> Iterator[dict[str, Any]]:
    """The results of a gateway, one for each text: ``text``, ``language``, ``model``, ``entities``.

    Args:
        endpoint: the gateway's address, with or without ``/v1/entities``.
        texts: read as they are needed.
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
    """The results of the champions, as of :func:`predict_remote`; each champion is started when first needed.

    It runs in a process of its own with the code that was frozen with it, so that it answers as at the gate, whatever
    the project's code is now.

    Raises:
        NerError: unknown language, no champion for it, or it does not load or answer.
    """
    from multiner.pipeline.inference import isolated_process

    if language != AUTO:
        workspace.language(language)
    models: dict[str, tuple[Callable[[str], Any], dict[str, str]]] = {}
    with ExitStack() as processes:

        def ask(code: str, text: str) -> tuple[dict[str, Any], dict[str, str]]:
            if code not in models:
                folder, name = _champion(workspace, code)
                models[code] = processes.enter_context(isolated_process.conversation(folder)), name
            answer, name = models[code]
            return answer(without_surrogates(text)), name

        for text in texts:
            parts = split_by_language(text, language, workspace.languages)
            try:
                answers, names = zip(*(ask(part.language, part.text) for part in parts), strict=True)
                yield {"text": text} | merge_answers(text, parts, answers, names)
            except (isolated_process.ProcessFailed, ModelFailed) as error:
                raise NerError(
                    f"the champion does not answer: {error}",
                    where=" and ".join(f"{name['name']} version {name['version']}" for _, name in models.values()),
                    remedy="Go back to the one before: ner rollback, or train anew: ner run.",
                ) from None


def _champion(workspace: Workspace, language: str) -> tuple[Path, dict[str, str]]:
    """The champion's folder, name and version."""
    from multiner.pipeline import registry
    from multiner.pipeline.registry.champions import model_folder

    champion = registry.champion(workspace, language)
    if champion is None:
        raise NerError(
            f"no champion for {language!r} in the registry",
            remedy=f"Train and promote one: ner register --language {language}",
        )
    return model_folder(champion), {"name": champion.name, "version": str(champion.version)}


def predict(
    workspace: Workspace | None,
    texts: Iterable[str],
    *,
    language: str = AUTO,
    endpoint: str | None = None,
    output: TextIO | None = None,
    json_lines: bool | None = None,
    limit: int | None = None,
) -> int:
    """Write the entities of each text, coloured on a terminal, else as JSON lines; returns the number of texts.

    Args:
        workspace: whose champions; not needed with ``endpoint``.
        texts: read as they are needed.
        language: ``auto`` or a code.
        endpoint: address of a gateway; None: load the champions here.
        output: where to; standard output by default.
        json_lines: whether to write JSON lines; by default if the output is no terminal.
        limit: of texts.

    Raises:
        NerError: see :func:`predict_remote` and :func:`predict_here`.
    """
    output = output or sys.stdout
    texts = islice(texts, limit)
    if endpoint:
        results = predict_remote(endpoint, texts, language)
    elif workspace is not None:
        results = predict_here(workspace, texts, language)
    else:
        raise NerError("neither a workspace nor an endpoint to ask", remedy="Give --endpoint, or run it in a clone.")
    if json_lines is None:
        json_lines = not output.isatty()
    write = _json_writer(output) if json_lines else _terminal_writer(output)
    count = 0
    for result in results:
        write(result)
        count += 1
    return count


def _json_writer(output: TextIO) -> Callable[[dict[str, Any]], None]:
    def write(result: dict[str, Any]) -> None:
        output.write(dump(result) + "\n")
        output.flush()

    return write


def _terminal_writer(output: TextIO) -> Callable[[dict[str, Any]], None]:
    from rich.console import Console

    console = Console(file=output, highlight=False, soft_wrap=True)
    return lambda result: console.print(coloured(result["text"], result["entities"]))


def dump(result: dict[str, Any]) -> str:
    """A result as one line of JSON; escaped where it holds lone surrogates, which UTF-8 cannot."""
    line = json.dumps(result, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        return json.dumps(result)
    return line


def coloured(text: str, entities: Sequence[dict[str, Any]]) -> Text:
    """The text with each entity on its type's colour, followed by the type."""
    from rich.text import Text

    line, at = Text(), 0
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        line.append(_printable(text[at : entity["start"]]))
        style = STYLES.get(entity["label"], OTHER_STYLE)
        line.append(_printable(text[entity["start"] : entity["end"]]), style=style)
        line.append(f" {entity['label']}", style="dim")
        at = entity["end"]
    line.append(_printable(text[at:]))
    return line


def _printable(text: str) -> str:
    """The text without control characters, which would change the terminal."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text)
