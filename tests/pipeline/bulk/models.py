"""A small MLflow model for tests, and a collection of invented sentences."""

from __future__ import annotations

import json
from pathlib import Path

CODE = '''
import os, re, signal
from pathlib import Path
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

KILLS_AT, MARK = {kills_at!r}, Path({mark!r})

class Capitals(PythonModel):
    """Takes each word that begins with a capital for a person; kills the process that asks, once, at a text."""

    def predict(self, context, model_input, params=None):
        texts = model_input["text"].tolist()
        if KILLS_AT in texts and not MARK.exists():
            MARK.touch()
            os.kill(os.getppid(), signal.SIGKILL)
        return [{{"entities": list(map(self.entity, re.finditer("[A-Z][a-z]+", text)))}} for text in texts]

    @staticmethod
    def entity(match):
        place = {{"start": match.start(), "end": match.end(), "label": "PER", "score": 1 / match.end()}}
        nothing = {{"start": None, "end": None, "label": None, "score": None}}
        return {{**place, "text": match.group(), "legs": {{"spacy": place, "transformer": nothing}}}}

set_model(Capitals())
'''


def save_model(folder: Path, *, kills_at: str = "", mark: Path = Path("never")) -> Path:
    """Save the model as a folder, as MLflow does; it kills its parent at the text ``kills_at`` and makes ``mark``."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    code = folder.with_suffix(".py")
    code.write_text(CODE.format(kills_at=kills_at, mark=str(mark)), encoding="utf-8")
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(code),
        signature=ModelSignature(Schema([ColSpec("string", "text")])),
        pip_requirements=["mlflow"],
        metadata={"language": "en"},
    )
    return folder


def write_sentences(path: Path, count: int) -> Path:
    """Write ``count`` sentences, no two alike, as JSON lines with ``id`` and ``text``."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"id": number, "text": sentence(number)}) + "\n")
    return path


def sentence(number: int) -> str:
    """An invented sentence; numbers without an entity among them."""
    return f"number {number}" if number % 7 == 0 else f"Ada Quill met {'Tam' * (1 + number % 3)} at {number} o'clock."
