"""The model that MLflow serves: texts in, entities out. MLflow stores this file (models from code).

It imports no training code. A registered model has a copy of all modules it imports, so its answers do not change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd  # MLflow reads the hint of `predict`, so not for type checking alone
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

COLUMN = "text"


class NerModel(PythonModel):
    """An ensemble behind MLflow's pyfunc interface.

    Input: a table with the column ``text``. Output: for each row ``{"entities": [...]}``, in order; an entity has
    ``start`` and ``end`` (Unicode code points into the text as sent, ``text[start:end]`` is the entity), ``text``,
    ``label``, ``score`` and ``legs``: for each base model ``label``, ``score``, ``start`` and ``end`` of its span
    there, or nulls.

    Parameters: with ``tokens`` each row also has ``"tokens": [...]``, each with ``start``, ``end``, ``text`` and
    ``probabilities`` by type and of ``O``, which sum to 1; ``call`` names the call, and ``cancel`` names a call to
    cancel instead of answering (see :mod:`multiner.pipeline.inference.cancelled_calls`).
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the ensemble from the model's artifacts."""
        from multiner.pipeline.ensemble.model import Ensemble

        legs = {name: Path(path) for name, path in context.artifacts.items() if name != "ensemble"}
        self.ensemble = Ensemble.load(Path(context.artifacts["ensemble"]), legs)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The entities of each text; no answer depends on the other texts.

        Raises:
            ValueError: there is no column ``text``, or a value is no string.
            Cancelled: the call was cancelled.
            ModelError: any other error.
        """
        from multiner.pipeline.core.cancellation import cancelled_when
        from multiner.pipeline.inference.answers import answers
        from multiner.pipeline.inference.cancelled_calls import CALL, CANCEL, cancel, is_cancelled

        params = params or {}
        if call := params.get(CANCEL):
            cancel(call)
            return []
        if COLUMN not in getattr(model_input, "columns", ()):
            raise ValueError(f"the input needs a column {COLUMN!r}")
        texts = [checked(value, row) for row, value in enumerate(model_input[COLUMN].tolist())]
        with cancelled_when(partial(is_cancelled, params.get(CALL, ""))), quoting_nothing():
            return answers(self.ensemble, texts, tokens=params.get("tokens", False))

    def answer(self, text: str) -> dict[str, Any]:
        """The answer to one text."""
        from multiner.pipeline.inference.answers import answers

        return answers(self.ensemble, [text])[0]


class ModelError(Exception):
    """The model failed on a text; the message says where it failed, and quotes nothing of the text."""


@contextmanager
def quoting_nothing() -> Iterator[None]:
    """Keep the messages of errors to this process: they may quote a text, and MLflow answers and logs them.

    Raises:
        Cancelled: unchanged.
        ModelError: in place of any other error; it names the error's type and place.
    """
    from multiner.pipeline.core.cancellation import Cancelled

    try:
        yield
    except Cancelled:
        raise
    except Exception as error:
        from multiner.pipeline.core.error_location import origin

        raise ModelError(f"a text could not be read: {origin(error)}") from None


def checked(value: Any, row: int) -> str:
    """The text of a row; a missing value is an empty text. Raises ValueError for anything but a string."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType":
        return ""
    if not isinstance(value, str):
        raise ValueError(f"row {row}: expected a text, got {type(value).__name__}")
    return value


set_model(NerModel())
