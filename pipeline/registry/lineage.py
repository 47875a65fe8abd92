"""The origin of a model: code, data, environment, and a fingerprint of everything that its answers depend on."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

import multiner
from multiner.pipeline.config.corpora import corpora_of
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.files import sha256_of
from multiner.pipeline.ensemble.identity import leg_hashes, read_description

PACKAGE = Path(multiner.__file__).parent
MODEL_CODE = PACKAGE / "pipeline" / "inference" / "pyfunc.py"
ENTRY_POINTS = (MODEL_CODE, PACKAGE / "pipeline" / "inference" / "documents.py")
DIFF_LIMIT = 2_000_000  # characters
CUT = "[cut: "  # begins the last line of a diff that was cut
REFERENCE = re.compile(r"multiner(\.\w+)+(:\w+)?")


def git(root: Path, *arguments: str) -> str:
    """The output of ``git``, byte by byte; empty where there is no repository, or no git."""
    try:
        output = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return output.decode(errors="replace")


def commit(root: Path) -> str:
    """The commit that is checked out; without a repository that of ``NER_COMMIT``, which images are built with."""
    return git(root, "rev-parse", "HEAD").strip() or os.environ.get("NER_COMMIT", "")


def git_diff(root: Path) -> str:
    """The changes of tracked files since the commit, as ``git apply`` takes them; a longer diff is cut, and says so."""
    options = ("--binary", "--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/")
    diff = git(root, "diff", *options, "HEAD")
    if len(diff) <= DIFF_LIMIT:
        return diff
    return diff[:DIFF_LIMIT] + f"\n{CUT}{len(diff) - DIFF_LIMIT:,} more characters]\n"


def corpora_behind(workspace: Workspace, language: str) -> list[str]:
    """The corpora of a language, then those that its encoder is trained on first: each once."""
    return list(dict.fromkeys([*corpora_of(workspace.language(language)), *workspace.start_corpora(language)]))


def raw_folders(workspace: Workspace, language: str) -> list[Path]:
    """The folders of raw data of :func:`corpora_behind`."""
    return list(dict.fromkeys(workspace.raw_folder(corpus) for corpus in corpora_behind(workspace, language)))


def dvc_hash(file: Path) -> str:
    """The hash in a ``.dvc`` file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))["outs"][0]["md5"]


def code_closure(entries: Iterable[Path] = ENTRY_POINTS, root: Path = PACKAGE.parent) -> list[Path]:
    """The project's modules that ``entries`` import, directly or through others, also inside functions; sorted.

    The package's own ``__init__.py`` is left out: it only lists public names, which no model needs. A string that names
    a module (``"multiner.pipeline.models.spacy.inference:SpacyModel"``) counts as an import of it.
    """
    waiting, closure = list(entries), set()
    while waiting:
        path = waiting.pop()
        if path in closure:
            continue
        closure.add(path)
        waiting += [module for name in _imports(path) for module in _modules(name, root)]
    return sorted(closure - {root / PACKAGE.name / "__init__.py"})


def _imports(path: Path) -> Iterable[str]:
    for node in _executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and REFERENCE.fullmatch(node.value):
            yield node.value.partition(":")[0]


def _executed(tree: ast.AST) -> Iterable[ast.AST]:
    """The nodes of a module without those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from _executed(node)


def _modules(name: str, root: Path) -> Iterable[Path]:
    """The files that ``import name`` runs: its packages' and its own."""
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                yield file


def code_hash() -> str:
    """SHA-256 over the code that a served model runs: a mended tokeniser makes a new version."""
    digest = sha256()
    for path in code_closure():
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def fingerprint(workspace: Workspace, language: str, metrics: dict[str, Any]) -> str:
    """A hash that equal registrations share: of the ensemble, its base models, their scores and the serving code."""
    paths = workspace.paths
    parts = {
        "ensemble": read_description(paths.ensemble(language)),
        "legs": leg_hashes({leg: paths.leg(language, leg) for leg in workspace.legs(language)}),
        "scores": metrics.get("corpora", {}),
        "code": code_hash(),
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
