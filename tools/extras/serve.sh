# In a clone: the gateway, which answers before there is a champion; then a model of the registry by its name. $1 is the folder of a model.
NER_GATEWAY_PORT=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export NER_GATEWAY_PORT
mlflow --version
ner up --foreground --parts serving --no-trigger &
trap 'kill $!; wait $! || true' EXIT
python - <<'LINES'
import os
import time

import httpx

address, until = f"http://127.0.0.1:{os.environ['NER_GATEWAY_PORT']}", time.monotonic() + 300
with httpx.Client(trust_env=False) as client:
    while True:
        try:
            assert client.get(f"{address}/live").status_code == 200
            break
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(1)
    assert client.post(f"{address}/v1/entities", json={"text": "Ada saw Oslo.", "language": "en"}).status_code == 503
LINES
ner status
python -W ignore - "$1" <<'LINES'
import sys
from pathlib import Path

from multiner import load
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.registry.store import open_store

client = open_store(Workspace.load())
client.create_registered_model("ner-en")
version = client.create_model_version("ner-en", Path(sys.argv[1]).as_uri()).version
client.set_registered_model_alias("ner-en", "champion", version)
model = load("ner-en")
assert [(each.text, each.label) for each in model.entities("Ada saw Oslo again.").entities] == [("Ada", "PER"), ("Oslo", "LOC")]
LINES
