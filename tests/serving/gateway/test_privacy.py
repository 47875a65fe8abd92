"""No log holds a caller's text: not the gateway's, not a served process's, also where things fail over that text."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.pipeline.core.error_location import describe, origin, origin_of_text
from multiner.serving.answers import ModelFailed, failure
from multiner.serving.backends.backend import ServedModel
from multiner.serving.backends.local_server import LocalServer
from multiner.serving.http.middleware import MAX_VALUE, JsonFormatter
from multiner.serving.http.problems import Problem

SECRET = "Zyxwv Kjihg"
JSON = {"content-type": "application/json"}
OPERATOR = {"authorization": "Bearer a-token-for-tests"}


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged from INFO on, in the gateway's own form."""
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    handler.setFormatter(JsonFormatter())
    levels = {root: root.level, logging.getLogger("httpx"): logging.NOTSET}
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # as the gateway does; here it is the caller, too
    yield stream
    root.removeHandler(handler)
    for logger, level in levels.items():
        logger.setLevel(level)


def quoting() -> Exception:
    """An error that quotes a text, raised while another that does was handled."""
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ValueError(f"no such name:\n{SECRET}") from error
    except ValueError as error:
        return error


def test_a_trace_tells_where_and_not_what() -> None:
    text_of_error = describe(quoting())
    assert "builtins.KeyError" in text_of_error
    assert text_of_error.endswith("builtins.ValueError")
    assert "test_privacy.py" in text_of_error
    assert " in quoting" in text_of_error
    assert SECRET not in text_of_error
    assert origin(quoting()).startswith("ValueError at test_privacy.py:")


def test_the_origin_is_found_in_a_printed_trace() -> None:
    import traceback

    trace = "".join(traceback.format_exception(quoting()))
    assert SECRET in trace
    assert origin_of_text(trace) == origin(quoting())
    assert origin_of_text(SECRET) == origin_of_text("") == ""


def test_a_line_of_the_log_is_json_bounded_and_without_the_error_s_words(logged: io.StringIO) -> None:
    log = logging.getLogger("serving")
    log.error("failed\nover it", exc_info=quoting(), extra={"fields": {"error": "x" * 100_000, "odd": "\ud800"}})
    (line,) = logged.getvalue().splitlines()
    value = json.loads(line)
    assert value["message"] == "failed\nover it"
    assert value["error"] == "x" * MAX_VALUE + "…"
    assert "ValueError" in value["exception"]
    assert "Zyxwv" not in line


@pytest.mark.parametrize("body", ["[]", "{", '"x"', "{}", '{"message": 5}'])
def test_a_failure_out_of_form_is_one_too(body: str) -> None:
    assert not failure(httpx.Response(400, content=body)).raised


ENTITIES = [{"text": f"{SECRET} {word}", "language": "en"} for word in ("", "met Bo")]
ENTITIES += [{"text": [word, SECRET], "language": "en"} for word in ("CRASH", "SLOW", "DEAD", "WRONG")]
ENTITIES += [
    {"text": SECRET, "language": SECRET},
    {"text": SECRET, SECRET: 1},
    {"text": [SECRET, 5]},
    {"text": SECRET * 99_000},
]


def test_the_gateway_logs_no_text(harness: Any, logged: io.StringIO) -> None:
    async def main() -> list[httpx.Response]:
        async with harness().client() as client:
            bodies = [json.dumps(body) for body in ENTITIES] + [f'{{"text": "{SECRET}']
            answers = [await client.post("/v1/entities", content=body, headers=JSON) for body in bodies]
            lines = {"content-type": "application/jsonl"}
            answers.append(await client.post("/v1/entities/stream", content="\n".join(bodies), headers=lines))
            secret_params = {"inputs": [SECRET], "params": {SECRET: SECRET}}
            for body in (
                {"inputs": [SECRET]},
                {"inputs": [SECRET, 5]},
                {"inputs": ["CRASH", SECRET]},
                {SECRET: 1},
                secret_params,
            ):
                answers.append(await client.post("/v1/en/invocations", json=body))
            table = {"content-type": "text/csv"}
            for content in (f'text\n"{SECRET}', f"text\n{SECRET},{SECRET}", f"{SECRET};\n"):
                answers.append(await client.post("/v1/en/invocations", content=content, headers=table))
            answers += [
                await client.post("/", data={"text": text, "language": "en"}) for text in (SECRET, SECRET * 999)
            ]
            answers.append(await client.get("/", params={"example": SECRET}))
            answers.append(await client.post("/admin/deploy", json={"language": SECRET}, headers=OPERATOR))
            return answers

    answers = asyncio.run(main())
    assert {answer.status_code for answer in answers} >= {200, 400, 413, 422, 502, 503, 504}
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert "Zyxwv" not in logged.getvalue()
    requests = [line for line in lines if line["message"] == "request"]
    assert [line["request_id"] for line in requests] == [answer.headers["x-request-id"] for answer in answers]
    assert {"time", "level", "method", "path", "status", "ms"} < set(requests[0])


QUOTING_MODEL = '''
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Quoting(PythonModel):
    """Raises errors that quote the text, as many a library does."""

    def predict(self, context, model_input: pd.DataFrame, params=None):
        for text in model_input["text"]:
            if "RAISE" in text:
                raise ValueError(f"cannot read {text!r}")
        return [{"entities": [{"start": 0, "end": 99, "text": text, "label": "PER"}]} for text in model_input["text"]]

set_model(Quoting())
'''


@pytest.mark.slow
def test_a_served_process_and_what_is_logged_of_it_hold_no_text(tmp_path: Path, logged: io.StringIO) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from multiner.serving.gateway.routes import invocations

    code, target = tmp_path / "quoting.py", tmp_path / "model"
    code.write_text(QUOTING_MODEL)
    signature = ModelSignature(Schema([ColSpec("string", "text")]))
    mlflow.pyfunc.save_model(target, python_model=str(code), signature=signature, pip_requirements=["mlflow"])

    async def main() -> list[str]:
        backend, text_of_error = LocalServer(ServedModel("en", "quoting", "1", str(target)), tmp_path / "model.log"), []
        try:
            await backend.start()
            for texts in ([SECRET], [f"RAISE {SECRET}"]):
                with pytest.raises(ModelFailed) as raised:
                    await backend.predict(texts)
                text_of_error.append(str(raised.value))
            for body in [
                {"inputs": [f"RAISE {SECRET}"]},
                {"inputs": [5, SECRET]},
                {"inputs": {SECRET: SECRET}},
                {"inputs": ["\ud800 Anna \udfff"]},
                {"instances": [[[SECRET]]]},
                {"dataframe_split": {"columns": [SECRET], "data": [[SECRET]]}},
                {"dataframe_split": {"columns": 5, "data": [[SECRET]]}},
                {"dataframe_records": [SECRET]},
            ]:
                try:
                    await invocations.invoke(backend, 1, json.dumps(body).encode())
                except (Problem, ModelFailed) as error:
                    text_of_error.append(str(error))
        finally:
            await backend.close()
        return text_of_error

    text_of_error = asyncio.run(main())
    assert "BAD_REQUEST; ValueError at quoting.py:" in text_of_error[1]
    assert not any("Zyxwv" in each or "answered 5" in each for each in text_of_error)
    assert "Zyxwv" not in logged.getvalue()
    assert "Zyxwv" not in (tmp_path / "model.log").read_text()
