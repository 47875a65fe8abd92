"""Our model behind BentoML: one worker, requests batched by its adaptive batching."""

from __future__ import annotations

import os
import sys
from typing import Any

import bentoml
import served_model


@bentoml.service(workers=1, traffic={"timeout": 120})
class Entities:
    """``POST /entities`` with ``{"texts": […]}``."""

    def __init__(self) -> None:
        self.answers = served_model.load()

    @bentoml.api(batchable=True, max_batch_size=served_model.BATCH, max_latency_ms=120_000)
    def entities(self, texts: list[str]) -> list[dict[str, Any]]:
        return self.answers(texts)


if __name__ == "__main__":
    command = [sys.executable, "-m", "bentoml", "serve", "with_bentoml:Entities", "--host", "127.0.0.1"]
    os.execv(sys.executable, [*command, "--port", os.environ["PORT"]])
