"""Requests per second and response times of the gateway beside other servers of the same model.

    python benchmarks/load.py --language en

All systems are brought up side by side, each from a registry of its own in a temporary folder, and asked the same texts
in turn: rounds of all numbers of clients, each round beginning with another system, so that what else the machine does
falls on all of them. Ratios are taken within a round; the table gives medians over rounds. Every answer of our model is
compared with what the same model answers to the text alone. Only figures are written, no text.

The systems, each with one process that holds the model:
    ours          our gateway in front of our served model
    optimised     plain `mlflow models serve` of the same served model
    mlserver, bentoml, litserve, ray
                  the same served model behind these frameworks, with their own batching (benchmarks/rivals)
    unoptimised   plain `mlflow models serve` of the same ensemble with the transformer as trained, PyTorch fp32
    rival         the encoder alone in Hugging Face's pipeline, fp32, behind the same gateway
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from clients import Entities, Outcome, Plan, ask_alone
from load_figures import (
    OPTIMISED,
    OTHER_MODEL,
    OURS,
    RIVAL,
    UNOPTIMISED,
    Run,
    Runs,
    marks,
    percentiles,
    summarise,
    table,
)
from machine import Circumstances
from rivals.environment import pinned
from systems import RIVALS, Served, crown_all, gateway, make_workspace, plain, rival
from texts import development_documents, pieces

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_json
from multiner.pipeline.core.progress import bar

HERE = Path(__file__).resolve().parent
LEVELS = (1, 8, 64)
PACKAGES = ("fastapi", "mlflow", "onnxruntime", "spacy", "torch", "transformers", "uvicorn")
NAMES = {"ours": OURS, "optimised": OPTIMISED} | {key: server.name for key, server in RIVALS.items()}
NAMES |= {"unoptimised": UNOPTIMISED, "rival": RIVAL}


def drive(plan: Plan) -> Outcome:
    """Run a plan in a process of its own.

    Raises:
        NerError: the process failed, or did not end.
    """
    command = [sys.executable, str(HERE / "clients.py")]
    limit = plan.warm_up + plan.seconds + 180  # requests have 120 s
    try:
        done = subprocess.run(command, input=json.dumps(asdict(plan)), capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise NerError(f"the clients did not end within {limit:.0f} s", where=plan.url) from None
    if done.returncode:
        raise NerError(f"the clients failed: {done.stderr.strip()[-1000:]}", where=plan.url)
    return Outcome(**json.loads(done.stdout))


def measure(
    systems: Sequence[Served], make_plan: Callable[[Served, int], Plan], levels: Sequence[int], rounds: int
) -> Runs:
    """All systems under all numbers of clients, interleaved; each round begins with another system."""
    runs: Runs = {(system.name, level): [] for level in levels for system in systems}
    with bar(rounds * len(runs), "load", unit="run") as progress:
        for turn in range(rounds):
            shift = turn % len(systems)
            for level in levels:
                for system in [*systems[shift:], *systems[:shift]]:
                    plan = make_plan(system, level)
                    drive(Plan(**asdict(plan) | {"seconds": plan.warm_up, "warm_up": 0, "expected": None}))
                    before = system.cpu_seconds()
                    outcome = drive(Plan(**asdict(plan) | {"warm_up": 0}))
                    spent = system.cpu_seconds() - before
                    runs[system.name, level].append(Run(outcome, spent, sum(system.resident_mb().values())))
                    progress.update()
    return runs


@contextmanager
def serve(options: argparse.Namespace, folder: Path) -> Iterator[tuple[list[Served], dict[str, str]]]:
    """The systems that were asked for, ready, and why a rival did not come up; they end with the context."""
    language, ensemble = options.language, options.ensemble
    trained = {language: options.trained or ensemble / "trained" / "transformer"}
    settings = {} if options.concurrency is None else {"concurrency": options.concurrency}

    def workspace(name: str, swap: bool) -> Workspace:
        return make_workspace(folder / name, {language: ensemble}, settings, trained if swap else None)

    if {"unoptimised", "rival"} & set(options.systems) and not trained[language].is_dir():
        raise NerError("the transformer as trained is missing", where=str(trained[language]), remedy="--trained FOLDER")
    with ExitStack() as stack, bar(len(options.systems), "start", unit="system") as progress:
        systems, left_out, ours = [], {}, workspace("ours", False)
        model = crown_all(ours)[language]
        for key in options.systems:
            name, log = NAMES[key], folder / key / "log"
            if key == "ours":
                system = gateway(name, ours)
            elif key == "optimised":
                system = plain(name, model, log)
            elif key == "unoptimised":
                slow = crown_all(workspace("slow", True), HERE / "rivals" / "torch_ensemble.py")[language]
                system = plain(name, slow, log)
            elif key == "rival":
                pipeline = workspace("pipeline", True)
                crown_all(pipeline, HERE / "rivals" / "hugging_face.py")
                system = gateway(name, pipeline)
            else:
                system = rival(RIVALS[key], model, log)
            try:
                systems.append(stack.enter_context(system))
            except NerError as error:
                if key not in RIVALS:
                    raise
                left_out[name] = error.message
                progress.write(str(error))
            progress.update()
        yield systems, left_out


def alone(systems: Sequence[Served], language: str, texts: Sequence[str]) -> list[Entities]:
    """What our model answers to each text alone: of the plain server if it runs, else of another."""
    found = [system for system in systems if system.name not in OTHER_MODEL]
    found.sort(key=lambda system: system.name != OPTIMISED)
    if not found:
        return []
    with bar(len(texts), f"alone ({found[0].name})", unit="text") as progress:
        answers = []
        for entities in ask_alone(found[0].url, found[0].protocol, language, texts):
            answers.append(entities)
            progress.update()
    return answers


def rival_versions(keys: Sequence[str]) -> dict[str, str]:
    """The rivals' versions, as their requirements pin them."""
    return {RIVALS[key].name: pinned(key)[key] for key in keys if key in RIVALS}


