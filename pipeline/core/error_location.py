"""Stack traces without error messages, since a message may quote a caller's text."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from itertools import islice

FRAMES = 40  # at most, of each error: the innermost ones
ERRORS = 5  # at most, of a chain of causes: the last ones
_FRAME = re.compile(r'  File "(?P<file>[^"\n]{1,300})", line (?P<line>\d{1,9}), in (?P<function>[\w<>.]{1,100})')
_TYPE = re.compile(r"[A-Za-z_][\w.]{0,99}(?=:|$)")


def describe(error: BaseException) -> str:
    """Type and frames of an error and of its causes, causes first, one frame a line; limited in length."""
    chain = list(islice(_chain(error), ERRORS))
    return "\n".join(line for each in reversed(chain) for line in _lines(each))


def origin(error: BaseException) -> str:
    """Type and innermost frame of an error: ``ValueError at tokenize.py:70 in _tokens``."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__qualname__
    last = frames[-1]
    return f"{type(error).__qualname__} at {last.filename.rpartition('/')[2]}:{last.lineno} in {last.name}"


def origin_of_text(trace: str) -> str:
    """:func:`origin` of the last error in a printed stack trace; empty where ``trace`` is none."""
    last, frame = "", None
    for line in trace.splitlines():
        if match := _FRAME.match(line):
            frame = match
        elif frame and (kind := _TYPE.match(line)):  # the first line after the frames that is not indented
            place = f"{frame['file'].rpartition('/')[2]}:{frame['line']} in {frame['function']}"
            last, frame = f"{kind.group()} at {place}", None
    return last


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _lines(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__)[-FRAMES:]:
        yield f"{frame.filename}:{frame.lineno} in {frame.name}"
    yield f"{type(error).__module__}.{type(error).__qualname__}"
