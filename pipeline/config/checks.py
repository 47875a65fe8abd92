"""Checks the parameters against their schema; reports every mistake at once, each with file, line and key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from multiner.pipeline.config.corpora import Corpus
from multiner.pipeline.config.schema import NOT_IN_PROFILES, Params
from multiner.pipeline.config.schema_kinds import CATALOGUE, closest
from multiner.pipeline.config.settings import for_language
from multiner.pipeline.config.yaml_file import Key, YamlFile, dotted, read_yaml_file
from multiner.pipeline.core.errors import NerError

DEEPEST = 10  # mappings within each other; the schema has fewer
SHOWN = 60  # characters of a wrong value that a message quotes
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
"""Messages in the words of YAML for kinds of errors of pydantic; the other kinds keep pydantic's message."""


@dataclass(frozen=True)
class ParameterError:
    """A mistake in a parameter file; ``where`` is file, line and key."""

    where: str
    message: str


def check(params: dict[str, Any], sources: Sequence[YamlFile], root: Path, corpora: Mapping[str, Corpus]) -> None:
    """Refuse parameters that the schema does not allow.

    Args:
        params: the merged values of the files.
        sources: params.yaml, then the profile's file.
        root: the workspace.
        corpora: its corpora.

    Raises:
        NerError: all mistakes.
    """
    extra = [key for source in sources[1:] for key in _keys(source.values) if _is_extra_language(key, sources[0])]
    errors = [*_repeated(sources), *_not_in_profiles(sources), *_against_schema(params, sources, extra, corpora)]
    errors = errors or [*_starts(params, sources, root)]
    if not errors:
        return
    if len(errors) == 1:
        raise NerError(errors[0].message, where=errors[0].where)
    lines = "".join(f"\n  {error.where}: {error.message}" for error in errors)
    raise NerError(f"{len(errors)} mistakes in the parameters{lines}", where=str(root))


def _repeated(sources: Sequence[YamlFile]) -> Iterator[ParameterError]:
    for source in sources:
        for key, line in source.repeated:
            yield ParameterError(f"{source.name}:{line}: {dotted(key)}", "the key stands twice; leave one of them")


def _is_extra_language(key: Key, base: YamlFile) -> bool:
    """Whether ``key`` is a language that params.yaml lacks."""
    languages = base.values.get("languages")
    return len(key) == 2 and key[0] == "languages" and not (isinstance(languages, dict) and key[1] in languages)


def _not_in_profiles(sources: Sequence[YamlFile]) -> Iterator[ParameterError]:
    """Keys that a profile's file may not set."""
    for source in sources[1:]:
        for key in _keys(source.values):
            if any(fnmatchcase(dotted(key), pattern) for pattern in NOT_IN_PROFILES):
                message = "a profile may not set it, since DVC and Airflow read it in params.yaml alone; set it there"
            elif _is_extra_language(key, sources[0]):
                message = "params.yaml has no such language; add it there, or remove it here"
            else:
                continue
            yield ParameterError(f"{_place(key, [source], missing=False)}: {dotted(key)}", message)


def _keys(values: dict[Any, Any], above: Key = ()) -> Iterator[Key]:
    """All keys of a mapping and of the mappings in it, also those that YAML's merge key (``<<``) brings in."""
    for name, value in values.items():
        yield (*above, name)
        if isinstance(value, dict) and len(above) < DEEPEST:  # an alias may stand within what it names
            yield from _keys(value, (*above, name))


def _against_schema(
    params: dict[str, Any], sources: Sequence[YamlFile], extra: Sequence[Key], corpora: Mapping[str, Corpus]
) -> Iterator[ParameterError]:
    """The schema's refusals, without keys that are missing below the ``extra`` languages."""
    try:
        Params.model_validate(params, context=params | {CATALOGUE: corpora})
    except ValidationError as error:
        refusals = [(_key(each["loc"]), each) for each in error.errors(include_url=False)]
    else:
        return
    suggestions = {key: _suggestion(key) for key, each in refusals if each["type"] == "extra_forbidden"}
    ignored = {(*key[:-1], name) for key, name in suggestions.items() if name} | set(extra)
    for key, each in refusals:
        missing = each["type"] == "missing"
        if missing and any(key[: len(above)] == above for above in ignored):
            continue  # the key is there, misspelt
        where = f"{_place(key, sources, missing=missing)}: {dotted(key)}".removesuffix(": ")
        yield ParameterError(where, _unknown(key, suggestions[key]) if key in suggestions else _message(each))


