"""DVC's remotes of a copy that reproduces a version: the workspace's cache, then the workspace's remote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from multiner.pipeline.core.object_store import ObjectStore


def use_remotes(workspace: Path, copy: Path, store: ObjectStore | None) -> None:
    """Make the remotes ``cache`` and ``default`` of a copy; its own cache stays empty.

    A cache has the layout of a remote, so data that is in the workspace's cache need not be in its remote.
    """
    from dvc.config import Config  # heavy

    settings = Config(str(workspace / ".dvc"), validate=False)
    cache = str(settings.get("cache", {}).get("dir") or workspace / ".dvc" / "cache")
    name = settings.get("core", {}).get("remote")
    default: dict[str, Any] = dict(settings.get("remote", {}).get(name, {})) if name else {}
    if url := os.environ.get("NER_DVC_REMOTE") or (f"{store.url.rstrip('/')}/dvc" if store else ""):
        default = {"url": url.removeprefix("file://")}
    sections: dict[str, dict[str, Any]] = {
        "core": {"remote": "cache", "site_cache_dir": copy.parent / "site"},
        "'remote \"cache\"'": {"url": cache},
        "'remote \"default\"'": default or {"url": cache},
    }
    lines = [line for title, values in sections.items() for line in (f"[{title}]", *_lines(values))]
    (copy / ".dvc" / "config.local").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lines(values: dict[str, Any]) -> list[str]:
    return [f"    {key} = {value}" for key, value in values.items()]
