"""The configuration of the proxy, as it is documented and as the benchmark runs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest


@pytest.fixture
def configuration(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    monkeypatch.delitem(sys.modules, "replicas", raising=False)
    import replicas

    return replicas.nginx_configuration([8001, 8002], 8080, Path("/scratch"))


def test_the_benchmark_runs_the_documented_configuration(configuration: str) -> None:
    assert re.findall(r"^ +server 127\.0\.0\.1:(\d+) max_fails=0;$", configuration, flags=re.M) == ["8001", "8002"]
    assert "listen 127.0.0.1:8080;" in configuration
    assert not re.search(r"ssl|example\.org", configuration)
    assert configuration.count("{") == configuration.count("}")


def test_only_what_changes_nothing_is_sent_twice(configuration: str) -> None:
    locations = dict(re.findall(r"^ +location (.*?) \{[^\n]*\n(.*?)^    \}", configuration, flags=re.M | re.S))
    assert {name: "non_idempotent" in body for name, body in locations.items()} == {
        "/": True,
        "= /v1/entities/stream": False,
        "~ ^/(admin/|v1/corrections$)": False,
    }
