"""Run ``ner`` with a fault at a named point: where it calls a function.

    python ner_with_fault.py ACTION FUNCTION MARK ARGUMENTS…

FUNCTION is dotted, ARGUMENTS are those of ``ner``; the file MARK is made just before the fault. ACTION is
kill: SIGKILL in place of the call; kill-after: SIGKILL after it; kill-other: SIGKILL of the process group in the
variable NER_FAULT_GROUP before it; exhaust: PyTorch asks for a petabyte in its place; hasten: no fault, the
call without MLflow's 20 seconds of patience with SQLite.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from multiner.pipeline import cli

PATIENCE = "PRAGMA busy_timeout = 20000;"  # as MLflow sets it, in milliseconds


def exhaust() -> None:
    """Ask for more memory than any machine has."""
    import torch

    torch.empty(1 << 50, dtype=torch.uint8)


def main() -> None:
    """Patch the function, then run the command."""
    action, function, mark, *arguments = sys.argv[1:]
    original = resolve_name(function)

    def hasten(text: str) -> Any:
        if text == PATIENCE:
            Path(mark).touch()
        return original(text.replace(PATIENCE, "PRAGMA busy_timeout = 100;"))

    def fault(*positional: Any, **named: Any) -> Any:
        if action == "kill-after":
            original(*positional, **named)
        Path(mark).touch()
        if action == "exhaust":
            exhaust()
        elif action == "kill-other":
            os.killpg(int(os.environ["NER_FAULT_GROUP"]), signal.SIGKILL)
        else:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*positional, **named)

    sys.argv = ["ner", *arguments]
    with patch(function, hasten if action == "hasten" else fault):
        cli.main()


if __name__ == "__main__":
    main()
