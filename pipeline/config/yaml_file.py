"""YAML files that hold a mapping, with the line of each key for error messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.errors import NerError

if TYPE_CHECKING:
    import yaml

Key = tuple[Any, ...]
"""The path to a value: the keys from the top, and the indices of list items."""
CONFLICT = "Git has left marks of a conflict (<<<<<<<) in it: resolve the conflict (git status lists the files)."
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class YamlFile:
    """The content of a YAML file.

    Attributes:
        name: the file, as messages name it.
        values: its mapping.
        lines: the line of each key and of each list item, from 1.
        repeated: keys that one mapping holds twice, with the later line; ``values`` has the later value.
    """

    name: str
    values: dict[Any, Any]
    lines: dict[Key, int]
    repeated: list[tuple[Key, int]]


def dotted(key: Key) -> str:
    """A key in the form ``languages.ru.types``."""
    return ".".join(map(str, key))


def read_yaml_file(path: Path, name: str | None = None) -> YamlFile:
    """The content of a YAML file; ``name`` is used in messages (the path by default).

    Raises:
        NerError: the file is missing, is no YAML in UTF-8 (names the line), or holds no mapping.
    """
    import yaml  # not at the top: without PyYAML a command says which extra it needs

    name = name or str(path)
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        lines, repeated = _lines(loader, node) if node else ({}, [])
        values = loader.construct_document(node) if node else None
    except FileNotFoundError:
        raise NerError("file is missing", where=name, remedy="Restore it: git checkout -- " + path.name) from None
    except UnicodeDecodeError as error:
        raise NerError(f"not UTF-8: byte 0x{error.object[error.start]:02x}", where=name) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that the calendar lacks
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        remedy = CONFLICT if "\n<<<<<<< " in f"\n{text}" else None
        raise NerError(f"no valid YAML: {problem}", where=f"{name}{line}", remedy=remedy) from None
    except RecursionError:
        raise NerError("no valid YAML: nested too deeply", where=name) from None
    if not isinstance(values, dict):
        raise NerError("expected a mapping of parameters", where=name)
    return YamlFile(name, values, lines, repeated)


def _lines(loader: yaml.SafeLoader, top: yaml.Node) -> tuple[dict[Key, int], list[tuple[Key, int]]]:
    """The line of each key below ``top``, and the repeated keys with their later line."""
    import yaml

    lines: dict[Key, int] = {}
    repeated: list[tuple[Key, int]] = []

    def visit(node: yaml.Node, key_above: Key, above: tuple[int, ...]) -> None:
        if id(node) in above:  # an alias of a node that contains it
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
                repeated.append(((*key_above, key), mark.line + 1))
            own.add(key)
            lines[*key_above, key] = mark.line + 1
            visit(value, (*key_above, key), (*above, id(node)))

    visit(top, (), ())
    return lines, repeated
