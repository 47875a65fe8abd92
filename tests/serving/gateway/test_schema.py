"""The gateway keeps to its own OpenAPI document, whatever schemathesis makes of that: right requests and wrong ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from multiner.serving.http.payload import Limits

HERE = Path(__file__).resolve().parent / "schema"


OPERATIONS = ("get", "post")


def test_generators_of_clients_can_read_the_document(harness: Any) -> None:
    """What openapi-python-client 0.29.1 leaves out of a client, with a warning: see docs/api/client.md."""
    document = harness().app.openapi()
    operations = [each for path in document["paths"].values() for method, each in path.items() if method in OPERATIONS]
    assert len(operations) > 15
    for operation in operations:
        parameters = [each for each in operation.get("parameters", ()) if each["in"] == "path"]
        assert all(each["schema"]["type"] == "string" for each in parameters), "a place in the path is never null"
        errors = [
            media["schema"]
            for status, answer in operation["responses"].items()
            for media in answer.get("content", {}).values()
            if not status.startswith("2") and "schema" in media
        ]
        assert all("$ref" in schema or "title" not in schema for schema in errors), "one class for each kind of error"
    assert len({operation["operationId"] for operation in operations}) == len(operations)


@pytest.mark.slow
def test_requests_of_all_kinds_are_answered_as_the_document_says(
    harness: Any, behind_server: Any, tmp_path: Path
) -> None:
    types = {code: ["PER", "LOC", "ORG"] for code in ("en", "ru")}  # the document knows no types by language
    # limits that the examples stay within
    with behind_server(harness(limits=Limits(64, 100_000, 20), types=types)) as (host, port):
        command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml")]
        command += ["run", f"http://{host}:{port}/openapi.json", "--no-color"]
        environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")}
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    report = "\n".join(line[:200] for line in (process.stdout + process.stderr).splitlines()[-120:])
    assert process.returncode == 0, report
