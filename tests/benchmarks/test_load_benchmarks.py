"""The benchmarks of serving: what the clients count, how figures are made, what passes for flat memory."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from multiner.pipeline.core.document import from_words
from multiner.pipeline.core.errors import NerError


@pytest.fixture(scope="module")
def modules(root: Path) -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(root / "benchmarks"))
    yield {name: import_module(name) for name in ("clients", "load", "soak", "strangers", "systems", "texts")}
    sys.path.remove(str(root / "benchmarks"))


class Model(BaseHTTPRequestHandler):
    """Answers a text with itself; every fifth request fails, and every third text is answered wrongly."""

    protocol_version = "HTTP/1.1"
    asked = itertools.count(1)
    faulty = False

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["content-length"])))["text"]
        number = next(self.asked)
        found = [{"text": text.upper() if self.faulty and number % 3 == 0 else text}]
        content = json.dumps({"results": [{"entities": found}]}).encode()
        self.send_response(500 if self.faulty and number % 5 == 0 else 200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/entities"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("faulty", [False, True])
def test_clients_count_answers_failures_and_differences(
    modules: dict[str, ModuleType], url: str, faulty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "faulty", faulty)
    texts = ["ada", "boris", "clara"]
    clients = modules["clients"]
    plan = clients.Plan(url, "gateway", "en", texts, 3, 2.0, 0.1, expected=[[{"text": text}] for text in texts])
    outcome = modules["load"].drive(plan)
    assert len(outcome.milliseconds) > 10
    assert bool(outcome.different) == bool(outcome.failures) == faulty
    if not faulty:
        assert list(clients.ask_alone(url, "gateway", "en", texts)) == plan.expected
    else:
        assert set(outcome.failures) == {"500"}


ENTITIES = [{"start": 0, "end": 3, "label": "PER"}]
ANSWERS = {
    "gateway": {"results": [{"entities": ENTITIES}]},
    "mlflow": {"predictions": [{"entities": ENTITIES}]},
    "text": {"entities": ENTITIES},
    "texts": [{"entities": ENTITIES}],
    "v2": {"outputs": [{"data": [json.dumps({"entities": ENTITIES})]}]},
}


@pytest.mark.parametrize("protocol", ANSWERS)
def test_each_servers_own_words_are_spoken(modules: dict[str, ModuleType], protocol: str) -> None:
    clients = modules["clients"]
    assert clients.entities(protocol, ANSWERS[protocol]) == ENTITIES
    assert "Ada" in clients.body(protocol, "en", "Ada").decode()
    assert {rival.protocol for rival in modules["load"].RIVALS.values()} <= ANSWERS.keys()


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_language_can_be_served_alone(modules: dict[str, ModuleType], tmp_path: Path, language: str) -> None:
    """Russian, too, whose encoder is trained on English documents first."""
    ensemble = tmp_path / "ensemble"
    (ensemble / "legs" / "spacy").mkdir(parents=True)
    described = {"types": ["PER"], "members": [{"name": "spacy"}]}
    (ensemble / "ensemble.json").write_text(json.dumps(described))
    home = tmp_path / "home"
    home.mkdir()
    workspace = modules["systems"].make_workspace(home, {language: ensemble}, {})
    assert (workspace.languages, workspace.language(language)["types"]) == ([language], ["PER"])


def test_nobody_there_is_a_failure_not_a_hang(modules: dict[str, ModuleType]) -> None:
    plan = modules["clients"].Plan("http://127.0.0.1:9/", "mlflow", "en", ["x"], 1, 0.5, 0.0)
    outcome = asyncio.run(modules["clients"].drive(plan))
    assert not outcome.milliseconds
    assert set(outcome.failures) == {"ConnectError"}


def test_figures_take_ratios_within_rounds_and_marks_can_be_missed(modules: dict[str, ModuleType]) -> None:
    load, clients = modules["load"], modules["clients"]

    def run(requests: int, milliseconds: list[float], different: int = 0) -> object:
        times = [milliseconds[index % len(milliseconds)] for index in range(requests)]
        return load.Run(clients.Outcome(1.0, times, {}, different), 0.5, 100.0)

    runs = {
        (load.OURS, 8): [run(400, [10.0]), run(40, [10.0]), run(330, [10.0])],
        (load.UNOPTIMISED, 8): [run(100, [50.0]), run(10, [50.0]), run(110, [50.0])],
    }
    ours, plain = load.summarise(runs)
    assert (ours.ratio, plain.ratio, ours.requests_per_second) == (1.0, 0.25, 330.0)
    assert (ours.different, plain.different) == (0, None)
    assert all(load.marks([ours, plain]).values())
    slow = load.summarise({**runs, (load.OURS, 8): [run(200, [1.0] * 90 + [100.0] * 10, different=1)] * 3})
    assert list(load.marks(slow).values()) == [True, False, False, False]
    assert "| 8 | gateway | 200.0 |" in load.table({"figures": [asdict(figure) for figure in slow]})
    mute = load.summarise({**runs, (load.UNOPTIMISED, 8): [run(0, [1.0])] * 3})
    figures = json.loads(json.dumps([asdict(figure) for figure in mute], allow_nan=False))
    assert f"| {load.UNOPTIMISED} | 0.0 | 0.0 | – | – | – |" in load.table({"figures": figures})


def test_a_rival_that_does_not_come_up_is_named(
    modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = modules["load"]

    @contextmanager
    def absent(server: object, model: Path, log: Path) -> Iterator[None]:
        raise NerError("it does not come up")
        yield

    monkeypatch.setattr(load, "make_workspace", lambda *_: None)
    monkeypatch.setattr(load, "crown_all", lambda *_: {"en": tmp_path})
    monkeypatch.setattr(load, "gateway", lambda name, _: nullcontext(name))
    monkeypatch.setattr(load, "rival", absent)
    options = Namespace(language="en", ensemble=tmp_path, trained=None, concurrency=None, systems=["ours", "litserve"])
    with load.serve(options, tmp_path) as (systems, left_out):
        assert systems == [load.OURS]
        assert left_out == {"LitServe": "it does not come up"}
    assert load.rival_versions(options.systems).keys() == {"LitServe"}
    monkeypatch.setattr(load, "plain", absent)
    options.systems = ["optimised"]
    with pytest.raises(NerError, match="come up"), load.serve(options, tmp_path):
        pass


def test_texts_are_pieces_of_documents_and_the_same_again(modules: dict[str, ModuleType]) -> None:
    documents = [from_words(f"d{n}", [[f"Name{n}", "slept", "."], ["So", "what", "?"], ["No", "."]]) for n in range(30)]
    found = modules["texts"].pieces(documents, 20, seed=1)
    assert found == modules["texts"].pieces(documents, 20, seed=1) != modules["texts"].pieces(documents, 20, seed=2)
    assert {text.count("\n") for text in found} == {0, 1, 2}
    assert all(" ." not in text for text in found)
    with pytest.raises(NerError, match="no text"):
        modules["texts"].pieces([from_words("empty", [])], 1, seed=1)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_without_prepared_documents_the_samples_are_asked(
    modules: dict[str, ModuleType], language: str, tmp_path: Path
) -> None:
    assert modules["texts"].pieces(modules["texts"].development_documents(tmp_path, language), 5, seed=1)


def test_invented_words_hardly_come_again(modules: dict[str, ModuleType]) -> None:
    found = list(itertools.islice(modules["texts"].invented(seed=1), 200))
    words = [word for _, text in found for word in text.split()]
    assert {language for language, _ in found} == {"en", "ru"}
    assert len(set(words)) > 0.95 * len(words)


def test_strangers_ask_and_count(modules: dict[str, ModuleType], url: str) -> None:
    counts = asyncio.run(modules["strangers"].ask(url, 2, 0, 0.3, 1, ["ru"]))
    assert counts["answered"] > 1
    assert counts["characters"] > counts["answered"]
    assert not counts["failures"]


def test_strangers_ask_no_more_often_than_their_rate(modules: dict[str, ModuleType], url: str) -> None:
    counts = asyncio.run(modules["strangers"].ask(url, 4, 10, 0.5, 1, ["ru"]))
    assert 1 <= counts["answered"] <= 5 + 4  # of each client a last one, whose turn comes after the end


def samples(soak: ModuleType, process: str, memory: list[float]) -> list[object]:
    return [soak.Sample(process, 10.0 * index, value) for index, value in enumerate(memory)]


def test_memory_is_flat_only_where_it_does_not_grow(modules: dict[str, ModuleType]) -> None:
    soak = modules["soak"]
    warming = [50.0 + index for index in range(36)]  # what grows in the warm-up does not count
    flat = samples(soak, "gateway", warming + [100.0 + index % 3 for index in range(324)])
    grows = samples(soak, "server", [100.0 + index / 36 for index in range(360)])
    steady, growing = soak.trends([*flat, *grows], 3600)
    assert steady.flat
    assert not growing.flat
    assert growing.mb_per_hour == pytest.approx(10, abs=0.2)
    assert "| server |" in soak.table([steady, growing])
    with pytest.raises(NerError, match="samples of the process gateway"):
        soak.trends(samples(soak, "gateway", [1.0, 2.0]), 20)


def test_switches_go_from_version_to_version_when_they_are_due(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    soak, orders = modules["soak"], []
    monkeypatch.setattr(soak.gateway_client, "post", lambda _, path, order: orders.append((path, *order.values())))
    switches = soak.Switches(None, ["en", "ru"], 600.0)
    for seconds in (0.0, 599.0, 600.0, 700.0, 1300.0):
        switches.make_if_due(seconds)
    assert orders == [("/admin/deploy", language, version) for version in "12" for language in ("en", "ru")]
    assert switches.count == 2
