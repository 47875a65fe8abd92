"""Load a model as MLflow serves it and ask it texts, one at a time: a script for a process of its own.

It imports nothing of the project, so that the only copy of it in the process is the one frozen with the model.
Run as ``python -P ask.py MODEL TEXTS ANSWERS [REPEATS]``: TEXTS is a JSON list; ANSWERS becomes
``{"answers": […], "milliseconds": […], "load_seconds": …}``. Run as ``python -P ask.py MODEL`` it answers a JSON string
a line from standard input with a line of JSON each.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

REPEATS = 3  # the quickest counts: the budget is the model's, not that of whatever else the machine does


def timed(model: Any, text: str, repeats: int) -> tuple[Any, float]:
    """The answer to a text and the milliseconds of the quickest of ``repeats`` tries."""
    import pandas as pd

    table, quickest = pd.DataFrame({"text": [text]}), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        answer = model.predict(table)[0]
        quickest = min(quickest, time.perf_counter() - start)
    return answer, round(quickest * 1000, 2)


def main(model_folder: str, texts_file: str, answers_file: str, repeats: str = str(REPEATS)) -> None:
    """Ask and write down."""
    import mlflow

    start = time.perf_counter()
    model = mlflow.pyfunc.load_model(model_folder)
    loaded = round(time.perf_counter() - start, 2)
    texts = json.loads(Path(texts_file).read_text(encoding="utf-8"))
    timed(model, max(texts, key=len, default=""), int(repeats))
    asked = [timed(model, text, int(repeats)) for text in texts]
    report = {
        "answers": [answer for answer, _ in asked],
        "milliseconds": [milliseconds for _, milliseconds in asked],
        "load_seconds": loaded,
    }
    Path(answers_file).write_text(json.dumps(report, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def converse(model_folder: str) -> None:
    """Answer line by line; what libraries print goes to standard error."""
    import mlflow

    answers, sys.stdout = sys.stdout, sys.stderr
    model = mlflow.pyfunc.load_model(model_folder)
    for line in sys.stdin:
        answer, _ = timed(model, json.loads(line), 1)
        print(json.dumps(answer, allow_nan=False), file=answers, flush=True)


if __name__ == "__main__":
    (main if len(sys.argv) > 2 else converse)(*sys.argv[1:5])
