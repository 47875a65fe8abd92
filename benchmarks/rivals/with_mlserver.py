"""Our model behind MLServer: a runtime of its own, one worker, requests batched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import served_model
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Entities(MLModel):
    """``POST /v2/models/ner/infer`` with an input ``text``; the output ``entities`` holds JSON."""

    async def load(self) -> bool:
        self.answers = served_model.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = [json.dumps(answer) for answer in self.answers(StringCodec.decode_input(payload.inputs[0]))]
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("entities", rows)])


def write_settings(folder: Path, port: int) -> None:
    """The files from which ``mlserver start`` reads what it serves."""
    server = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    model = {
        "name": "ner",
        "implementation": "with_mlserver.Entities",
        "max_batch_size": served_model.BATCH,
        "max_batch_time": served_model.WAIT_SECONDS,
    }
    (folder / "settings.json").write_text(json.dumps(server | {"parallel_workers": 1, "debug": False}))
    (folder / "model-settings.json").write_text(json.dumps(model))


if __name__ == "__main__":
    from mlserver.cli.main import root

    write_settings(Path.cwd(), int(os.environ["PORT"]))
    root(["start", "."])
