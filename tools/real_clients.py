"""Asks a running gateway with the client libraries of other tools, each installed in an environment of its own.

``python tools/real_clients.py --gateway http://127.0.0.1:8000`` prints a Markdown table. Each client must find the
entities that ``POST /v1/entities`` finds. The packages come from the indexes of pip and npm (for ``hugging_face_js``,
which needs Node.js).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

SCRIPTS = Path(__file__).with_name("clients")
TEXT = "Ingrid Halvorsen flew to Oslo."


@dataclass(frozen=True, slots=True)
class RealClient:
    """A client library.

    Attributes:
        package: its name in the index, with extras.
        script: asks the gateway, and prints the library's version and the entities.
    """

    package: str
    script: str

    @property
    def is_javascript(self) -> bool:
        """Whether it comes from npm."""
        return self.script.endswith(".mjs")


CLIENTS = {
    "hugging_face": RealClient("huggingface-hub", "hugging_face.py"),
    "hugging_face_js": RealClient("@huggingface/inference", "hugging_face.mjs"),
    "triton": RealClient("tritonclient[http]", "triton.py"),
    "label_studio": RealClient("label-studio", "label_studio.py"),
}


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command; ends the script if it fails."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("NER_", "PYTHON", "VIRTUAL"))
    }
    done = subprocess.run(command, cwd=cwd, env=inherited, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def attempt(name: str, gateway: str, folder: Path) -> str:
    """Install a client and ask with it; returns its row of the table. Ends the script if an entity differs."""
    client = CLIENTS[name]
    script = folder / client.script
    script.write_text((SCRIPTS / client.script).read_text(encoding="utf-8"), encoding="utf-8")
    if client.is_javascript:
        run("npm", "install", "--silent", "--no-save", "--prefix", folder, client.package, cwd=folder)
        output = run("node", script, gateway, TEXT, cwd=folder)
    else:
        run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
        python = folder / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", client.package, cwd=folder)
        output = run(python, script, gateway, TEXT, cwd=folder)
    answer = json.loads(output.splitlines()[-1])
    found, expected = [tuple(each) for each in answer["entities"]], entities(gateway)
    if found != expected:
        sys.exit(f"{name}: {found}, not {expected}")
    return f"| {client.package} | {answer['version']} | {len(found)} of {len(expected)} entities, the same |"


def entities(gateway: str) -> list[tuple[int, int, str]]:
    """Start, end and type of the text's entities, as the gateway's own endpoint finds them."""
    answer = httpx.post(f"{gateway}/v1/entities", json={"text": TEXT, "language": "en"}, timeout=60).raise_for_status()
    return [(each["start"], each["end"], each["label"]) for each in answer.json()["results"][0]["entities"]]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"by default all of: {', '.join(CLIENTS)}")
    parser.add_argument("--gateway", default="http://127.0.0.1:8000", help="its address (default: %(default)s)")
    options = parser.parse_args(arguments)
    if unknown := set(options.clients) - set(CLIENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(CLIENTS)}")
    gateway = options.gateway.rstrip("/")
    try:
        if not entities(gateway):
            sys.exit(f"{gateway}: the English model finds no entity in {TEXT!r}; ask one that does")
    except httpx.HTTPError as error:
        sys.exit(f"{gateway}: {error}\n  Start a gateway, for one with: make demo")
    print("| package | version | |\n|---|---|---|", flush=True)
    for name in options.clients or CLIENTS:
        with TemporaryDirectory(prefix="ner-client-") as folder:
            print(attempt(name, gateway, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
