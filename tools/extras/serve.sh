# In a clone: the gateway, which answers before there is a champion.
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
