"""The run report: what a version is made of and how it compares, on one page; and the resources its steps used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.files import read_json, write_json
from multiner.pipeline.core.usage import Usage
from multiner.pipeline.registry import register, resources, run_report
from multiner.pipeline.registry.champions import set_champion
from multiner.pipeline.registry.gate.verdict_notes import PASSED, REASONS, UNDECIDED
from multiner.pipeline.registry.run_report import FILE, TAG, VERDICT, write_run_report
from multiner.pipeline.registry.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("store")]
TRAINING = Usage("2026-03-01T00:00:00+00:00", 1800.0, 3600.0, 2_000_000_000, 1, True)


class Text(HTMLParser):
    """The text of a page, and the addresses that it leads to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.plots = 0
        self.links: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.extend(data.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.plots += tag == "svg"
        self.links += [value or "" for name, value in attributes if name in ("href", "src")]

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
def two_versions(workspace: Workspace, fill: Callable[..., None], empty_leg: Path) -> Workspace:
    """Version 1 is champion, with 91.25 on all parts; version 2 has one point less on conll2003."""
    fill(empty_leg)
    register(workspace, "en")
    set_champion(open_store(workspace), "ner-en", "1")
    fill(empty_leg, temperature=2.0)
    file = workspace.paths.metrics("en")
    figures = read_json(file)
    figures["corpora"]["conll2003"]["test"]["ensemble"] |= {
        "f1": 90.25,
        "per_type": {"PER": {"f1": 80.0, "precision": 80.0, "recall": 80.0, "support": 10}},
    }
    write_json(file, figures)
    for stage, record in (
        ("train_transformer@en", TRAINING),
        ("train_transformer@ru", replace(TRAINING, seconds=1e9)),
        ("encoder", replace(TRAINING, seconds=200.0, cpu_seconds=0.0, peak_bytes=10_000_000)),
    ):
        write_json(workspace.paths.usage(stage), asdict(record))
    register(workspace, "en")
    return workspace


@pytest.mark.parametrize(
    ("f1", "difference"), [(90.246, "+0.00"), (90.254, "+0.00"), (90.238, "-0.01"), (90.262, "+0.01")]
)
def test_a_difference_that_rounds_to_zero_is_no_loss(f1: float, difference: str) -> None:
    shown = run_report.Score("conll2003", "test", "PER", f1, 90.25).difference
    assert f"{shown:+.2f}" == difference


def page_of(workspace: Workspace, version: str = "2") -> Text:
    client = open_store(workspace)
    run_id = client.get_model_version("ner-en", version).run_id
    return Text(Path(client.download_artifacts(run_id, FILE)).read_text(encoding="utf-8"))


def test_the_report_compares_with_the_champion_and_names_what_was_used(two_versions: Workspace) -> None:
    address = write_run_report(two_versions, "en", "2", "register")
    page = page_of(two_versions)
    assert "ner-en version 2" in page.text
    assert "Compared with version 1" in page.text
    assert "Not judged yet" in page.text
    assert "conll2003 test all 90.25 91.25 -1.00" in page.text
    assert "wnut17 test all 91.25 91.25 +0.00" in page.text
    assert "conll2003 test PER 80.00 95.00 -15.00" in page.text
    assert "version 1 2 F1 91.25 90.25" in page.text
    assert page.plots == 2
    assert "conll2003 dev 6 6 12" in page.text
    assert f"conll2003 {'ab' * 16}.dir" in page.text
    assert "conll2003 PER 10 2 2" in page.text  # gold, missed, found wrongly
    assert "train_transformer 1,800.0 1.000 2,000 0.01000" in page.text
    assert all("://" not in link for link in page.links), "it loads nothing from elsewhere"
    client = open_store(two_versions)
    version = client.get_model_version("ner-en", "2")
    assert (
        address
        == f"experiments/{client.get_run(version.run_id).info.experiment_id}/runs/{version.run_id}/artifacts/{FILE}"
    )
    assert version.tags[TAG] == f"runs:/{version.run_id}/{FILE}"
    assert version.description == f"[Run report](#/{address})"


def test_what_the_steps_used_is_in_the_run(two_versions: Workspace) -> None:
    write_run_report(two_versions, "en", "2", "register")
    client = open_store(two_versions)
    run_id = client.get_model_version("ner-en", "2").run_id
    metrics = client.get_run(run_id).data.metrics
    steps = resources.usage_of(metrics)
    assert steps.keys() == {"train_transformer", "encoder", "register", "total"}, "no other language's"
    assert metrics["usage/train_transformer/energy_kwh"] == 3600 * 10 / 3.6e6
    own = steps["register"]
    assert own["seconds"] > 0
    assert steps["total"]["seconds"] == pytest.approx(2000 + own["seconds"])
    assert steps["total"]["peak_megabytes"] == max(2000, own["peak_megabytes"])
    write_run_report(two_versions, "en", "2", "promote")
    steps = resources.usage_of(client.get_run(run_id).data.metrics)
    assert steps.keys() == {"train_transformer", "encoder", "register", "promote", "total"}
    assert steps["total"]["seconds"] == pytest.approx(2000 + own["seconds"] + steps["promote"]["seconds"])


def test_the_gates_verdict_is_in_the_report(two_versions: Workspace) -> None:
    write_run_report(two_versions, "en", "2", "register")
    client = open_store(two_versions)
    run_id = client.get_model_version("ner-en", "2").run_id
    tags = {PASSED: "false", REASONS: json.dumps(["F1 < 30 & worse"]), VERDICT: f"runs:/{run_id}/gate/verdict.html"}
    for tag, value in tags.items():
        client.set_model_version_tag("ner-en", "2", tag, value)
    client.update_model_version("ner-en", "2", "a note of ours")
    write_run_report(two_versions, "en", "2", "promote")
    page = page_of(two_versions)
    assert "Refused" in page.text
    assert "F1 < 30 & worse" in page.text
    assert [link for link in page.links if link.endswith(f"runs/{run_id}/artifacts/gate/verdict.html")]
    assert client.get_model_version("ner-en", "2").description == "a note of ours"
    client.set_model_version_tag("ner-en", "2", PASSED, UNDECIDED)
    write_run_report(two_versions, "en", "2", "promote")
    page = page_of(two_versions)
    assert "The gate could not judge" in page.text
    assert "Refused" not in page.text
    assert "F1 < 30 & worse" in page.text


def test_a_report_that_is_there_is_not_made_again(two_versions: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    address = write_run_report(two_versions, "en", "2", "register", anew=False)  # there was none
    assert page_of(two_versions).text
    monkeypatch.setattr(run_report, "render", None)
    assert write_run_report(two_versions, "en", "2", "register", anew=False) == address


def test_a_first_version_without_plots_or_records(
    workspace: Workspace, fill: Callable[..., None], empty_leg: Path
) -> None:
    fill(empty_leg)
    register(workspace, "en")
    write_run_report(workspace, "en", "1", "register")
    page = page_of(workspace, "1")
    assert "There is no champion to compare with." in page.text
    assert page.plots == 0, "one point is no line"
    assert re.search(r"conll2003 test all 91\.25 – –", page.text)


def test_a_deleted_run_has_no_report(two_versions: Workspace) -> None:
    client = open_store(two_versions)
    client.delete_run(client.get_model_version("ner-en", "2").run_id)
    assert write_run_report(two_versions, "en", "2", "promote") is None
