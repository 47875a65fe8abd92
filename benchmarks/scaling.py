"""What the parts of serving cost, which of them gives out first, and the machines that a load needs.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --model FOLDER        # and the costs of the model in an MLflow model's folder
    python benchmarks/scaling.py --no-load             # arithmetic alone, with the options' costs

A real gateway in a process of its own asks a stub in place of the model (benchmarks/stub_model.py). Closed-loop clients
ask the gateway with the settings of params.yaml, with its limits out of the way, and with a stub as slow as a model.
Clients, stub and gateway share this machine; the CPU shares say which of them was busy. Costs that are not measured in
this run are recorded ones. Prints Markdown tables; docs/scaling.md explains them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import psutil
import yaml
from capacity import Costs, Machine
from clients import Plan
from load import drive
from scaling_figures import RECORDED, ROOT, UNITS, Row, load_table, plan_table, row, table, training_costs
from systems import READY_SECONDS, Served, answers, gateway, plain
from texts import development_documents, pieces, prose

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.processes import tied, tree
from multiner.pipeline.core.progress import bar
from multiner.pipeline.inference.isolated_process import conversation
from multiner.serving.backends.local_server import free_port

HERE = Path(__file__).resolve().parent
LEVELS = (1, 8, 64, 256, 600)
COST_LEVEL = 64  # clients at which a request's costs are taken
BATCH = 32  # texts in a call of `ner annotate`
WIDE = {"queue": 4096, "concurrency": 16, "connections": 4096}
SHIPPED, UNLIMITED, SLOW = "settings of params.yaml", "limits out of the way", "settings of params.yaml, slow model"


def measure(system: Served, options: argparse.Namespace, texts: Sequence[str], clients: int) -> Row:
    """The system under so many clients, once."""
    timing = {"seconds": options.seconds, "warm_up": options.warm_up}
    before = system.cpu_seconds()
    outcome = drive(Plan(system.url, system.protocol, options.language, list(texts), clients, **timing))
    return row(system.name, clients, outcome, system.cpu_seconds() - before, sum(system.resident_mb().values()))


@contextmanager
def stub(text_ms: float, folder: Path) -> Iterator[str]:
    """A stub of a model; gives its address."""
    port = free_port()
    command = [sys.executable, str(HERE / "stub_model.py"), "--port", str(port), "--text-ms", str(text_ms)]
    with (folder / f"stub-{port}.log").open("wb") as log:
        process = subprocess.Popen(tied(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not answers(f"http://127.0.0.1:{port}/ping"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NerError("the stub does not come up", where=log.name)
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def make_workspace(root: Path, language: str, url: str, settings: Mapping[str, int]) -> Workspace:
    """A workspace at ``root`` with the shipped parameters, ``settings`` and the language's model at ``url``."""
    root.mkdir()
    shutil.copytree(ROOT / "params", root / "params")
    shutil.copy(ROOT / "dvc.yaml", root / "dvc.yaml")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["serving"] |= {"port": free_port(), "endpoints": {language: {"url": url}}, **settings}
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return Workspace.load(root=root)


def measure_gateways(options: argparse.Namespace, texts: Sequence[str], folder: Path) -> list[Row]:
    """All gateways under all numbers of clients."""
    systems = {SHIPPED: (0, {}), UNLIMITED: (0, WIDE), SLOW: (options.text_ms, {})}
    with ExitStack() as stack:
        rows, served = [], []
        for number, (name, (text_ms, settings)) in enumerate(systems.items()):
            url = stack.enter_context(stub(text_ms, folder))
            workspace = make_workspace(folder / str(number), options.language, url, settings)
            served.append(stack.enter_context(gateway(name, workspace)))
        with bar(len(served) * len(options.clients), "load", unit="run") as progress:
            for system in served:
                for clients in options.clients:
                    rows.append(measure(system, options, texts, clients))
                    progress.update()
    return rows