def _starts(params: dict[str, Any], sources: Sequence[YamlFile], root: Path) -> Iterator[ParameterError]:
    """Languages that start from their own documents, or from others than dvc.yaml names."""
    graph = root / "dvc.yaml"
    values: Any = read_yaml_file(graph, "dvc.yaml").values if graph.is_file() else {}

    def items(stage: str) -> dict[str, dict[str, str]]:
        found = values
        for name in ("stages", stage, "foreach"):
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    starts, trainings = items("train_start"), items("train_transformer")
    for code in params["languages"]:
        start = for_language(params, code)["transformer"]["start"]
        weights = f"data/out/${{profile}}/{code}/trained/start"
        if start == code:
            message = f"{code} cannot start from its own documents"
        elif start and code in trainings and starts.get(code) != {"language": start}:
            message = f"dvc.yaml has another start; write there, under train_start, {code}: {{language: {start}}}"
        elif start and code in trainings and trainings[code]["start"] != weights:
            message = f"dvc.yaml has another start; write there, under vectors, {code}: {{start: {weights}}}"
        else:
            continue
        place = ("languages", code, "transformer", "start")
        yield ParameterError(f"{_place(place, sources, missing=False)}: {dotted(place)}", message)


def _key(loc: tuple[Any, ...]) -> Key:
    """Pydantic's location of an error, without the branches of unions."""
    return tuple(part for part in loc if not (isinstance(part, str) and part[:1] in "<["))


def _place(key: Key, sources: Sequence[YamlFile], *, missing: bool) -> str:
    """File and line of ``key``, or of the nearest key above it.

    Where both files have it, the profile's, whose value counts; for a missing key params.yaml, where it belongs.
    """

    def depth(source: YamlFile) -> int:
        return max((length for length in range(len(key) + 1) if key[:length] in source.lines), default=0)

    ranked = sources if missing else [*reversed(sources)]
    nearest = max(ranked, key=depth)
    line = nearest.lines.get(key[: depth(nearest)])
    return f"{nearest.name}:{line}" if line else nearest.name


def _message(error: Any) -> str:
    """The message for a value that the schema refuses."""
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
        hint = f"; YAML reads it as a text: write {_number(value)}"
    elif kind == "list_type" and isinstance(value, str):
        hint = f"; write [{value}]"
    elif isinstance(value, dict):
        hint = "; what a language has of its own stands under languages.<code>"
    return f"{shown} {PLAIN[kind]}{hint}"


def _number(text: str) -> str | None:
    """``text`` in a form that YAML 1.1 reads as a number: ``1.0e-4`` for ``1e-4``; None where it is no number."""
    try:
        number = float(text)
    except ValueError:
        return None
    mantissa, e, exponent = repr(number).partition("e")
    return mantissa + ("" if "." in mantissa else ".0") + e + exponent


def _unknown(key: Key, similar: str | None) -> str:
    """The message for an unknown key; ``similar`` is a known key that it may stand for."""
    if similar:
        return f"unknown key; did you mean {similar}?"
    sections = [name for name, field in Params.model_fields.items() if key[-1] in _fields(field.annotation)]
    return "unknown key" + (f"; it belongs to {' or '.join(sections)}" if sections else "")


def _suggestion(key: Key) -> str | None:
    """The key that a misspelt one probably stands for."""
    model: Any = Params
    for part in key[:-1]:
        field = _fields(model).get(part)
        model = field.annotation if field else get_args(model)[-1]  # of a mapping: the kind of its values
    return closest(key[-1], _fields(model))


def _fields(model: Any) -> dict[str, Any]:
    return model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
