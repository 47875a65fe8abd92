"""From texts in doubt to a better model, by way of a real Label Studio.

    python -m venv LS; LS/bin/pip install label-studio==1.23.2      # an environment of its own
    python benchmarks/annotation_loop.py --label-studio LS/bin/label-studio --corpus NAME

Runs in a workspace with an English champion whose params.yaml declares the growing corpus NAME, lists it under
train_on, and has serving.review_uncertain above 0. Invented notes of technicians are sent to the gateway: persons and
places in capitals, and customers that go by a code (ORG). Those in doubt go out by `ner review --export label-studio`
and are imported into a project of Label Studio, which this script starts on loopback with a temporary SQLite database
and without telemetry. A person is played by the true entities: a right prediction is submitted as it is, a wrong one is
corrected. The export comes back by `ner corpus import`; dvc repro trains, and the strict F1 before and after is that on
other notes, with other names, four of ten with other words around the names.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from systems import answers, gateway

from multiner.pipeline import registry
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json
from multiner.pipeline.core.processes import tied
from multiner.pipeline.corpora.formats.label_studio import labelling_interface
from multiner.pipeline.corpora.uncertain_texts import UncertainTexts
from multiner.pipeline.ensemble.identity import base_model_folders, load_ensemble
from multiner.pipeline.evaluation.scores import score
from multiner.pipeline.growing.declaration import GrowingCorpus, growing_corpus
from multiner.pipeline.growing.records import annotated_document
from multiner.serving.backends.local_server import free_port

LANGUAGE = "en"
TEXTS = 20  # in a request to the gateway
READY_SECONDS = 1200  # the first start makes the database
DRAWS = 10_000  # one after another that make no new note, until the names count as used up
TOKEN = secrets.token_hex(20)  # of a server on loopback that ends with this script
SURNAMES = ["OKAFOR", "BRANDT", "LINDGREN", "MORETTI", "KOVACS", "DUBOIS", "TANAKA", "MCALLEN"]
PLACES = ["OSLO", "LEEDS", "PORT ELLEN", "UPPER TOLLAND", "TAMPERE", "BASEL", "GHENT", "TURIN"]
PATTERNS = (
    "{PER} replaced the pump for {ORG} in {LOC}.",
    "Ticket opened by {ORG}: no pressure at the {LOC} site.",
    "Call {PER} before the visit to {LOC}.",
    "{ORG} has not paid, says {PER}.",
    "Spare valves for {ORG} left {LOC} this morning.",
    "{PER} and the crew from {ORG} are still waiting.",
)
OTHER_PATTERNS = (
    "Invoice of {ORG} sent to {LOC} again.",
    "Keys are with {PER} until Friday.",
    "{ORG} wants a second filter, {PER} will bring it.",
    "The road to {LOC} is closed.",
)
Entities = list[dict[str, Any]]  # each with start, end, label


def notes(count: int, seed: int, patterns: tuple[str, ...], half: int) -> dict[str, Entities]:
    """Texts with their entities; ``half``, 0 or 1, chooses the names, so that two halves share none.

    Raises:
        NerError: the names are used up.
    """
    random, texts, draws = Random(seed), {}, 0
    while len(texts) < count:
        names = {
            "PER": f"{random.choice('ABDEGHJKLM')}. {random.choice(SURNAMES[half::2])}",
            "ORG": f"{random.choice(('KV', 'QX', 'TR')[half:][:2])}-{2 * random.randrange(500, 5000) + half}",
            "LOC": random.choice(PLACES[half::2]),
        }
        pattern = patterns[len(texts) % len(patterns)]
        text, entities = pattern.format(**names), []
        draws = draws + 1 if text in texts else 0
        if draws == DRAWS:
            raise NerError(
                f"the names are enough for {len(texts)} notes, not for {count}", remedy="Ask for fewer: --notes"
            )
        for label, name in names.items():
            if f"{{{label}}}" in pattern:
                start = text.index(name)
                entities.append({"start": start, "end": start + len(name), "label": label})
        texts[text] = sorted(entities, key=lambda each: each["start"])
    return texts


@contextmanager
def label_studio(program: Path, folder: Path) -> Iterator[httpx.Client]:
    """Label Studio on loopback with a database in ``folder``, as a client that its user's token opens.

    Raises:
        NerError: it does not come up.
    """
    port, log = free_port(), folder / "log"
    command = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    command += ["--data-dir", str(folder), "--username", "annotator@localhost.org", "--password", TOKEN]
    command += ["--user-token", TOKEN, "--enable-legacy-api-token"]
    silence = {
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    environment = os.environ | silence | {"LABEL_STUDIO_BASE_DATA_DIR": str(folder), "DJANGO_DB": "sqlite"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            tied(command), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not answers(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NerError("Label Studio does not come up", remedy=log.read_text(errors="replace")[-2000:])
            time.sleep(1)
        headers = {"Authorization": f"Token {TOKEN}"}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}/api", headers=headers, timeout=120, trust_env=False
        ) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def annotate(client: httpx.Client, tasks: Path, types: list[str], truth: dict[str, Entities], export: Path) -> str:
    """Import ``tasks`` into a new project, answer each as a person would, write the project's export; what was done."""

    def call(method: str, path: str, **options: Any) -> httpx.Response:
        response = client.request(method, path, **options)
        if response.is_error:
            raise NerError(f"Label Studio answers {response.status_code}: {response.text[:500]}", where=path)
        return response

    settings = {"title": "Texts in doubt", "label_config": labelling_interface(types)}
    project = f"/projects/{call('POST', '/projects/', json=settings).json()['id']}"
    imported = call("POST", f"{project}/import", files={"file": (tasks.name, tasks.read_bytes(), "application/json")})
    right = corrected = 0
    for _ in range(imported.json()["task_count"]):
        task = call("GET", f"{project}/next").json()
        (prediction,) = task["predictions"]
        entities = truth[task["data"]["text"]]
        wanted = {(each["start"], each["end"], each["label"]) for each in entities}
        regions = {
            (region["value"]["start"], region["value"]["end"], region["value"]["labels"][0]): region
            for region in prediction["result"]
        }
        if regions.keys() == wanted:
            right += 1
        else:
            corrected += 1
        result = [regions.get(key) or region_of(task["data"]["text"], *key) for key in sorted(wanted)]
        call("POST", f"/tasks/{task['id']}/annotations/", json={"result": result, "prediction": prediction["id"]})
    export.write_bytes(call("GET", f"{project}/export", params={"exportType": "JSON"}).content)
    return f"Label Studio: {imported.json()['prediction_count']} predictions; {right} accepted, {corrected} corrected"


