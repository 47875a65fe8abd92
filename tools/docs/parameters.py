"""The reference of params.yaml: each key with its value, the values that the schema allows, and its comment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from multiner.pipeline.config.schema import NOT_IN_PROFILES, Params
from multiner.pipeline.config.yaml_file import Key, read_yaml_file

SCHEMA = Params.model_json_schema()
COMMENT = re.compile(r"(?:^|\s)#\s(.*)$")
BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
MISSING = object()
KINDS = {"integer": "whole number", "number": "number", "boolean": "true, false", "string": "text", "null": "null"}


def markdown(root: Path) -> str:
    """A table for the keys at the top of params.yaml, one for each section, and one for the profiles."""
    file = read_yaml_file(root / "params.yaml")
    comments = _comments(root / "params.yaml", file.lines)
    top = SCHEMA["properties"]
    single = {name: schema for name, schema in top.items() if not fields(schema)}
    sections = {(name,): fields(schema) for name, schema in top.items() if fields(schema)}
    tables = [_table("Top level", single, (), file.values, comments)]
    tables += [_table(f"`{key[0]}`", keys, key, file.values, comments) for key, keys in sections.items()]
    language = next(iter(file.values["languages"]))
    own, growing = ("languages", language), ("growing", "")
    tables.append(_table("`languages.<code>`", SCHEMA["$defs"]["Language"]["properties"], own, file.values, comments))
    of_growing = SCHEMA["$defs"]["GrowingCorpusSection"]["properties"]
    tables.append(_table("`growing.<corpus>`", of_growing, growing, file.values, comments))
    return "\n\n".join([*tables, _profiles(root)])


def _table(title: str, keys: Mapping[str, Any], above: Key, values: Any, comments: Mapping[Key, str]) -> str:
    """A section with a row for each key; the keys of a mapping within it have rows of their own."""
    lines = [f"## {title}", "", comments.get(above, ""), "", "| key | value | allowed | meaning |", "|---|---|---|---|"]
    for key, schema in _rows(keys, above):
        value = "" if (setting := _value(values, key)) is MISSING else f"`{json.dumps(setting, ensure_ascii=False)}`"
        shown = value if len(value) < 60 else "…"
        meaning = comments.get(key) or _comment_of_a_language(key, comments)
        name = ".".join(key[len(above) :])
        lines.append(f"| `{name}` | {shown} | {_cell(allowed(schema))} | {_cell(meaning)} |")
    return "\n".join(lines)


def _rows(keys: Mapping[str, Any], above: Key) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """The keys with those of mappings within them; a language's own keys only where its section above lacks them."""
    for name, schema in keys.items():
        yield (*above, name), schema
        section = fields(SCHEMA["properties"].get(name, {})) if above[:1] == ("languages",) else {}
        yield from _rows({key: inner for key, inner in fields(schema).items() if key not in section}, (*above, name))


def _value(values: Any, key: Key) -> Any:
    for part in key:
        values = values.get(part, MISSING) if isinstance(values, dict) else MISSING
    return values


def _comment_of_a_language(key: Key, comments: Mapping[Key, str]) -> str:
    """The comment of the same key in a language's own section."""
    return next((text for other, text in comments.items() if other[0] == "languages" and other[2:] == key), "")


def fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a schema that is a section, else nothing."""
    return _resolved(schema).get("properties", {})


def allowed(schema: Mapping[str, Any]) -> str:
    """The values that a schema allows, in words."""
    own = _resolved(schema)
    if choices := own.get("anyOf") or own.get("oneOf"):
        return ", or ".join(dict.fromkeys(map(allowed, choices)))
    if "enum" in own:
        return ", ".join(map(str, own["enum"]))
    if "const" in own:
        return str(own["const"])
    if "properties" in own:
        return f"a mapping with the keys {', '.join(f'`{key}`' for key in own['properties'])}"
    if own.get("type") == "object":
        inner = own.get("additionalProperties") or next(iter(own.get("patternProperties", {}).values()), None)
        return f"a mapping; each value: {allowed(inner)}" if isinstance(inner, dict) else "a mapping"
    if own.get("type") == "array":
        inner = own.get("items")
        return f"a list; each item: {allowed(inner)}" if inner else "a list"
    bounds = [form.format(own[key]) for key, form in BOUNDS.items() if key in own]
    return ", ".join([KINDS.get(own.get("type", ""), "see the meaning"), *bounds])


def _resolved(schema: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if len(schema.get("allOf", ())) == 1:
        return _resolved(schema["allOf"][0])
    return dict(schema)


def _comments(path: Path, lines: Mapping[Key, int]) -> dict[Key, str]:
    """The comment at the end of each key's line."""
    text = path.read_text(encoding="utf-8").splitlines()
    matches = {key: COMMENT.search(text[line - 1]) for key, line in lines.items()}
    first: dict[int, Key] = {}
    for key, line in lines.items():
        first.setdefault(line, key)  # of several keys in a line the outermost
    return {key: match[1].strip() for key, match in matches.items() if match and first[lines[key]] == key}


def _profiles(root: Path) -> str:
    """The keys that each profile sets, and those that none may set."""
    lines = ["## Profiles", "", "| profile | sets |", "|---|---|"]
    for path in sorted((root / "params").glob("*.yaml")):
        lines.append(f"| `{path.stem}` | {', '.join(_leaves(yaml.safe_load(path.read_text(encoding='utf-8'))))} |")
    return "\n".join([*lines, "", f"No profile may set {', '.join(f'`{key}`' for key in NOT_IN_PROFILES)}."])


def _leaves(values: Any, above: str = "") -> Iterator[str]:
    if values and isinstance(values, dict):
        for key, value in values.items():
            yield from _leaves(value, f"{above}.{key}" if above else str(key))
    else:
        yield f"`{above}: {json.dumps(values, ensure_ascii=False)}`"


def _cell(text: str) -> str:
    """The text as a cell of a table."""
    return re.sub(r"<(\w+)>", r"&lt;\1&gt;", text).replace("|", "\\|")
