"""Dashboard and alert rules: valid, and of metrics, labels and values that the gateway really exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from multiner.serving.routing.answer_comparison import ShadowMetrics
from tests.serving.harness import Harness

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
SCRAPED = {"job", "instance"}  # Prometheus' own
SELECTOR = re.compile(r"\b(ner_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(?:=~|!=|=)"([^"]*)"')


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(__file__).resolve().parents[2] / "docker" / "monitoring"


@pytest.fixture(scope="module")
def rules(folder: Path) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((folder / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return group["rules"]


@pytest.fixture(scope="module")
def dashboard(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "dashboard.json").read_text(encoding="utf-8"))


def expressions(rules: list[dict[str, Any]], dashboard: dict[str, Any]) -> list[str]:
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [rule["expr"] for rule in rules] + panels + [each["expr"] for each in dashboard["annotations"]["list"]]


@pytest.fixture(scope="module")
def gateway() -> Harness:
    harness = Harness()
    ShadowMetrics(harness.service.metrics.registry)  # as with serving.shadow on
    return harness


def exported(registry: CollectorRegistry) -> Iterator[tuple[str, set[str]]]:
    """The names of all series that a registry exports, with their labels."""
    for collector in list(registry._collector_to_names):
        for family in collector.collect():
            of = collector if isinstance(collector, MetricWrapperBase) else family
            labels = {*of._labelnames, *({"le"} if family.type == "histogram" else ())}
            for suffix in SUFFIXES[family.type]:
                yield family.name + suffix, labels


def test_every_metric_and_label_is_exported(
    rules: list[dict[str, Any]], dashboard: dict[str, Any], gateway: Harness
) -> None:
    series = dict(exported(gateway.service.metrics.registry))
    assert "ner_requests_total" in series
    assert series["ner_model_info"] == {"language", "name", "version"}
    routes = {getattr(route, "path", None) for route in gateway.app.routes}
    uses = [use for text in expressions(rules, dashboard) for use in SELECTOR.findall(text)]
    assert len(uses) > 25
    for name, matchers in uses:
        assert name in series, name
        for label, value in MATCHER.findall(matchers):
            assert label in series[name] | SCRAPED, (name, label)
            assert label != "route" or value in routes, value
    used = {name for name, _ in uses}
    for name in series.keys() - used:
        base = re.sub("_(bucket|sum|count)$", "", name)
        alone = ("ner_shadow_info", "ner_shadow_differences_total", "ner_shadow_dropped_total")  # on the page /models
        assert name in alone or any(each.startswith(base) for each in used), f"{name} is on no panel"


def test_labels_that_expressions_group_by_are_there(
    rules: list[dict[str, Any]], dashboard: dict[str, Any], gateway: Harness
) -> None:
    labels = set().union(*dict(exported(gateway.service.metrics.registry)).values()) | SCRAPED
    for text in expressions(rules, dashboard):
        for group in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", text):
            assert {label.strip() for label in group.split(",")} <= labels, text
        assert text.count("(") == text.count(")"), text


def test_kinds_of_problems_are_those_of_the_gateway(root: Path, rules: list[dict[str, Any]]) -> None:
    modules = "\n".join(path.read_text(encoding="utf-8") for path in (root / "serving").rglob("*.py"))
    kinds = set(re.findall(r'Problem\(\d+, "([a-z-]+)"', modules))
    named = {
        kind for rule in rules for value in re.findall(r'kind=~?"([^"]+)"', rule["expr"]) for kind in value.split("|")
    }
    assert len(named) > 3
    assert named <= kinds


def test_the_rules_are_valid(folder: Path, root: Path, rules: list[dict[str, Any]]) -> None:
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names)) > 5
    for rule in rules:
        assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in ("critical", "warning")
        for page in re.findall(r"docs/[\w./]+\.md", rule["annotations"]["action"]):
            assert (root / page).is_file(), page
    if promtool := shutil.which("promtool"):  # Debian's package prometheus has it
        for command in (["check", "rules", "alerts.yaml"], ["check", "config", "prometheus.yaml"]):
            done = subprocess.run([promtool, *command], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_asks_the_gateway_and_loads_the_rules(folder: Path, root: Path, rules: list[dict[str, Any]]) -> None:
    settings = yaml.safe_load((folder / "prometheus.yaml").read_text(encoding="utf-8"))
    assert settings["rule_files"] == ["alerts.yaml"]
    (job,) = settings["scrape_configs"]
    port = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["serving"]["port"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]
    jobs = {value for rule in rules for value in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert jobs == {job["job_name"]}


def test_the_dashboard_is_whole(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 8
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["targets"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    (variable,) = dashboard["templating"]["list"]
    assert (variable["name"], variable["query"]) == ("datasource", "prometheus")
