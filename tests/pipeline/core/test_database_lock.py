"""The lock between machines, with a stand-in for PostgreSQL that keeps its advisory locks in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from multiner.pipeline.core import database_lock
from multiner.pipeline.core.database_lock import hold, lock_database
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.locks import LockKind

URL = "postgresql://db/ner"
BRIEF = LockKind("the test", 0)


@dataclass
class Server:
    """Which key is held by whom; ``away``: it answers no more."""

    held: dict[int, str] = field(default_factory=dict)
    away: bool = False

    def connect(self) -> Connection:
        if self.away:
            raise sqlalchemy.exc.OperationalError("connect", {}, Exception("could not connect to server"))
        return Connection(self)


@dataclass
class Connection:
    server: Server
    name: str = ""
    keys: set[int] = field(default_factory=set)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *error: object) -> None:
        for key in self.keys:
            self.server.held.pop(key, None)

    def execute(self, query: Any, values: dict[str, Any]) -> None:
        assert "application_name" in str(query)
        self.name = values["name"]

    def scalar(self, query: Any, values: dict[str, Any]) -> Any:
        key = values["key"]
        assert -(2**63) <= key < 2**63, "a bigint"
        if self.server.away:
            raise sqlalchemy.exc.OperationalError("query", {}, Exception("terminating connection"))
        if "pg_try_advisory_lock" in str(query):
            if free := key not in self.server.held:
                self.server.held[key] = self.name
                self.keys.add(key)
            return free
        if "pg_advisory_unlock" in str(query):
            self.keys.discard(key)
            return self.server.held.pop(key, None) is not None
        return self.server.held.get(key)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(sqlalchemy, "create_engine", lambda *_, **__: server)
    return server


def test_one_holds_it_and_the_other_is_told_who_does(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_lock.platform, "node", lambda: "host-a")
    with hold(URL, ".ner-en.lock", BRIEF):
        with hold(URL, ".ner-ru.lock", BRIEF):
            pass
        with pytest.raises(NerError, match=r"ner on host-a, process .* still holds the lock of the test") as caught:
            with hold(URL, ".ner-en.lock", BRIEF):
                raise AssertionError("two hold it")
    assert caught.value.transient
    with hold(URL, ".ner-en.lock", BRIEF):
        pass
    assert server.held == {}


def test_it_is_free_after_an_error(server: Server) -> None:
    with pytest.raises(KeyError), hold(URL, "lock", BRIEF):
        raise KeyError
    assert server.held == {}


def test_a_lock_that_was_lost_meanwhile_is_no_success(server: Server) -> None:
    """The database was restarted: somebody else may have held the lock at the same time."""
    with pytest.raises(NerError, match="was lost while it was held") as caught, hold(URL, "lock", BRIEF):
        server.held.clear()
    assert caught.value.transient
    with pytest.raises(NerError, match="was lost while it was held"), hold(URL, "lock", BRIEF):
        server.away = True
    with pytest.raises(NerError, match=r"does not answer: could not connect") as caught, hold(URL, "lock", BRIEF):
        raise AssertionError("held without a server")
    assert caught.value.transient


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(NerError, match="no such database") as caught, hold("nonsense", "lock", BRIEF):
        raise AssertionError("held")
    assert (caught.value.where, caught.value.transient) == ("NER_LOCK_DATABASE", False)


def test_mlflows_database_is_taken_where_it_has_such_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NER_LOCK_DATABASE", raising=False)
    for tracking in ("", "http://mlflow:5000", "sqlite:///mlflow.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
        assert lock_database() is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URL)
    assert lock_database() == URL
    monkeypatch.setenv("NER_LOCK_DATABASE", "postgresql://other/locks")
    assert lock_database() == "postgresql://other/locks"


def test_a_file_may_hold_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NER_LOCK_DATABASE", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    (tmp_path / "secret").write_text(f"{URL}\n")
    monkeypatch.setenv("NER_LOCK_DATABASE_FILE", str(tmp_path / "secret"))
    assert lock_database() == URL
