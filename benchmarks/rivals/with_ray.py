"""Our model behind Ray Serve: one replica, requests batched."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import ray
import served_model
from ray import serve
from starlette.requests import Request

CORES = len(os.sched_getaffinity(0))


@serve.deployment(num_replicas=1, max_ongoing_requests=128, ray_actor_options={"num_cpus": CORES})
class Entities:
    """``POST /`` with ``{"text": …}``."""

    def __init__(self) -> None:
        self.answers = served_model.load()

    @serve.batch(max_batch_size=served_model.BATCH, batch_wait_timeout_s=served_model.WAIT_SECONDS)
    async def batch(self, texts: list[str]) -> list[dict[str, Any]]:
        return await asyncio.get_running_loop().run_in_executor(None, self.answers, texts)

    async def __call__(self, request: Request) -> dict[str, Any]:
        return await self.batch((await request.json())["text"])


if __name__ == "__main__":
    ray.init(num_cpus=CORES, include_dashboard=False, _node_ip_address="127.0.0.1", _temp_dir=str(Path.cwd() / "ray"))
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Entities.bind(), blocking=True)
