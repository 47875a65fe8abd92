"""A script that loads an MLflow model and sends it texts, one at a time; it runs in a separate process.

It imports nothing of this project, so that the model's own copy of the code is the only one in the process.

``python -P ask.py MODEL TEXTS ANSWERS [REPEATS]`` reads the JSON list of texts in the file TEXTS, and writes
``{"answers": […], "milliseconds": […], "load_seconds": …}`` to the file ANSWERS. ``python -P ask.py MODEL`` reads JSON
line by line from standard input, a text or a list of texts, and writes the answer or the list of answers as one line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

REPEATS = 3  # the fastest of them counts, so that other work on the machine does not


def timed(model: Any, text: str, repeats: int) -> tuple[Any, float]:
    """The answer to a text, and the milliseconds of the fastest of ``repeats`` calls."""
    import pandas as pd

    table, fastest = pd.DataFrame({"text": [text]}), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        answer = model.predict(table)[0]
        fastest = min(fastest, time.perf_counter() - start)
    return answer, round(fastest * 1000, 2)


def main(model_folder: str, texts_file: str, answers_file: str, repeats: str = str(REPEATS)) -> None:
    """Send all texts, and write the answers to a file."""
    import mlflow

    start = time.perf_counter()
    model = mlflow.pyfunc.load_model(model_folder)
    load_seconds = round(time.perf_counter() - start, 2)
    texts = json.loads(Path(texts_file).read_text(encoding="utf-8"))
    timed(model, max(texts, key=len, default=""), int(repeats))  # warm-up
    results = [timed(model, text, int(repeats)) for text in texts]
    report = {
        "answers": [answer for answer, _ in results],
        "milliseconds": [milliseconds for _, milliseconds in results],
        "load_seconds": load_seconds,
    }
    Path(answers_file).write_text(json.dumps(report, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def converse(model_folder: str) -> None:
    """Answer line by line; the output of libraries goes to standard error."""
    import mlflow
    import pandas as pd

    output, sys.stdout = sys.stdout, sys.stderr
    model = mlflow.pyfunc.load_model(model_folder)
    for line in sys.stdin:
        question = json.loads(line)
        texts = question if isinstance(question, list) else [question]
        answers = model.predict(pd.DataFrame({"text": texts}))
        answer = answers if isinstance(question, list) else answers[0]
        print(json.dumps(answer, allow_nan=False), file=output, flush=True)


if __name__ == "__main__":
    (main if len(sys.argv) > 2 else converse)(*sys.argv[1:5])
