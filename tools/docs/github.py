"""Markdown as GitHub reads it, rewritten as Python-Markdown reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator

FENCE = re.compile(r"\s*(```+|~~~+)")
ITEM = re.compile(r"\s*([-*]|\d+\.) ")


def rewritten(text: str) -> str:
    """The text with a blank line before each list and table, and what is nested in a list indented by four blanks."""
    return "\n".join(_lines(text.split("\n")))


def _lines(lines: list[str]) -> Iterator[str]:
    fence = block = ""  # what the block of lines began with: item, table, text, or nothing yet
    in_list = False
    for line in lines:
        if match := FENCE.match(line):
            begins, fence = not fence, "" if line.strip() == fence else fence or match[1]
            yield from [line] if begins else [line, ""]
            block, in_list = "", False
        elif fence or not line.strip() or line.startswith("#"):
            yield line
            block, in_list = "", in_list and not line.startswith("#")
        else:
            kind = "item" if ITEM.match(line) else "table" if line.startswith("|") else "text"
            if kind != "text" and block not in ("", kind):
                yield ""
                block = kind
            block = block or kind
            in_list = kind == "item" or (in_list and (block == "item" or line.startswith(" ")))
            blanks = len(line) - len(line.lstrip(" "))
            yield " " * 4 * ((blanks + 1) // 3) + line.lstrip(" ") if in_list else line
