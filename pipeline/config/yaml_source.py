"""A YAML mapping with the line of each of its keys, so that a message can say where to look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from multiner.pipeline.core.errors import NerError

Key = tuple[Any, ...]
"""Where a value stands: the keys from the top, and for the items of a list their indices."""
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Source:
    """What a YAML file holds.

    Attributes:
        name: the file, as messages name it.
        values: its mapping.
        lines: the line of each key and of each item of a list, from 1.
        doubled: keys that stand in one mapping twice, with the later line; the later value is that of ``values``.
    """

    name: str
    values: dict[Any, Any]
    lines: dict[Key, int]
    doubled: list[tuple[Key, int]]


def dotted(key: Key) -> str:
    """A key as people write it: ``languages.ru.types``."""
    return ".".join(map(str, key))


def read_source(path: Path, name: str | None = None) -> Source:
    """A YAML file that holds a mapping.

    Raises:
        NerError: the file is missing, is no YAML in UTF-8, or holds no mapping (names the line).
    """
    name = name or str(path)
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        lines, doubled = _places(loader, node) if node else ({}, [])
        values = loader.construct_document(node) if node else None
    except FileNotFoundError:
        raise NerError("file is missing", where=name, remedy="Restore it: git checkout -- " + path.name) from None
    except UnicodeDecodeError as error:
        raise NerError(f"not UTF-8: byte 0x{error.object[error.start]:02x}", where=name) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that the calendar lacks
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise NerError(f"no valid YAML: {problem}", where=f"{name}{line}") from None
    if not isinstance(values, dict):
        raise NerError("expected a mapping of parameters", where=name)
    return Source(name, values, lines, doubled)


def _places(loader: yaml.SafeLoader, top: yaml.Node) -> tuple[dict[Key, int], list[tuple[Key, int]]]:
    """The line of each key below ``top``, and the doubled keys with theirs."""
    lines: dict[Key, int] = {}
    doubled: list[tuple[Key, int]] = []

    def visit(node: yaml.Node, at: Key, above: tuple[int, ...]) -> None:
        if id(node) in above:  # an alias of what it lies in
            return
        if isinstance(node, yaml.SequenceNode):
            children = [(index, item.start_mark, item) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            keys = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
            children = [(loader.construct_object(key), key.start_mark, value) for key, value in keys]
        else:
            return
        own: set[Any] = set()
        for key, mark, value in children:
            if key in own:
                doubled.append(((*at, key), mark.line + 1))
            own.add(key)
            lines[*at, key] = mark.line + 1
            visit(value, (*at, key), (*above, id(node)))

    visit(top, (), ())
    return lines, doubled
