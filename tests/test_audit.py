"""`make audit`: what is found in OSV's export, and what is said where no database can be had."""

from __future__ import annotations

import json
import runpy
import subprocess
import venv
import zipfile
from collections.abc import Callable
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
        {"name": "six", "version": "1", "licenses": [{"license": {"name": "License :: OSI Approved :: MIT License"}}]},
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
    assert lines[-5:] == [
        "| attrs | 25 | MIT |",
        "| none | 1 | not stated |",
        "| numpy | 2.4 | BSD-3-Clause |",
        "| odd | 1 | Own licence |",
        "| six | 1 | MIT License |",
    ]


def services(records: dict[str, dict[str, list[str]]]) -> Callable[..., SimpleNamespace]:
    """In place of pip-audit: the vulnerabilities of the packages that a service knows; it skips the others."""

    def run(command: list[Any], **_: Any) -> SimpleNamespace:
        option = {name: Path(command[command.index(name) + 1]) for name in ("--requirement", "--output")}
        known = records.get(command[command.index("--vulnerability-service") + 1])
        names = [line.partition("==")[0] for line in option["--requirement"].read_text().splitlines()]
        if known is not None:
            rows: list[dict[str, Any]] = [{"name": name, "skip_reason": "not found"} for name in names]
            for row in rows:
                if row["name"] in known:
                    row["vulns"] = [{"id": each, "fix_versions": ["9"]} for each in known[row["name"]]]
            option["--output"].write_text(json.dumps({"dependencies": rows}))
        return SimpleNamespace(stderr="Connection refused\n", returncode=0)

    return run


@pytest.mark.parametrize(
    ("records", "lines", "unknown", "output"),
    [
        ({}, [], ["x", "y"], "pypi gave no answer: Connection refused"),
        ({"osv": {"x": ["V"], "y": []}}, ["x 1: V (fixed in 9)"], [], "pypi gave no answer: Connection refused"),
        ({"pypi": {}, "osv": {}}, [], ["x", "y"], "pypi does not know 2 of 2 packages"),
        ({"pypi": {"y": []}, "osv": {"x": ["V"]}}, ["x 1: V (fixed in 9)"], [], "asking osv about 1 packages"),
    ],
)
def test_a_package_that_no_service_knows_is_not_called_safe(
    audit: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    records: dict[str, dict[str, list[str]]],
    lines: list[str],
    unknown: list[str],
    output: str,
) -> None:
    monkeypatch.setattr(subprocess, "run", services(records))
    assert audit.by_services(Path("pip-audit"), {"x": "1", "y": "2"}, tmp_path) == (lines, unknown)
    assert output in capsys.readouterr().out


@pytest.mark.parametrize(("record", "code"), [(None, 75), ("click", 1), ("never-installed", 75)])
def test_without_a_network_the_export_is_read_and_the_rest_is_said_to_be_missing(
    audit: SimpleNamespace,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record: str | None,
    code: int,
) -> None:
    failed = SimpleNamespace(returncode=1, stderr="WARNING: Retrying\nERROR: No matching distribution\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(venv, "create", lambda *_, **__: None)
    options = ["--output", str(tmp_path)]
    if record:
        version = audit.pins(root / "requirements.lock").get(record, "1")
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            archive.writestr("A-1.json", json.dumps({"id": "A-1", "affected": affected(record, version)}))
        options += ["--database", str(tmp_path / "all.zip")]
    assert audit.main(options) == code
    output = capsys.readouterr().out
    assert "NO SBOM, NO LICENCES: pip cannot install the tools: ERROR: No matching distribution" in output
    assert ("VULNERABILITIES UNKNOWN of all packages" in output) == (record is None)
    assert (": A-1" in output) == (code == 1)
