"""A real Label Studio that asks its ML backend: ``python label_studio.py GATEWAY TEXT``."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

TOKEN = "0123456789abcdef0123456789abcdef01234567"
INTERFACE = (
    '<View><Labels name="label" toName="text"><Label value="PER"/><Label value="LOC"/><Label value="ORG"/>'
    '<Label value="MISC"/></Labels><Text name="text" value="$text"/></View>'
)
SETTINGS = {
    "ML_BLOCK_LOCAL_IP": "false",  # so that it may ask an address of this machine
    "SSRF_PROTECTION_ENABLED": "false",  # and send it events
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
}


def request(path: str, body: Any = None) -> Any:
    """The answer of Label Studio's API."""
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
    order = urllib.request.Request(f"{address}/api/{path}", content, headers)
    try:
        with urllib.request.urlopen(order, timeout=120) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path}: {error} {error.read().decode()}") from None


def until(attempt: Callable[[], Any], what: str) -> Any:
    """The first true outcome."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            if outcome := attempt():
                return outcome
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        if server.poll() is not None:
            break
        time.sleep(1)
    raise SystemExit(f"{what} does not come:\n{log.read_text()[-3000:]}")


gateway, text = sys.argv[1:]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
address = f"http://127.0.0.1:{port}"
with tempfile.TemporaryDirectory() as folder:
    log = Path(folder) / "log"
    command = [Path(sys.executable).with_name("label-studio"), "start", "--no-browser", "--port", str(port),
               "--data-dir", folder, "--username", "a@example.com", "--password", "not-secret-123",
               "--user-token", TOKEN]  # fmt: skip
    with log.open("w") as output:
        server = subprocess.Popen(command, env=os.environ | SETTINGS, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: request("version"), "Label Studio")
        project = until(lambda: request("projects", {"title": "Names", "label_config": INTERFACE}), "the project")["id"]
        request(f"projects/{project}/import", [{"text": text}])
        request("ml", {"url": f"{gateway}/v1/en/label-studio", "project": project, "title": "names"})
        query = {"selectedItems": {"all": True, "excluded": []}, "ordering": [], "filters": None, "project": project}
        request(f"dm/actions?id=retrieve_tasks_predictions&project={project}", query)
        (prediction,) = until(lambda: request(f"predictions?project={project}"), "the prediction")
    finally:
        server.terminate()
        server.wait(30)
regions = [each["value"] for each in prediction["result"]]
entities = [(each["start"], each["end"], each["labels"][0]) for each in regions]
print(json.dumps({"version": version("label-studio"), "entities": entities}))
