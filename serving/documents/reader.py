"""The process that reads a file: its bytes from standard input, the text as JSON to standard output. Run as a module.

The process has limits of its own on memory and time, and writes no file, whatever the file makes its readers do.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict
from typing import Any

from multiner.serving.documents.reading import DocumentError, ReadingLimits, read

MEMORY = 1024**3  # bytes of address space


def main(kind: str, pages: str, characters: str, seconds: str, encoding: str) -> None:
    """Read a file; the answer has the fields of DocumentText, or ``error`` and ``too_large``."""
    cpu = int(seconds)
    for limit, most in (("AS", MEMORY), ("CPU", cpu), ("FSIZE", 0), ("CORE", 0), ("NOFILE", 64)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{limit}"), (most, most))
    answer: dict[str, Any]
    try:
        limits = ReadingLimits(int(pages), int(characters))
        answer = asdict(read(kind, sys.stdin.buffer.read(), limits, encoding or None))
    except DocumentError as error:
        answer = {"error": str(error), "too_large": error.too_large}
    except MemoryError:
        answer = {"error": "Reading the file takes too much memory.", "too_large": True}
    except Exception:  # the readers raise all kinds of errors where a file is damaged
        answer = {"error": "The file is damaged, or reading it takes too much memory.", "too_large": False}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
