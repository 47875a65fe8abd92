"""Scripts: the one that a language is written in, and the letters of a text that are in one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex

LATIN = "Latn"
# What ISO 15924 tells apart and Unicode does not: ways to write a script
_VARIANTS = {"Hanb": "Hani", "Hans": "Hani", "Hant": "Hani", "Latf": LATIN, "Latg": LATIN}
# Scripts of ISO 15924 that consist of several of Unicode's
_PARTS = {"Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hang", "Hani")}
_LETTER = re.compile(r"[^\W\d_]")


@lru_cache
def script_of(language: str) -> str:
    """The script that a language is mostly written in, as a code of ISO 15924, by the likely subtags of Unicode's CLDR.

    It is ``Latn`` for a language that CLDR does not know. Ways to write one script, such as Fraktur, are that script.
    """
    from babel.core import get_global

    _, _, rest = get_global("likely_subtags").get(language, "").partition("_")  # such as el_Grek_GR
    script = rest.partition("_")[0] or LATIN
    return _VARIANTS.get(script, script)


@lru_cache
def _letters(script: str) -> regex.Pattern[str]:
    """Finds runs of letters in a script."""
    import regex  # no program that only calls a model needs it

    parts = "".join(rf"\p{{{part}}}" for part in _PARTS.get(script, (script,)))
    return regex.compile(rf"(?V1)[[{parts}]&&\p{{L}}]+")


def first_letter(text: str, script: str) -> int | None:
    """Where the first letter in a script is; None where there is none."""
    run = _letters(script).search(text)
    return run.start() if run else None


def letters_in(text: str, scripts: Iterable[str]) -> int:
    """Number of letters in any of the scripts."""
    return sum(len(run) for script in set(scripts) for run in _letters(script).findall(text))


def letters(text: str) -> int:
    """Number of letters in any script."""
    return len(_LETTER.findall(text))
