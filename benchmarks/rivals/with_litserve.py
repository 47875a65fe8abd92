"""Our model behind LitServe: one worker, requests batched.

LitServe reads the annotations, so they are not postponed.
"""

import os
from typing import Any

import litserve
import served_model


class Entities(litserve.LitAPI):
    """``POST /predict`` with ``{"text": …}``."""

    def setup(self, device: str) -> None:
        self.answers = served_model.load()

    def decode_request(self, request: dict[str, Any]) -> str:
        return request["text"]

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        return self.answers(texts)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    api = Entities(max_batch_size=served_model.BATCH, batch_timeout=served_model.WAIT_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