def run(options: argparse.Namespace) -> bool:
    """Bring everything up, measure, print, write; whether all marks are reached."""
    if hasattr(os, "sched_setaffinity"):  # what is started inherits it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    documents = development_documents(options.ensemble / "documents", options.language)
    texts = pieces(documents, options.texts, options.seed)
    with TemporaryDirectory(prefix="ner-load-", ignore_cleanup_errors=True) as folder:
        with serve(options, Path(folder)) as (systems, left_out):
            expected = alone(systems, options.language, texts)

            def plan(system: Served, level: int) -> Plan:
                known = None if system.name in OTHER_MODEL else expected
                ask = (system.url, system.protocol, options.language, texts)
                return Plan(*ask, level, options.seconds, options.warm_up, options.seed, known)

            circumstances = Circumstances()
            figures = summarise(measure(systems, plan, options.clients, options.rounds))
            machine = circumstances.as_json()
    reached, rows = marks(figures), [asdict(figure) for figure in figures]
    print(table({"figures": rows}))
    for mark, met in reached.items():
        print(f"{'yes' if met else 'NO '}  {mark}")
    output = options.output or HERE / "results" / f"load.{options.language}.json"
    lengths = percentiles([float(len(text)) for text in texts])
    write_json(
        output,
        {
            "language": options.language,
            "texts": {"number": len(texts), "characters_p50_p95_p99": [round(each) for each in lengths]},
            "cores": options.cores,
            "seconds": options.seconds,
            "rounds": options.rounds,
            "ratio_to": OURS,
            "machine": machine,
            "versions": {package: version(package) for package in PACKAGES} | rival_versions(options.systems),
            "left_out": left_out,
            "marks": reached,
            "figures": rows,
        },
    )
    print(f"written to {output}")
    return all(reached.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", "-l", choices=["en", "ru"], default="en")
    parser.add_argument("--ensemble", type=Path, help="folder with ensemble.json and legs (default: the profile's)")
    parser.add_argument("--trained", type=Path, help="trained transformer (default: trained/transformer beside them)")
    parser.add_argument("--systems", nargs="+", choices=list(NAMES), default=list(NAMES), help="(default: all)")
    parser.add_argument("--clients", nargs="+", type=int, default=list(LEVELS), help="at once (default 1 8 64)")
    parser.add_argument("--seconds", type=float, default=20, help="of each run (default 20)")
    parser.add_argument("--warm-up", type=float, default=3, help="seconds before each run (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each system and number of clients (default 3)")
    parser.add_argument("--texts", type=int, default=200, help="different texts (default 200)")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--cores", type=int, default=2, help="that everything runs on, the clients too (default 2)")
    parser.add_argument("--concurrency", type=int, help="of the gateways (default: serving.concurrency)")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/load.<language>.json)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # the registries here are temporary ones
    try:
        options.ensemble = (options.ensemble or Workspace.load().paths.out(options.language)).resolve()
        return 0 if run(options) else 1
    except NerError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    sys.exit(main())
