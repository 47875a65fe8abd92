"""`make audit`: known vulnerabilities of the pinned packages, an SBOM, and the licences, in build/audit.

The tools (pip-audit, cyclonedx-bom) come into an environment of their own, which is thrown away. Without a service that
knows vulnerabilities, give OSV's export of PyPI: make audit DATABASE=all.zip. To get it, where there is a network:
https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("pip-audit==2.10.1", "cyclonedx-bom==7.5.0")
SERVICES = ("pypi", "osv")  # that pip-audit asks in turn
SECONDS = 900  # for a service to answer about all packages
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;+]+)")
FOUND, UNKNOWN = 1, 75  # exit codes: vulnerabilities; no database could be had, so none are known


def pins(lock: Path) -> dict[str, str]:
    """The versions in a lock, by the normal form of the packages' names."""
    matches = (PIN.match(line) for line in lock.read_text(encoding="utf-8").splitlines())
    return {normal(match[1]): match[2] for match in matches if match}


def normal(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def in_export(export: Path, versions: dict[str, str]) -> list[str]:
    """A line for each vulnerability of these packages that OSV's export (a zip file of JSON records) has."""
    lines = []
    with zipfile.ZipFile(export) as archive:
        for name in archive.namelist():
            record = json.loads(archive.read(name))
            for package in _affected(record, versions):
                lines.append(f"{package} {versions[package]}: {record['id']} {record.get('summary', '')}".rstrip())
    return sorted(set(lines))


def _affected(record: dict[str, Any], versions: dict[str, str]) -> Iterator[str]:
    for entry in () if "withdrawn" in record else record.get("affected", ()):
        name = normal(entry.get("package", {}).get("name", ""))
        if versions.get(name) in entry.get("versions", ()):
            yield name


def by_service(tool: Path, lock: Path, output: Path) -> list[str] | None:
    """A line for each vulnerability that a service names; None where none answers."""
    for service in SERVICES:
        report = output / "vulnerabilities.json"
        report.unlink(missing_ok=True)
        options = ["--requirement", str(lock), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        options += ["--vulnerability-service", service, "--format", "json", "--output", str(report)]
        try:
            done = subprocess.run([tool, *options], capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            print(f"{service} did not answer within {SECONDS} s")
            continue
        if report.is_file() and report.stat().st_size:
            packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
            return [f"{each['name']} {each['version']}: {v['id']}" for each in packages for v in each.get("vulns", ())]
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"{service} gave no answer: {reason}")
    return None


def licences(sbom: dict[str, Any]) -> str:
    """The packages of an SBOM with their licences, as a table in Markdown."""
    rows = []
    for component in sbom["components"]:
        names = [
            each.get("expression") or each["license"].get("id") or each["license"].get("name", "").partition("\n")[0]
            for each in component.get("licenses", ())
        ]
        rows.append(
            f"| {component['name']} | {component['version']} | {', '.join(dict.fromkeys(names)) or 'not stated'} |"
        )
    head = "# Licences of the installed packages\n\nThose of corpora and weights: docs/licences.md\n\n"
    return f"{head}| package | version | licence |\n|---|---|---|\n" + "\n".join(sorted(rows, key=str.lower)) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the reports; 1: there are vulnerabilities, 75: no database could be had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", type=Path, help="OSV's export of PyPI, in place of a service")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "audit")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    lock = ROOT / "requirements.lock"
    with TemporaryDirectory(prefix="ner-audit-") as folder:
        tools = Path(folder) / "bin"
        venv.create(folder, with_pip=True)
        subprocess.run([tools / "python", "-m", "pip", "install", "-qq", *TOOLS], check=True)
        sbom = options.output / "sbom.json"
        command = [tools / "cyclonedx-py", "environment", sys.executable, "--output-format", "JSON"]
        subprocess.run([*command, "--output-file", sbom], check=True)
        text = licences(json.loads(sbom.read_text(encoding="utf-8")))
        (options.output / "licences.md").write_text(text, encoding="utf-8")
        print(f"{sbom}: the SBOM (CycloneDX)\n{options.output / 'licences.md'}: {text.count(chr(10)) - 6} packages")
        if options.database:
            lines: list[str] | None = in_export(options.database, pins(lock))
        else:
            lines = by_service(tools / "pip-audit", lock, options.output)
    if lines is None:
        print("VULNERABILITIES UNKNOWN: no service answers. Get OSV's export and run: make audit DATABASE=all.zip")
        return UNKNOWN
    print("\n".join(lines) if lines else f"no known vulnerabilities in {len(pins(lock))} packages")
    return FOUND if lines else 0


if __name__ == "__main__":
    sys.exit(main())
