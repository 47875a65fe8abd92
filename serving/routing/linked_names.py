"""Groups the entities of a result into names: mentions of the same person, place or organisation."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from multiner.serving import executors


async def add_names(results: Sequence[MutableMapping[str, Any]]) -> None:
    """Add ``names`` to each result, in a thread: texts may have thousands of entities."""
    await executors.run(executors.LINKING, _add_names, results)


def _add_names(results: Sequence[MutableMapping[str, Any]]) -> None:
    from multiner.serving.matching.linking import link  # takes long to load

    for result in results:
        result["names"] = [
            {"text": name.text, "label": name.label, "forms": list(name.forms), "mentions": list(name.mentions)}
            for name in link(result["entities"])
        ]
