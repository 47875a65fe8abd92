"""`make audit`: what is found in OSV's export, and what is said where no database can be had."""

from __future__ import annotations

import json
import runpy
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SBOM = {
    "components": [
        {"name": "numpy", "version": "2.4", "licenses": [{"license": {"id": "BSD-3-Clause"}}]},
        {"name": "attrs", "version": "25", "licenses": [{"expression": "MIT"}, {"expression": "MIT"}]},
        {"name": "odd", "version": "1", "licenses": [{"license": {"name": "Own licence\nwith its text"}}]},
        {"name": "none", "version": "1"},
    ]
}


@pytest.fixture
def audit(root: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(root / "tools" / "audit.py")))


def affected(name: str, *versions: str) -> list[dict[str, Any]]:
    return [{"package": {"ecosystem": "PyPI", "name": name}, "versions": list(versions)}]


def test_a_pinned_version_is_found_in_the_export(audit: SimpleNamespace, tmp_path: Path) -> None:
    records = [
        {"id": "A-1", "summary": "bad", "affected": affected("Some_Package", "1.0", "1.1")},
        {"id": "A-2", "affected": affected("other", "2.0")},
        {"id": "A-3", "withdrawn": "2026-01-01", "affected": affected("other", "3.0")},
    ]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for record in records:
            archive.writestr(f"{record['id']}.json", json.dumps(record))
    versions = {"some-package": "1.1", "other": "3.0"}
    assert audit.in_export(tmp_path / "all.zip", versions) == ["some-package 1.1: A-1 bad"]


def test_every_pin_of_the_lock_is_read(audit: SimpleNamespace, root: Path) -> None:
    lock = root / "requirements.lock"
    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    versions = audit.pins(lock)
    assert len(versions) == len({line.partition("==")[0] for line in lines})
    assert versions["apache-airflow"] == "3.3.2"


def test_the_licences_are_a_table(audit: SimpleNamespace) -> None:
    lines = audit.licences(SBOM).splitlines()
    assert lines[-4:] == [
        "| attrs | 25 | MIT |",
        "| none | 1 | not stated |",
        "| numpy | 2.4 | BSD-3-Clause |",
        "| odd | 1 | Own licence |",
    ]


@pytest.mark.parametrize("answers", ["none", "osv"])
def test_a_service_that_does_not_answer_is_said(
    audit: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: str,
) -> None:
    def run(command: list[Any], **_: Any) -> SimpleNamespace:
        service = command[command.index("--vulnerability-service") + 1]
        if service == answers:
            found = {"dependencies": [{"name": "x", "version": "1", "vulns": [{"id": "V"}]}, {"name": "y"}]}
            Path(command[command.index("--output") + 1]).write_text(json.dumps(found))
        return SimpleNamespace(stderr="Connection refused\n")

    monkeypatch.setattr(subprocess, "run", run)
    lines = audit.by_service(Path("pip-audit"), tmp_path / "lock", tmp_path)
    assert lines == (None if answers == "none" else ["x 1: V"])
    assert "pypi gave no answer: Connection refused" in capsys.readouterr().out
