"""The functions behind ``ner predict``."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from multiner.pipeline.core.errors import NerError
from multiner.serving.cli import commands
from multiner.serving.system.predict import coloured, dump, predict_remote, read_texts, write


class Endpoint(BaseHTTPRequestHandler):
    """Answers each text with its own length as language; refuses the text REFUSE."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        more = {"model": {"name": "ner", "version": "1"}, "entities": [], "flags": ["new"]}
        status, answer = 200, {"results": [{"language": str(len(text)), **more} for text in asked["text"]]}
        if "REFUSE" in asked["text"]:
            status, answer = 413, {"detail": "too much"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_texts_come_from_arguments_files_and_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffone\r\ntwo\u2028still two\n\nlast".encode())
    lines = ["one", "two\u2028still two", "", "last"]
    assert list(read_texts(["zero"], [path], io.BytesIO(b"in\n"))) == ["zero", *lines, "in"]


def test_standard_input_is_read_as_a_file_is(tmp_path: Path) -> None:
    path, content = tmp_path / "texts.txt", "\ufeffAnna lives.\r\nNora\rworks.\r\nОсло\n\nlast".encode()
    path.write_bytes(content)
    expected = ["Anna lives.", "Nora\rworks.", "Осло", "", "last"]
    assert list(read_texts([], [path])) == list(read_texts([], [], io.BytesIO(content))) == expected


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "utf-16"])
def test_another_encoding_is_refused_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    path, content = tmp_path / "texts.txt", "Осло\n".encode(encoding)
    path.write_bytes(b"one\n" + content)
    with pytest.raises(NerError, match=r"texts\.txt:2: not UTF-8"):
        list(read_texts([], [path]))
    result = CliRunner().invoke(commands, ["predict", "--endpoint", "http://127.0.0.1:9"], input=content)
    assert isinstance(result.exception, NerError)
    assert result.exception.exit_code == 1
    assert str(result.exception).startswith("standard input:1: not UTF-8")
    assert "iconv" in str(result.exception)


def test_an_argument_in_another_encoding_is_refused() -> None:
    with pytest.raises(NerError, match="text 2 of the command: not UTF-8"):
        list(read_texts(["Анна", os.fsdecode(b"caf\xe9")]))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(NerError, match=r"absent\.txt"):
        list(read_texts([], [tmp_path / "absent.txt"]))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(NerError, match="not UTF-8"):
        list(read_texts([], [tmp_path / "latin.txt"]))


def test_an_endpoint_answers_in_order(endpoint: str) -> None:
    texts = ["x" * length for length in range(40)] + ["\ud800"]
    results = list(predict_remote(f"{endpoint}/v1/entities", texts))
    assert [result["text"] for result in results] == texts
    assert [int(result["language"]) for result in results] == [*range(40), 1]


def test_refusals_and_silence_are_errors_a_person_can_mend(endpoint: str) -> None:
    with pytest.raises(NerError, match="413: too much"):
        list(predict_remote(endpoint, ["REFUSE"]))
    for address in ("http://127.0.0.1:9", "nonsense", "http://[bad"):
        with pytest.raises(NerError, match="no answer"):
            list(predict_remote(address, ["a"]))


def test_json_lines_where_the_output_is_no_terminal(endpoint: str) -> None:
    result = CliRunner().invoke(commands, ["predict", "--endpoint", endpoint], input="Анна\n".encode())
    assert json.loads(result.stdout)["text"] == "Анна"
    output = io.StringIO()
    write(predict_remote(endpoint, ["Анна", "\ud800"]), output, json_lines=True)
    lines = output.getvalue().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["Анна", "\ud800"]
    assert "Анна" in lines[0]
    model = {"name": "ner", "version": "1"}
    assert json.loads(lines[0]) == {"text": "Анна", "language": "4", "model": model, "entities": [], "flags": ["new"]}


def test_coloured_text_is_the_text_with_types_and_no_control_characters() -> None:
    entity = {"start": 4, "end": 8, "label": "PER"}
    shown = coloured("Hi, Anna\x1b[2J [b]", [entity])
    assert click.unstyle(shown) == "Hi, Anna PER\ufffd[2J [b]"
    assert click.style("Anna", fg="bright_white", bg=130, bold=True) in shown


def test_results_are_one_line_each() -> None:
    assert dump({"text": "a\nб"}) == '{"text": "a\\nб"}'
    assert dump({"text": "\ud800"}).isascii()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1251", "utf-8"])
def test_a_line_of_json_is_whole_in_every_encoding_of_the_terminal(encoding: str) -> None:
    result = {"text": "Москва é 😀", "entities": []}
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    write([result], output, json_lines=True)
    assert json.loads(output.buffer.getvalue().decode(encoding)) == result