def region_of(text: str, start: int, end: int, label: str) -> dict[str, Any]:
    """A region that a person marked, as Label Studio's editor sends it."""
    value = {"start": start, "end": end, "text": text[start:end], "labels": [label]}
    return {"id": f"new-{start}", "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def command(root: Path, *words: str) -> None:
    """Run a command in the workspace, first among those of this environment; its output is shown."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    subprocess.run(["env", *words], cwd=root, env=os.environ | {"PATH": path}, check=True)


def f1(workspace: Workspace, documents: list[Document]) -> str:
    """The scores of the trained ensemble on ``documents``, for the user."""
    folders = base_model_folders(workspace, LANGUAGE)
    ensemble = load_ensemble(workspace.paths.ensemble(LANGUAGE), folders)
    predictions = ensemble.predict([document.with_spans([]) for document in documents])
    scores = score(documents, [prediction.spans for prediction in predictions], ["PER", "LOC", "ORG"])
    types = ", ".join(f"{name} {row['f1']:.1f}" for name, row in scores["per_type"].items())
    return f"F1 {scores['f1']:.1f} ({types}) on {len(documents)} notes with {scores['support']} entities"


def run(program: Path, corpus: GrowingCorpus, workspace: Workspace, count: int, retrain: list[str]) -> None:
    """The whole loop; each step is reported. ``retrain`` is the command that trains."""
    serving = workspace.params["serving"]
    if registry.champion(workspace, LANGUAGE) is None or not serving["review_uncertain"]:
        raise NerError("it needs an English champion, and serving.review_uncertain above 0", where="params.yaml")
    truth = notes(count, 1, PATTERNS, 0)
    heldout = notes(count, 2, PATTERNS + OTHER_PATTERNS, 1)
    sent = list(truth)
    documents = [annotated_document(text, entities, corpus, text) for text, entities in heldout.items()]
    print(f"before: {f1(workspace, documents)}")
    with gateway("gateway", workspace) as served:
        for start in range(0, count, TEXTS):
            request = {"text": sent[start : start + TEXTS], "language": LANGUAGE}
            httpx.post(served.url, json=request, timeout=READY_SECONDS, trust_env=False).raise_for_status()
    doubtful = UncertainTexts(workspace.paths.review, serving["review_uncertain"], 0).read(LANGUAGE)
    print(f"{len(doubtful)} of {count} notes are in doubt")
    with TemporaryDirectory(prefix="ner-label-studio-") as name:
        folder = Path(name)
        tasks, export = folder / "tasks.json", folder / "export.json"
        review = ("review", "--language", LANGUAGE, "--export", "label-studio", "--output", str(tasks), "--clear")
        command(workspace.root, "ner", *review)
        with label_studio(program, folder) as client:
            print(annotate(client, tasks, list(workspace.language(LANGUAGE)["types"]), truth, export))
        print(f"{len(read_json(export))} annotated tasks exported")
        words = ("corpus", "import", str(export), "--language", LANGUAGE, "--corpus", corpus.name)
        command(workspace.root, "ner", *words)
    command(workspace.root, *retrain)
    print(f"after: {f1(workspace, documents)}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--label-studio", type=Path, required=True, metavar="PROGRAM", help="of its own environment")
    parser.add_argument("--corpus", required=True, metavar="NAME", help="a growing corpus without a source")
    parser.add_argument("--notes", type=int, default=48, help="sent to the gateway, and as many held out (default 48)")
    parser.add_argument("--retrain", default=f"dvc repro ensemble@{LANGUAGE}", help="the command that trains")
    options = parser.parse_args()
    try:
        workspace = Workspace.load()
        corpus = growing_corpus(workspace, options.corpus)
        run(options.label_studio.absolute(), corpus, workspace, options.notes, shlex.split(options.retrain))
    except NerError as error:
        parser.exit(1, f"error: {error}\n")
    except subprocess.CalledProcessError as error:
        parser.exit(1, f"error: exit code {error.returncode} from {' '.join(map(str, error.cmd))}\n")


if __name__ == "__main__":
    main()