def measure_model(options: argparse.Namespace, texts: Sequence[str], folder: Path) -> dict[str, float]:
    """The costs of the model in ``options.model``: in `mlflow models serve`, and in a process of `ner annotate`."""
    with plain("model", options.model.resolve(), folder / "model.log") as served:
        measure(served, options, texts, 8)  # its first calls are slow
        request = measure(served, options, texts, 8)
    documents = _documents(options.language)
    sentences = [prose(each, number, number + 1) for each in documents for number in range(len(each.sentences))]
    sentences = [sentence for sentence in sentences if sentence][: options.sentences]
    batches = [sentences[start : start + BATCH] for start in range(0, len(sentences), BATCH)]
    with conversation(options.model.resolve(), 1) as ask:
        [process] = [each for each in psutil.Process().children() if each.is_running()]
        ask(batches[0])  # the first call is slow
        begun = _cpu_seconds(process)
        for batch in batches:
            ask(batch)
        seconds, worker_mb = _cpu_seconds(process) - begun, process.memory_info().rss / 1e6
    print(
        f"The model: {len(sentences)} sentences of {fmean(len(each.split()) for each in sentences):.0f} words in "
        f"calls of {BATCH}; {request.rate:.0f} requests/s of 8 clients, p99 {request.p99_ms:.0f} ms.\n"
    )
    return {
        "model_ms": request.cpu_ms,
        "sentence_ms": 1000 * seconds / len(sentences),
        "model_mb": request.resident_mb,
        "worker_mb": worker_mb,
    }


def _documents(language: str) -> list[Document]:
    return development_documents(Workspace.load(root=ROOT).paths.documents(language), language)


def _cpu_seconds(process: psutil.Process) -> float:
    return sum(each.cpu_times().user + each.cpu_times().system for each in tree(process.pid))


def run(options: argparse.Namespace) -> None:
    """Measure what is to be measured, and print the tables."""
    measured: dict[str, float] = {}
    texts = pieces(_documents(options.language), options.texts, seed=13)
    with tempfile.TemporaryDirectory(prefix="ner-scaling-", ignore_cleanup_errors=True) as name:
        if options.load:
            rows = measure_gateways(options, texts, Path(name))
            print(load_table(rows))
            levels = [each for each in rows if each.system == UNLIMITED]
            at = min(levels, key=lambda each: abs(each.clients - COST_LEVEL))
            measured |= {"gateway_ms": at.cpu_ms, "gateway_mb": max(each.resident_mb for each in levels)}
        if options.model:
            measured |= measure_model(options, texts, Path(name))
        else:
            print("The model was not measured: --model FOLDER names an MLflow model.\n")
    stated = {key: value for key in UNITS if (value := getattr(options, key)) is not None}
    costs = Costs(**asdict(RECORDED) | measured | stated)
    sources = dict.fromkeys(UNITS, "recorded") | dict.fromkeys(measured, "measured") | dict.fromkeys(stated, "option")
    values = asdict(costs)
    print(table(["Cost", "value", "from"], [[UNITS[key], f"{values[key]:.4g}", sources[key]] for key in UNITS]))
    machine = Machine(options.cores, options.memory_gb, options.busy)
    print(plan_table(costs, machine, options.documents, options.length, options.hours))
    trainings = [
        [language, f"{encoder:.1f}", f"{cnn:.2f}"] for language, (encoder, cnn) in training_costs().items()
    ]  # of metrics/cpu
    print(table(["Training, CPU ms a token and epoch", "encoder", "spaCy CNN"], trainings))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", "-l", choices=["en", "ru"], default="en")
    parser.add_argument("--model", type=Path, help="folder of an MLflow model to measure; by default none is")
    parser.add_argument("--no-load", dest="load", action="store_false", help="do not measure the gateway")
    parser.add_argument("--clients", nargs="+", type=int, default=list(LEVELS), help="(default 1 8 64 256 600)")
    parser.add_argument("--seconds", type=float, default=10, help="of each run (default 10)")
    parser.add_argument("--warm-up", type=float, default=2, help="seconds before each run (default 2)")
    parser.add_argument("--texts", type=int, default=200, help="different texts (default 200)")
    parser.add_argument("--sentences", type=int, default=500, help="for the costs of the model (default 500)")
    parser.add_argument("--text-ms", type=float, default=10, help="of the slow stub, a text (default 10)")
    for key, unit in UNITS.items():
        parser.add_argument(f"--{key.replace('_', '-')}", type=float, help=f"{unit}, in place of the measured")
    parser.add_argument("--cores", type=int, default=8, help="of a machine (default 8)")
    parser.add_argument("--memory-gb", type=float, default=32, help="of a machine (default 32)")
    parser.add_argument("--busy", type=float, default=0.6, help="share of the cores' time to plan for (default 0.6)")
    parser.add_argument("--documents", type=float, default=100e6, help="of a night (default 100 million)")
    parser.add_argument("--length", type=float, default=20, help="sentences in a document (default 20)")
    parser.add_argument("--hours", type=float, default=8, help="of a night (default 8)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # the registries here are temporary ones
    try:
        if options.model and not (options.model / "MLmodel").is_file():
            raise NerError("no MLflow model here", where=str(options.model), remedy="Name the folder with MLmodel.")
        run(options)
    except NerError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
