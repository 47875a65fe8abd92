"""Parameters held against their schema: every error of the files at once, each with its file, line and key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from multiner.pipeline.config.schema import NOT_IN_PROFILES, Params
from multiner.pipeline.config.schema_kinds import suggestion
from multiner.pipeline.config.settings import for_language
from multiner.pipeline.config.yaml_source import Key, Source, dotted
from multiner.pipeline.core.errors import NerError

SHOWN = 60  # characters of a wrong value
PLAIN = {
    "int_type": "is not a whole number",
    "float_type": "is not a number",
    "bool_type": "is neither true nor false",
    "string_type": "is not a text",
    "list_type": "is not a list",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is no language code of two or three small letters",
    "invalid_key": "is no key; put it in quotes",
}
"""What pydantic's errors are in the words of YAML; others have words of their own."""


@dataclass(frozen=True)
class Mistake:
    """Something wrong in a parameter file; ``where`` is file, line and key."""

    where: str
    message: str


def check(params: dict[str, Any], sources: Sequence[Source], root: Path) -> None:
    """Refuse parameters that the schema does not allow.

    Args:
        params: merged from the sources.
        sources: the files, those on top last.
        root: the workspace.

    Raises:
        NerError: one or more mistakes, all of them told.
    """
    strange = [key for source in sources[1:] for key in source.lines if _new_language(key, sources[0])]
    mistakes = [*_doubled(sources), *_out_of_place(sources), *_against_schema(params, sources, strange)]
    mistakes = mistakes or [*_starts(params, sources, root)]
    if not mistakes:
        return
    if len(mistakes) == 1:
        raise NerError(mistakes[0].message, where=mistakes[0].where)
    told = "".join(f"\n  {mistake.where}: {mistake.message}" for mistake in mistakes)
    raise NerError(f"{len(mistakes)} mistakes in the parameters{told}", where=str(root))


def _doubled(sources: Sequence[Source]) -> Iterator[Mistake]:
    for source in sources:
        for key, line in source.doubled:
            yield Mistake(f"{source.name}:{line}: {dotted(key)}", "the key stands twice; leave one of them")


def _new_language(key: Key, base: Source) -> bool:
    return len(key) == 2 and key[0] == "languages" and key not in base.lines


def _out_of_place(sources: Sequence[Source]) -> Iterator[Mistake]:
    """What a profile's file may not set."""
    for source in sources[1:]:
        for key, line in source.lines.items():
            if any(fnmatchcase(dotted(key), pattern) for pattern in NOT_IN_PROFILES):
                message = "a profile may not set it, since DVC and Airflow read it in params.yaml alone; set it there"
            elif _new_language(key, sources[0]):
                message = "params.yaml has no such language; add it there, or remove it here"
            else:
                continue
            yield Mistake(f"{source.name}:{line}: {dotted(key)}", message)


def _against_schema(params: dict[str, Any], sources: Sequence[Source], strange: Sequence[Key]) -> Iterator[Mistake]:
    """What the schema refuses, but for keys that are missing below ``strange`` ones."""
    try:
        Params.model_validate(params, context=params)
    except ValidationError as error:
        found = [(_key(each["loc"]), each) for each in error.errors(include_url=False)]
    else:
        return
    meant = {key: _meant(key) for key, each in found if each["type"] == "extra_forbidden"}
    slips = {(*key[:-1], name) for key, name in meant.items() if name} | set(strange)
    for key, each in found:
        missing = each["type"] == "missing"
        if missing and any(key[: len(slip)] == slip for slip in slips):
            continue  # it stands there, misspelt
        where = f"{_place(key, sources, missing=missing)}: {dotted(key)}".removesuffix(": ")
        yield Mistake(where, _unknown(key, meant[key]) if key in meant else _message(each))


def _starts(params: dict[str, Any], sources: Sequence[Source], root: Path) -> Iterator[Mistake]:
    """Languages that start from weights which cannot be there, or which dvc.yaml does not know to train before."""
    graph = root / "dvc.yaml"
    stages = yaml.safe_load(graph.read_text(encoding="utf-8")) if graph.is_file() else None
    starts = (stages or {}).get("stages", {}).get("train_transformer", {}).get("foreach", {})
    for code in params["languages"]:
        start = for_language(params, code)["transformer"]["start"]
        wanted = f"data/out/${{profile}}/{start}/trained/transformer"
        if start == code:
            message = f"{code} cannot start from its own weights"
        elif start and code in starts and starts[code]["start"] != wanted:
            message = f"dvc.yaml has another start; write there, under train_transformer, {code}: {{start: {wanted}}}"
        else:
            continue
        key = ("languages", code, "transformer", "start")
        yield Mistake(f"{_place(key, sources, missing=False)}: {dotted(key)}", message)


def _key(loc: tuple[Any, ...]) -> Key:
    """Pydantic's place without the branches of its unions."""
    return tuple(part for part in loc if not (isinstance(part, str) and part[:1] in "<["))


def _place(key: Key, sources: Sequence[Source], *, missing: bool) -> str:
    """File and line of the nearest thing to ``key``; of two files as near, the one that counts."""

    def depth(source: Source) -> int:
        return max((length for length in range(len(key) + 1) if key[:length] in source.lines), default=0)

    ranked = sources if missing else [*reversed(sources)]
    nearest = max(ranked, key=depth)
    line = nearest.lines.get(key[: depth(nearest)])
    return f"{nearest.name}:{line}" if line else nearest.name


def _message(error: Any) -> str:
    """What is wrong with a value."""
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return "the key is missing"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"
    if kind not in PLAIN:
        return f"{shown} {error['msg'].removeprefix('Input ')}"
    hint = ""
    if kind == "float_type" and isinstance(value, str) and _number(value):
        hint = f"; YAML takes it for a text: write {_number(value)}"
    elif kind == "list_type" and isinstance(value, str):
        hint = f"; write [{value}]"
    elif isinstance(value, dict):
        hint = "; what a language has of its own stands under languages.<code>"
    return f"{shown} {PLAIN[kind]}{hint}"


def _number(text: str) -> str | None:
    """A number as YAML 1.1 takes it for one: ``1.0e-4`` for ``1e-4``."""
    try:
        number = float(text)
    except ValueError:
        return None
    mantissa, e, exponent = repr(number).partition("e")
    return mantissa + ("" if "." in mantissa else ".0") + e + exponent


def _unknown(key: Key, meant: str | None) -> str:
    if meant:
        return f"unknown key; did you mean {meant}?"
    sections = [name for name, field in Params.model_fields.items() if key[-1] in _fields(field.annotation)]
    return "unknown key" + (f"; it belongs to {' or '.join(sections)}" if sections else "")


def _meant(key: Key) -> str | None:
    """The key that a misspelt one stands for."""
    model: Any = Params
    for part in key[:-1]:
        field = _fields(model).get(part)
        model = field.annotation if field else get_args(model)[-1]  # of a mapping the kind of its values
    return suggestion(key[-1], _fields(model))


def _fields(model: Any) -> dict[str, Any]:
    return model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
