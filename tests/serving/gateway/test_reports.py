"""The Data Docs and error reports at the gateway: these files, no others, and to whom."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.serving.gateway.config import workspace_config
from tests.serving import registry

OPERATOR = {"authorization": "Bearer a-token-for-tests"}
REPORT = '<!doctype html><style>b { color: #0a0 }</style><b id="b">1</b><script>b.textContent = "2"</script>'


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Workspace:
    home = registry.make_workspace(tmp_path, root)
    out = home.paths.out("en")
    for path, text in {
        "validation/docs/index.html": "<h1>Docs</h1>",
        "validation/docs/validations/a/b.html": "<h1>Suite</h1>",
        "validation/report.json": "secret",
        "report/index.html": REPORT,
        "documents/train.jsonl": "secret",
        "../ru/documents/train.jsonl": "secret",
    }.items():
        file = out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (out / "report" / "link").symlink_to(out / "documents")
    return home


def ask(
    harness: Any, workspace: Workspace, *paths: str, headers: dict[str, str] | None = None, **settings: Any
) -> list[httpx.Response]:
    async def main() -> list[httpx.Response]:
        async with harness(workspace=workspace, **{"open_reports": True} | settings).client() as client:
            return [await client.get(path, headers=headers) for path in paths]

    return asyncio.run(main())


def test_reports_are_shown_with_their_styles_and_the_report_s_script_of_no_origin(
    harness: Any, workspace: Workspace
) -> None:
    docs, suite, report = ask(
        harness,
        workspace,
        "/reports/en/validation/",
        "/reports/en/validation/validations/a/b.html",
        "/reports/en/report/",
    )
    assert (docs.text, suite.text, report.text) == ("<h1>Docs</h1>", "<h1>Suite</h1>", REPORT)
    for response in (docs, suite, report):
        assert response.headers["content-type"].startswith("text/html")
        assert response.headers["x-content-type-options"] == "nosniff"
        (policy,) = response.headers.get_list("content-security-policy")
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
        assert ("script-src" in policy) == ("sandbox allow-scripts" in policy) == (response is report)


@pytest.mark.parametrize(
    "path",
    [
        *("en/report", "en/report/link/train.jsonl", "en/validation/report.json", "en/documents/train.jsonl"),
        *(
            "ru/report/",
            "de/report/",
            "en/",
            "en/report/nothing",
            "en/report/index.html/x",
            "en/report/%00",
            "cpu/en/report/",
        ),
        *("en/report/..%2fdocuments/train.jsonl", "en/report/%2e%2e/documents/train.jsonl", "en/report//etc/passwd"),
        *(
            "en/report/%0d%0aSet-Cookie:%20x=y",
            "en/%0d%0aSet-Cookie:%20x=y/",
            "en/report/" + "a" * 5000,
            "en/report/%ff",
        ),
        *("en/validation/..%5c..%5cdocuments", "..%2fru%2fdocuments%2ftrain.jsonl", "en/report/link"),
    ],
)
def test_nothing_else_is(harness: Any, workspace: Workspace, path: str) -> None:
    (response,) = ask(harness, workspace, f"/reports/{path}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in response.headers
    assert "secret" not in response.text


def test_a_head_cannot_be_split_nor_another_host_be_asked_for(harness: Any, workspace: Workspace, serving: Any) -> None:
    hosts = frozenset({"localhost"})
    with serving(harness(workspace=workspace, open_reports=True, hosts=hosts)) as live:
        for host, path, status in (
            (b"localhost", b"en/%0d%0aSet-Cookie:%20x=y", b"404"),
            (b"localhost", b"en/report/", b"200"),
            (b"attacker.example", b"en/report/", b"421"),
        ):
            with socket.create_connection(live.address, timeout=10) as connection:
                connection.sendall(b"GET /reports/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path, host))
                got = b"".join(iter(lambda: connection.recv(65_536), b""))
            assert got.startswith(b"HTTP/1.1 " + status)
            assert b"\r\nset-cookie" not in got.lower()


def test_where_others_can_connect_reports_are_for_the_operator(harness: Any, workspace: Workspace) -> None:
    paths = ("/reports", "/reports/en/report/", "/reports/en/validation/")
    listed, *refused = ask(harness, workspace, *paths, open_reports=False)
    assert "sign in as operator" in listed.text
    assert [response.status_code for response in refused] == [401, 401]
    shown = ask(harness, workspace, *paths, headers=OPERATOR, open_reports=False)
    assert [response.status_code for response in shown] == [200, 200, 200]


@pytest.mark.parametrize(
    ("serving_settings", "are_open"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "hosts": ["ner.example"]}, False),
        ({"trusted_proxies": ["127.0.0.1"]}, False),
    ],
)
def test_others_can_connect_to_other_addresses_and_through_a_proxy(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, serving_settings: dict[str, Any], are_open: bool
) -> None:
    monkeypatch.delenv("NER_BIND", raising=False)
    workspace.params["serving"] |= serving_settings
    assert workspace_config(workspace, "token").open_reports is are_open


def test_the_page_lists_what_there_is(harness: Any, workspace: Workspace) -> None:
    listed, page = ask(harness, workspace, "/reports", "/")
    assert 'href="/reports"' in page.text
    assert 'href="/reports/en/report/"' in listed.text
    assert 'href="/reports/ru/report/"' not in listed.text
    assert "Error report: not written yet" in listed.text
    assert "sign in as operator" not in listed.text


@pytest.mark.slow
def test_the_script_of_a_report_runs(harness: Any, workspace: Workspace, serving: Any, browser: Any) -> None:
    with serving(harness(workspace=workspace, open_reports=True)) as live:
        browser.open(f"{live.url}reports")
        assert not browser.flaws()
        browser.open(f"{live.url}reports/en/report/")
        assert browser.one("#b").text == "2"
        assert browser.one("#b").value_of_css_property("color") == "rgba(0, 170, 0, 1)"
        assert browser.run("return origin") == "null", "it can ask nothing in the operator's name"
