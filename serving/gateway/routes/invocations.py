"""MLflow's own protocol: the gateway checks a body and counts its rows; the live version reads it.

The gateway reads tables in CSV itself and sends JSON instead. MLflow would read them by pandas, which takes the first
cell of a row with too many cells as the row's name: a comma outside quotes would cut a text off.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/ (``/invocations``)
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
from typing import Any

from multiner.pipeline.text.surrogates import without_surrogates
from multiner.serving.answers import ModelFailed, failure
from multiner.serving.backends.backend import Backend
from multiner.serving.http.payload import Limits, check_size, parse_json
from multiner.serving.http.problems import invalid, malformed

JSON, CSV = "application/json", "text/csv"
COLUMN = "text"
SHAPES = ("inputs", "instances", "dataframe_split", "dataframe_records")
NO_ROWS = b'{"predictions": []}'
csv.field_size_limit(sys.maxsize)  # the body is bounded already


def read(body: bytes, media_type: str, limits: Limits) -> tuple[int, bytes]:
    """The number of rows of a body, and the body in JSON; else Problem 400, 413 or 422, with the place."""
    if media_type == CSV:
        texts, characters = _read_csv(body)
        check_size(len(texts), characters, limits)
        table = {"columns": [COLUMN], "data": [[text] for text in texts]}
        return len(texts), json.dumps({"dataframe_split": table}, ensure_ascii=False).encode()
    rows, characters = _count_json(parse_json(body))
    check_size(rows, characters, limits)
    return rows, body.removeprefix(codecs.BOM_UTF8)


def _read_csv(body: bytes) -> tuple[list[str], int]:
    """The texts of a table, and the characters of all its cells; a row without the column has an empty text."""
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        table = filter(None, lines)  # without blank lines
        header = next(table, [])
        if header.count(COLUMN) != 1:
            hint = " Commas separate columns, not semicolons or tabs." if re.search("[;\t]", "".join(header)) else ""
            raise invalid(f"The first line must name the columns, {COLUMN} once.{hint}", "")
        rows = list(table)
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8 (byte {error.start}).", "CSV") from None
    except csv.Error:
        detail = f"At line {lines.line_num} a cell in quotes does not end, or goes on after its closing quote."
        raise malformed(detail, "CSV") from None
    for number, row in enumerate(rows, 1):
        if len(row) > len(header):
            sizes = f"{len(row)} cells for {len(header)} columns"
            raise invalid(f"Row {number} has {sizes}: a text with commas stands in quotes.", "")
    at = header.index(COLUMN)
    return ["".join(row[at : at + 1]) for row in rows], sum(len(cell) for row in (header, *rows) for cell in row)


def _count_json(value: Any) -> tuple[int, int]:
    """The rows of a body, and the characters of all its strings."""
    shapes = [shape for shape in SHAPES if shape in value] if isinstance(value, dict) else []
    if len(shapes) != 1:
        raise invalid(f"The body must be an object with one of: {', '.join(SHAPES)}.", "")
    if len(value) > 1:  # by ``params``, and by some other fields, a caller could set what the gateway sets
        raise invalid(f"{shapes[0]} must stand alone.", "/params" if "params" in value else "")
    shape, characters = shapes[0], _characters(value)
    data, where, is_table = value[shape], f"/{shape}", shape.startswith("dataframe")
    if shape == "dataframe_split":
        cells = _split_cells(data, where)
    elif isinstance(data, dict) and not is_table:
        cells = _column_cells(data, where)
    elif isinstance(data, list):
        cells = [_row_cell(row, f"{where}/{index}", is_table) for index, row in enumerate(data)]
    else:
        raise invalid(f"{shape} must be a list of rows.", where)
    for text, place in cells:
        # null is an empty cell of a table; in other shapes MLflow reads it as the word None
        if not isinstance(text, str) and not (is_table and text is None):
            raise invalid(f"Each row must be a string, or have {COLUMN}, a string.", place)
    return len(cells), characters


def _row_cell(row: Any, where: str, is_table: bool) -> tuple[Any, str]:
    """The text of a row, and its place."""
    if isinstance(row, dict):
        return row.get(COLUMN), f"{where}/{COLUMN}"
    if is_table:
        raise invalid(f"Each row must be an object with {COLUMN}, a string.", where)
    return row, where


def _column_cells(columns: dict[str, Any], where: str) -> list[tuple[Any, str]]:
    """The texts of columns by name, and their places; columns are lists of one length, or single values.

    MLflow would repeat texts beside a longer column, and read a column of pandas' ``to_dict()``, an object with values
    by index, as the text of one row.
    """
    if COLUMN not in columns:
        raise invalid(f"There must be a column {COLUMN}.", where)
    sizes = {len(column) if isinstance(column, list) else None for column in columns.values()}
    if len(sizes) > 1 or any(isinstance(columns[name], dict) for name in columns if name != COLUMN):
        raise invalid("Columns must be lists of one length, or single values.", where)
    texts, place = columns[COLUMN], f"{where}/{COLUMN}"
    return [(text, f"{place}/{i}") for i, text in enumerate(texts)] if isinstance(texts, list) else [(texts, place)]


def _split_cells(table: Any, where: str) -> list[tuple[Any, str]]:
    """The texts of a table in pandas' orientation ``split``, and their places."""
    rows = table.get("data") if isinstance(table, dict) else None
    if not isinstance(rows, list):
        raise invalid("dataframe_split must be an object with a list of rows as its data.", where)
    columns = table.get("columns")
    if not isinstance(columns, list) or columns.count(COLUMN) != 1:
        raise invalid(f"columns must be a list with {COLUMN} once.", f"{where}/columns")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise invalid("Each row must be a list with a value for each column.", f"{where}/data/{number}")
    index = table.get("index")
    if index is not None and not (isinstance(index, list) and len(index) == len(rows)):  # a longer one repeats rows
        raise invalid("index must be a list with a value for each row.", f"{where}/index")
    at = columns.index(COLUMN)
    return [(row[at], f"{where}/data/{number}/{at}") for number, row in enumerate(rows)]


def _characters(value: Any) -> int:
    total, stack = 0, [value]
    while stack:
        each = stack.pop()
        if isinstance(each, str):
            if without_surrogates(each) != each:  # MLflow cannot hold them
                raise invalid("Lone surrogates are not taken here.", "")
            total += len(each)
        elif isinstance(each, dict):
            stack += [*each, *each.values()]
        elif isinstance(each, list):
            stack += each
    return total


async def invoke(backend: Backend, rows: int, body: bytes) -> bytes:
    """What the backend answers to ``body``; without rows it is not asked. Problem 422 where MLflow refuses it."""
    if not rows:
        return NO_ROWS  # MLflow refuses some shapes without rows
    response = await backend.call(body)
    if response.status_code == 200:
        return response.content
    error = failure(response)
    if response.status_code >= 500 or error.raised:
        raise ModelFailed(f"the model answered {response.status_code} ({error.reason})")
    # MLflow's message quotes the input, and its stack trace has paths: neither is passed on
    raise invalid("The model's signature does not take this: give rows with a column text, of strings.", "")
