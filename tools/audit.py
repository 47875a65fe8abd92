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
FOUND, UNKNOWN = 1, 75  # exit codes: vulnerabilities; something could not be had, so not all is known


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


def by_services(tool: Path, versions: dict[str, str], folder: Path) -> tuple[list[str], list[str]]:
    """A line for each vulnerability that a service names, and the packages that no service knows.

    pip-audit leaves out the packages that a service does not know; the next service is asked about those.
    """
    lines, unknown = [], versions
    for service in SERVICES:
        print(f"asking {service} about {len(unknown)} packages", flush=True)
        answers = ask(tool, service, unknown, folder)
        for package in answers:
            version = unknown[normal(package["name"])]
            for each in package["vulns"]:
                fixed = f" (fixed in {', '.join(each['fix_versions'])})" if each.get("fix_versions") else ""
                lines.append(f"{package['name']} {version}: {each['id']}{fixed}")
        unknown = {name: unknown[name] for name in unknown.keys() - {normal(each["name"]) for each in answers}}
        if not unknown:
            break
    return sorted(lines), sorted(unknown)


def ask(tool: Path, service: str, versions: dict[str, str], folder: Path) -> list[dict[str, Any]]:
    """The packages that a service knows, each with its vulnerabilities; says why there are none."""
    lock, report = folder / "requirements.txt", folder / f"{service}.json"
    lock.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), encoding="utf-8")
    options = ["--requirement", str(lock), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    options += ["--vulnerability-service", service, "--format", "json", "--output", str(report)]
    try:
        done = subprocess.run([tool, *options], capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        print(f"{service} did not answer within {SECONDS} s")
        return []
    if not report.is_file() or not report.stat().st_size:
        print(f"{service} gave no answer: {last_line(done.stderr)}")
        return []
    packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
    answers = [each for each in packages if "vulns" in each]
    if len(answers) < len(versions):
        print(f"{service} does not know {len(versions) - len(answers)} of {len(versions)} packages")
    return answers


def last_line(output: str) -> str:
    """The last line of a program's errors, which says why it failed."""
    return (output.strip().splitlines() or ["no reason given"])[-1]


def licences(sbom: dict[str, Any]) -> str:
    """The packages of an SBOM with their licences, as a table in Markdown."""
    rows = []
    for component in sbom["components"]:
        names = [
            each.get("expression")
            or each["license"].get("id")
            or each["license"].get("name", "").partition("\n")[0].rpartition(" :: ")[2]
            for each in component.get("licenses", ())
        ]
        rows.append(
            f"| {component['name']} | {component['version']} | {', '.join(dict.fromkeys(names)) or 'not stated'} |"
        )
    head = "# Licences of the installed packages\n\nThose of corpora and weights: docs/licences.md\n\n"
    return f"{head}| package | version | licence |\n|---|---|---|\n" + "\n".join(sorted(rows, key=str.lower)) + "\n"


def inventory(tool: Path, output: Path) -> None:
    """Write the SBOM and the licences of this environment."""
    sbom, table = output / "sbom.json", output / "licences.md"
    subprocess.run([tool, "environment", sys.executable, "--output-format", "JSON", "--output-file", sbom], check=True)
    text = licences(json.loads(sbom.read_text(encoding="utf-8")))
    table.write_text(text, encoding="utf-8")
    print(f"{sbom}: the SBOM (CycloneDX)\n{table}: {text.count(chr(10)) - 6} packages", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Write the reports; 1: there are vulnerabilities, 75: something could not be had, so not all is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", type=Path, help="OSV's export of PyPI, in place of a service")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "audit")
    options = parser.parse_args(arguments)
    if options.database and not zipfile.is_zipfile(options.database):
        parser.error(f"{options.database} is not a zip file: give OSV's export of PyPI, all.zip")
    options.output.mkdir(parents=True, exist_ok=True)
    versions = pins(ROOT / "requirements.lock")
    with TemporaryDirectory(prefix="ner-audit-") as name:
        folder = Path(name)
        tools = folder / "environment" / "bin"
        print(f"installing {' and '.join(TOOLS)} in an environment of their own", flush=True)
        venv.create(tools.parent, with_pip=True)
        command = [tools / "python", "-m", "pip", "install", "-qq", *TOOLS]
        installed = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        lines, unknown = [], sorted(versions)
        if installed.returncode:
            print(f"NO SBOM, NO LICENCES: pip cannot install the tools: {last_line(installed.stderr)}")
        else:
            inventory(tools / "cyclonedx-py", options.output)
        if options.database:
            lines, unknown = in_export(options.database, versions), []
        elif not installed.returncode:
            lines, unknown = by_services(tools / "pip-audit", versions, folder)
    known = len(versions) - len(unknown)
    if known:
        print("\n".join(lines) or f"no known vulnerabilities in {known} packages")
    if unknown:
        shown = ", ".join(unknown) if known else "all packages"
        print(f"VULNERABILITIES UNKNOWN of {shown}. Get OSV's export and run: make audit DATABASE=all.zip")
    return FOUND if lines else UNKNOWN if unknown or installed.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
