"""Notices: always in the local file, by webhook and mail where configured, and never in the way of their caller."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from filelock import FileLock

from multiner.pipeline import notices
from multiner.pipeline.config.settings import Workspace, load_params
from multiner.pipeline.notices import channels, local_file

SECRET = "T0KEN"


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in (notices.FILE, *notices.VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path, load_params(root, "cpu"))


class Webhook(ThreadingHTTPServer):
    """Answers with the next of ``statuses``, then with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.statuses: list[int] = []
        self.posts: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/{SECRET}"


class _Post(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with Webhook() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("NER_NOTICE_WEBHOOK", server.url)
        yield server
        server.shutdown()


class MailServer(ThreadingTCPServer):
    """An SMTP server that takes every mail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.mails: list[str] = []


class _Mail(StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        while line := self.rfile.readline():
            command = line[:4].upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self.server.mails.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 well\r\n")


def kept(workspace: Workspace) -> list[notices.Notice]:
    return list(notices.read(notices.notices_file(workspace)))


def test_a_notice_is_in_the_local_file(workspace: Workspace) -> None:
    notices.send(workspace, "promotion", "ner-en version 7 is champion", model="ner-en", version="7")
    notices.send(workspace, "drift", "языки сместились\nen", path=Path("reports/drift.html"))
    first, second = kept(workspace)
    assert (first.event, first.text) == ("promotion", "ner-en version 7 is champion")
    assert first.facts == {"profile": "cpu", "model": "ner-en", "version": "7"}
    assert second.text == "языки сместились\nen"
    assert second.facts["path"] == "reports/drift.html"
    assert len((workspace.root / ".run" / "notices.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_the_file_can_be_elsewhere(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(notices.FILE, str(tmp_path / "elsewhere" / "n.jsonl"))
    notices.send(workspace, "late", "no run since Monday")
    assert (tmp_path / "elsewhere" / "n.jsonl").is_file()
    assert not workspace.paths.run.exists()


def test_the_file_is_bounded(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_file, "LARGEST", 2000)
    for number in range(100):
        notices.send(workspace, "failure", f"{number} {'x' * 100_000}"[: 300 if number else None])
    files = [file for file in workspace.paths.run.iterdir() if not file.name.endswith(".lock")]
    assert len(files) == 1 + local_file.COPIES
    assert all(file.stat().st_size <= 2000 for file in files)
    numbers = [int(notice.text.split()[0]) for notice in kept(workspace)]
    assert numbers == list(range(numbers[0], 100))
    assert len(numbers) > 10


def test_two_processes_append_in_turn(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    notices.send(workspace, "failure", "first")
    with FileLock(workspace.paths.run / "notices.jsonl.lock"):
        workspace.params["notices"]["timeout_seconds"] = 0.01
        notices.send(workspace, "failure", "second")
    assert [notice.text for notice in kept(workspace)] == ["first"]
    assert "'second' was not written" in caplog.text


def test_a_line_that_was_cut_off_is_left_out(workspace: Workspace) -> None:
    notices.send(workspace, "failure", "first")
    with notices.notices_file(workspace).open("a", encoding="utf-8") as file:
        file.write('{"at": "2026-\n')
    notices.send(workspace, "failure", "second")
    assert [notice.text for notice in kept(workspace)] == ["first", "second"]


def test_a_separator_within_a_text_ends_no_line(workspace: Workspace) -> None:
    notices.send(workspace, "failure", "one\u2028two\u0085three", task="a\u2029b")
    assert [notice.text for notice in kept(workspace)] == ["one\u2028two\u0085three"]


def test_a_webhook_gets_the_text_and_the_facts(workspace: Workspace, webhook: Webhook) -> None:
    notices.send(workspace, "refusal", "F1 <!channel> & below", language="ru", f1=61.5)
    (post,) = webhook.posts
    assert post["text"] == "[ner] refusal: F1 &lt;!channel&gt; &amp; below"  # no mention of the whole channel
    assert post["notice"]["text"] == "F1 <!channel> & below"
    assert post["notice"]["facts"] == {"profile": "cpu", "language": "ru", "f1": 61.5}


def test_a_webhook_in_a_file(
    workspace: Workspace, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "webhook").write_text(f"{webhook.url}\n", encoding="utf-8")
    monkeypatch.delenv("NER_NOTICE_WEBHOOK")
    monkeypatch.setenv("NER_NOTICE_WEBHOOK_FILE", str(tmp_path / "webhook"))
    notices.send(workspace, "canary", "went back")
    assert len(webhook.posts) == 1
    (tmp_path / "webhook").write_text("", encoding="utf-8")
    notices.send(workspace, "canary", "went back")
    assert "names an empty file" in kept(workspace)[-1].text


def test_a_webhook_that_fails_for_a_moment_is_asked_again(workspace: Workspace, webhook: Webhook) -> None:
    webhook.statuses = [503]
    notices.send(workspace, "failure", "text")
    assert len(webhook.posts) == 2
    assert [notice.event for notice in kept(workspace)] == ["failure"]


def test_a_refusing_webhook_is_noted_without_its_address(
    workspace: Workspace, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.statuses = [404]
    notices.send(workspace, "failure", "text")
    sent, undelivered = kept(workspace)
    assert sent.event == "failure"
    assert undelivered.event == "undelivered"
    assert undelivered.text.endswith("did not reach NER_NOTICE_WEBHOOK: status 404")
    assert SECRET not in caplog.text


@pytest.mark.parametrize("address", ["nonsense", "http://", f"http://127.0.0.1:1/{SECRET}", "http://[::1"])
def test_no_address_raises(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    monkeypatch.setenv("NER_NOTICE_WEBHOOK", address)
    monkeypatch.setenv("NER_NOTICE_SMTP", address)
    workspace.params["notices"]["recipients"] = ["ops@example.org"]
    notices.send(workspace, "failure", "text")
    assert [notice.event for notice in kept(workspace)] == ["failure", "undelivered", "undelivered"]
    assert SECRET not in caplog.text


def test_a_silent_webhook_holds_no_one_up(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()
    monkeypatch.setattr(channels, "_post", lambda *_: over.wait())
    monkeypatch.setenv("NER_NOTICE_WEBHOOK", "http://127.0.0.1")
    workspace.params["notices"]["timeout_seconds"] = 0.05
    notices.send(workspace, "failure", "text")
    assert not over.is_set()
    assert "NER_NOTICE_WEBHOOK has not taken a notice within 0.05 seconds" in caplog.text
    assert [notice.text for notice in kept(workspace)] == ["text"]
    over.set()


def test_only_the_events_of_the_parameters_leave_the_machine(workspace: Workspace, webhook: Webhook) -> None:
    workspace.params["notices"]["events"] = ["failure"]
    notices.send(workspace, "promotion", "text")
    assert webhook.posts == []
    assert len(kept(workspace)) == 1


def test_a_mail(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.params["notices"]["recipients"] = ["ops@example.org", "ml@example.org"]
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("NER_NOTICE_SMTP", f"smtp://127.0.0.1:{server.server_address[1]}")
        notices.send(workspace, "late", "no run\r\nBcc: everyone@example.org", schedule="@weekly")
        server.shutdown()
    (mail,) = server.mails
    head, _, body = mail.partition("\r\n\r\n")
    assert "Subject: [ner] late: no run" in head
    assert "To: ops@example.org, ml@example.org" in head
    assert "Bcc" not in head
    assert "schedule: @weekly" in body
    assert [notice.event for notice in kept(workspace)] == ["late"]


@pytest.mark.parametrize("damage", ["a file in the folder's place", "parameters of another kind"])
def test_nothing_is_raised(workspace: Workspace, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    if damage == "parameters of another kind":
        workspace.params["notices"] = 5
    else:
        workspace.paths.run.write_text("", encoding="utf-8")
    notices.send(workspace, "failure", "text")
    assert "the notice 'text' was not" in caplog.text


def test_models_get_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = dict.fromkeys(notices.VARIABLES, "secret") | {"PATH": "/bin"}
    assert notices.without_addresses(environment) == {"PATH": "/bin"}
