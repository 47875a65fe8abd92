"""Whether serving keeps its memory: clients ask texts of words that never come again, for an hour.

    python benchmarks/soak.py
    python benchmarks/soak.py --minutes 480 --switch-minutes 10 --rate 20    # a night

A real gateway with real served models, from a registry in a temporary folder; the resident memory of every process is
read every ten seconds. With --switch-minutes every language has two versions, and operators' orders switch between
them; both stay warm, so that their processes can be watched. After a warm-up of a tenth of the time memory has to be
flat: in no process may the median of the last fifth lie more than 5 % above that of the first fifth. Only figures are
written.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from statistics import linear_regression, median
from tempfile import TemporaryDirectory

import psutil
from systems import Served, crown_all, gateway, make_workspace

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.core.processes import tied
from multiner.pipeline.core.progress import bar
from multiner.serving.backends.work_folders import PREFIX
from multiner.serving.gateway.state import GatewayState, read_state
from multiner.serving.system import gateway_client

HERE = Path(__file__).resolve().parent
GROWTH = 0.05  # of a process's memory, at most
WARM_UP = 0.1  # of the time


@dataclass(frozen=True)
class Sample:
    """MB of memory of a process, and seconds since the start."""

    process: str
    seconds: float
    resident_mb: float


@dataclass(frozen=True)
class Trend:
    """How a process's memory went on after the warm-up."""

    process: str
    samples: int
    first_mb: float
    """Median of the first fifth."""
    last_mb: float
    """Median of the last fifth."""
    mb_per_hour: float
    """Slope of the straight line of least squares."""

    @property
    def flat(self) -> bool:
        return self.last_mb <= self.first_mb * (1 + GROWTH)


def trends(samples: Sequence[Sample], seconds: float) -> list[Trend]:
    """The trend of each process over what came after the warm-up.

    Raises:
        NerError: a process has too few samples to tell, such as one that came or went.
    """
    found = []
    for process in dict.fromkeys(sample.process for sample in samples):
        own = [each for each in samples if each.process == process and each.seconds >= WARM_UP * seconds]
        fifth = len(own) // 5
        if not fifth:
            raise NerError(f"{len(own)} samples of the process {process} after the warm-up; 5 at least are needed")
        slope = linear_regression([each.seconds for each in own], [each.resident_mb for each in own]).slope
        first, last = (median(each.resident_mb for each in part) for part in (own[:fifth], own[-fifth:]))
        found.append(Trend(process, len(own), round(first, 1), round(last, 1), round(3600 * slope, 1)))
    return found


def table(found: Sequence[Trend]) -> str:
    """The trends as Markdown."""
    lines = ["| Process | samples | first fifth, MB | last fifth, MB | MB/h | flat |", "|---|---:|---:|---:|---:|---|"]
    for each in found:
        flat = "yes" if each.flat else "NO"
        lines.append(
            f"| {each.process} | {each.samples} | {each.first_mb} | {each.last_mb} | {each.mb_per_hour} | {flat} |"
        )
    return "\n".join(lines)


def names(served: Served) -> dict[int, str]:
    """What to call each process: the gateway, and of each served model the server itself and its parent."""
    found = {served.pid: "gateway"}
    for process in psutil.Process(served.pid).children(recursive=True):
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            folder = process.environ().get("TMPDIR", "")
            kind = "server" if "scoring_server" in command or "uvicorn" in command else "launcher"
            found[process.pid] = f"{kind} {Path(folder).parent.name.removeprefix(PREFIX)} {process.pid}"
    return found


class Switches:
    """Orders that make each language's version 1 live, then version 2, and so on.

    Args:
        gateway: that carries them out.
        languages: each with two registered versions.
        every: seconds between two switches.
    """

    def __init__(self, gateway: GatewayState, languages: Sequence[str], every: float) -> None:
        self._gateway, self._languages, self._every = gateway, languages, every
        self._versions, self._due = cycle("12"), every
        self.count = 0

    def make(self) -> None:
        """Switch every language. Raises NerError if the gateway refuses an order."""
        version = next(self._versions)
        for language in self._languages:
            gateway_client.post(self._gateway, "/admin/deploy", {"language": language, "version": version})
        self.count += 1

    def make_if_due(self, seconds: float) -> None:
        """Switch if it is time, so many seconds after the beginning."""
        if seconds >= self._due:
            self._due += self._every
            self.make()


