"""MLflow's own protocol, passed through to the live version: bodies are counted here, and read there.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/ (``/invocations``)
"""

from __future__ import annotations

import csv
import io
import logging
from typing import Any

from pipeline.tokenize import without_surrogates
from serving.answers import ModelFailed, failure
from serving.payload import Limits, check_size, parse_json
from serving.problems import Problem, invalid, malformed
from serving.slots import Slot

log = logging.getLogger("serving")
JSON, CSV = "application/json", "text/csv"
SHAPES = ("inputs", "instances", "dataframe_split", "dataframe_records")


def count(body: bytes, media_type: str, limits: Limits) -> int:
    """The number of rows of a body, which is within the limits.

    Raises:
        Problem: it is not (413), cannot be read (400), has none of MLflow's shapes, more than that, or what it cannot
            hold (422).
    """
    rows, characters = _count_csv(body) if media_type == CSV else _count_json(parse_json(body))
    check_size(rows, characters, limits)
    return rows


def _count_csv(body: bytes) -> tuple[int, int]:
    try:
        text = body.decode("utf-8")
        rows = sum(1 for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row)
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8 (byte {error.start}).") from None
    except csv.Error as error:
        raise Problem(400, "malformed", "The body is not valid CSV", f"{str(error).capitalize()}.") from None
    return max(0, rows - 1), len(text)


def _count_json(value: Any) -> tuple[int, int]:
    found = [shape for shape in SHAPES if shape in value] if isinstance(value, dict) else []
    if len(found) != 1:
        raise invalid(f"The body must be an object with one of: {', '.join(SHAPES)}.", "")
    if more := sorted(set(value) - {*found}):
        # with ``params`` a caller could speak to the model past the gateway; MLflow takes some other fields for such
        raise invalid(f"{found[0]} must stand alone.", "/params" if "params" in more else "")
    shape, data = found[0], value[found[0]]
    if shape == "dataframe_split":
        data = data.get("data") if isinstance(data, dict) else None
        if not isinstance(data, list):
            raise invalid("dataframe_split must be an object with a list of rows as its data.", "/dataframe_split")
    if shape == "dataframe_records" and not isinstance(data, list):
        raise invalid("dataframe_records must be a list of rows.", "/dataframe_records")
    return _rows(data), _characters(value)


def _rows(data: Any) -> int:
    """Rows of a list of rows, of columns by name, or of a single value."""
    if isinstance(data, list):
        return len(data)
    if isinstance(data, dict):
        return max((_rows(column) for column in data.values() if isinstance(column, list)), default=1)
    return 1


def _characters(value: Any) -> int:
    total, left = 0, [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            if without_surrogates(each) != each:  # MLflow's tables hold UTF-8
                raise invalid("Lone surrogates are not taken here.", "")
            total += len(each)
        elif isinstance(each, dict):
            left += [*each, *each.values()]
        elif isinstance(each, list):
            left += each
    return total


async def invoke(slot: Slot, body: bytes, media_type: str) -> bytes:
    """What the slot's process answers to ``body``.

    Raises:
        Problem: MLflow refuses the body (422).
        SlotGone, SlotTimeout, ModelFailed: see there.
    """
    response = await slot.invoke(body, media_type)
    if response.status_code == 200:
        return response.content
    failed = failure(response)
    if response.status_code >= 500 or failed.raised:
        raise ModelFailed(f"the model answered {response.status_code} ({failed.reason})")
    # its message quotes the input, and its stack trace tells paths: neither is passed on
    raise invalid("The model's signature does not take this: give rows with a column text, of strings.", "")
