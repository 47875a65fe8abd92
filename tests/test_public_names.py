"""The package as programs import it: its public names, its version, and no collision with files of the same name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

import multiner
from multiner.pipeline.cli import ner

PUBLIC = {
    "AsyncClient", "Client", "EndpointModel", "Entity", "Evaluation", "LocalModel", "Model", "Name",
    "NerError", "Pair", "ParallelResult", "Result", "Scores", "ServiceError", "TokenTypes", "Training", "evaluate",
    "load", "to_pandas", "train",
}  # fmt: skip
HEAVY = {
    "airflow", "dvc", "fastapi", "filelock", "great_expectations", "mlflow", "numpy", "onnxruntime", "pandas", "psutil",
    "pydantic", "spacy", "torch", "transformers", "yaml",
}  # fmt: skip


def run_script(folder: Path, text: str) -> list[str]:
    """The words that a script in ``folder`` prints."""
    script = folder / "script.py"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_these_names_are_public_and_no_others() -> None:
    assert set(multiner.__all__) == PUBLIC
    assert len(multiner.__all__) == len(PUBLIC)
    for name in PUBLIC:
        assert getattr(multiner, name).__name__ == name
    with pytest.raises(ImportError):
        from multiner import nothing_of_this_name  # noqa: F401


def test_type_checkers_see_the_same_names(root: Path) -> None:
    tree = ast.parse((root / "multiner" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(seen) == PUBLIC
    for name, module in seen.items():
        assert getattr(multiner, name).__module__ == module, name


def test_a_script_beside_files_called_pipeline_and_serving_has_the_client(tmp_path: Path) -> None:
    for name in ("pipeline", "serving"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a file of the user')\n", encoding="utf-8")
    code = "from multiner import Client\nprint(Client.__module__, Client().endpoint)\n"
    assert run_script(tmp_path, code) == ["multiner.serving.client.blocking", "http://127.0.0.1:8000"]


def test_importing_the_client_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys\nfrom multiner import *\nprint(*{name.partition('.')[0] for name in sys.modules})\n"
    imported = set(run_script(tmp_path, code))
    assert "multiner" in imported
    assert not imported & HEAVY


def test_the_version_stands_in_one_place(root: Path) -> None:
    (stated,) = re.findall(r'version="([\d.]+)"', (root / "setup.py").read_text(encoding="utf-8"))
    assert multiner.__version__ == version("ner-pipeline") == stated
    assert CliRunner().invoke(ner, ["--version"], prog_name="ner").output.split()[-1] == stated
    modules = [path for folder in ("multiner", "pipeline", "serving") for path in (root / folder).rglob("*.py")]
    assert len(modules) > 100
    assert not [path for path in modules if f'"{stated}"' in path.read_text(encoding="utf-8")]