def watch(
    served: Served,
    clients: subprocess.Popen[bytes],
    seconds: float,
    every: float,
    switches: Switches | None,
    samples: list[Sample],
) -> None:
    """Read the memory of all processes until the time is over, and make the switches that are due.

    Args:
        samples: gets what is read, so that it outlives an interruption.

    Raises:
        NerError: the clients ended too early, or a process did.
    """
    known, begin = names(served), time.monotonic()
    with bar(round(seconds), "soak", unit="s") as progress:
        while (now := time.monotonic() - begin) < seconds:
            if switches:
                switches.make_if_due(now)
            resident = served.resident_mb()
            if clients.poll() is not None or not known.keys() <= resident.keys():
                raise NerError("the clients or a served process ended", remedy="See the logs of the gateway.")
            samples += [Sample(name, round(now, 1), round(resident[pid], 2)) for pid, name in known.items()]
            progress.update(round(now) - progress.n)
            time.sleep(min(every, max(0.0, seconds - now)))


def run(options: argparse.Namespace, ensembles: Mapping[str, Path]) -> bool:
    """Bring everything up, ask and watch, print, write; whether memory is flat and every request was answered."""
    seconds, samples = 60 * options.minutes, list[Sample]()
    output = options.output or HERE / "results" / "soak.json"
    with TemporaryDirectory(prefix="ner-soak-", ignore_cleanup_errors=True) as folder:
        serving = {"keep_previous": True} if options.switch_minutes else {}  # both versions are watched throughout
        workspace = make_workspace(Path(folder) / "workspace", ensembles, serving)
        for _ in range(2 if options.switch_minutes else 1):
            crown_all(workspace)
        counts = Path(folder) / "counts.json"
        with gateway("gateway", workspace) as served:
            switches = None
            if options.switch_minutes:
                state = read_state(workspace)
                assert state is not None
                switches = Switches(state, sorted(ensembles), 60 * options.switch_minutes)
                switches.make()  # now both versions of each language have a process
            command = [sys.executable, str(HERE / "strangers.py"), served.url, str(options.clients)]
            command += [str(options.rate), str(seconds + 5), str(options.seed), str(counts)]
            clients = subprocess.Popen(tied([*command, *sorted(ensembles)]), start_new_session=True)
            try:
                watch(served, clients, seconds, options.every, switches, samples)
                clients.wait(180)
            except BaseException:
                partial = output.with_suffix(".partial.json")
                write_json(partial, {"samples": [asdict(each) for each in samples]})
                logs = output.with_suffix(".logs")
                shutil.copytree(workspace.root / ".run" / "logs", logs, dirs_exist_ok=True)
                print(f"interrupted; samples and logs until then: {partial}, {logs}", file=sys.stderr)
                raise
            finally:
                clients.kill()
                clients.wait()
        asked = read_json(counts)
    found = trends(samples, seconds)
    flat = all(each.flat for each in found)
    print(table(found))
    print(f"{asked['answered']} texts answered ({asked['characters']} characters), failures: {asked['failures'] or 0}")
    if switches:
        print(f"{switches.count} switches of every language")
    print("memory is flat" if flat else f"memory grows: more than {GROWTH:.0%} in the processes marked NO")
    write_json(
        output,
        {
            "minutes": options.minutes,
            "clients": options.clients,
            "rate": options.rate,
            "switches": switches.count if switches else 0,
            "languages": sorted(ensembles),
            "asked": asked,
            "flat": flat,
            "trends": [asdict(each) | {"flat": each.flat} for each in found],
            "samples": [asdict(each) for each in samples],
        },
    )
    print(f"written to {output}")
    return flat and not asked["failures"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="(default 60)")
    parser.add_argument("--clients", type=int, default=4, help="that ask at once (default 4)")
    parser.add_argument("--rate", type=float, default=0, help="texts a second, at most (default 0: no limit)")
    parser.add_argument("--switch-minutes", type=float, metavar="MIN", help="between two switches (default: none)")
    parser.add_argument("--every", type=float, default=10, help="seconds between samples (default 10)")
    parser.add_argument("--language", "-l", nargs="+", choices=["en", "ru"], default=["en", "ru"])
    parser.add_argument("--ensembles", type=Path, help="folder with a folder a language (default: the profile's)")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/soak.json)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # the registry here is a temporary one
    try:
        root = options.ensembles or Workspace.load().paths.out("en").parent
        return 0 if run(options, {code: (root / code).resolve() for code in options.language}) else 1
    except NerError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    sys.exit(main())
