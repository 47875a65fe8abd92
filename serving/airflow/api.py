"""A client of Airflow's REST API."""

from __future__ import annotations

import time
from typing import Any

import httpx

from multiner.pipeline.core.errors import NerError

BUSY_PAUSES = (0.5, 1, 2, 4)  # seconds before a call that Airflow answered with 5xx is repeated
PAGE = 100  # entries of a request; Airflow may give fewer (its setting api.maximum_page_limit)


class AirflowClient:
    """A client that logs in when necessary.

    An answer may take ``timeout`` seconds. ``public_url`` is Airflow's address for browsers, by default ``url``.
    """

    def __init__(
        self, url: str, user: str, password: str, *, timeout: float = 60, public_url: str | None = None
    ) -> None:
        self.url, self.public_url = url, public_url or url
        self._login = {"username": user, "password": password}
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
        self._token = ""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _authenticate(self) -> None:
        response = self._http.post("/auth/token", json=self._login)
        if response.status_code != 201:
            raise NerError(f"Airflow refused the login ({response.status_code})", where=self.url)
        try:
            self._token = response.json()["access_token"]
        except (ValueError, KeyError, TypeError):
            raise NerError("the server at Airflow's address is not Airflow", where=self.url) from None

    def call(self, method: str, path: str, *, allow: tuple[int, ...] = (), **more: Any) -> Any:
        """Call ``/api/v2<path>`` and return the JSON answer; None for a status in ``allow``.

        Raises:
            NerError: Airflow answers with another error.
            httpx.TransportError: it does not answer.
        """
        for pause in (*BUSY_PAUSES, None):
            try:
                response = self._request(method, path, **more)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                # Airflow closes the connection after an error of its own
                if pause is None:
                    raise
                time.sleep(pause)
                continue
            # its SQLite database may be locked for a moment; every call here can be repeated
            if response.status_code < 500 or response.status_code in allow or pause is None:
                break
            time.sleep(pause)
        if response.status_code in allow:
            return None
        if response.is_error:
            raise NerError(f"Airflow answered {response.status_code}: {response.text[:500]}", where=f"{method} {path}")
        return response.json() if response.content else None

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        for attempt in (1, 2):
            if not self._token:
                self._authenticate()
            headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
            response = self._http.request(method, f"/api/v2{path}", headers=headers, **more)
            if response.status_code != 401 or attempt == 2:
                break
            self._token = ""
        return response

    def _entries(self, path: str, key: str, *, allow: tuple[int, ...] = (), **params: Any) -> list[dict[str, Any]]:
        """All entries of a list, over all pages; a page with a status in ``allow`` ends it."""
        entries: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", path, params=params | {"limit": PAGE, "offset": len(entries)}, allow=allow) or {}
            entries += page.get(key, [])
            if not page.get(key) or len(entries) >= page["total_entries"]:
                return entries

    def unhealthy(self) -> list[str]:
        """The components that are not healthy; ``["api-server"]`` where Airflow does not answer."""
        try:
            response = self._http.get("/api/v2/monitor/health", timeout=5)
            health = response.json() if response.is_success else {}
        except (httpx.HTTPError, ValueError):
            health = {}
        if not health:
            return ["api-server"]
        parts = ("metadatabase", "scheduler", "dag_processor")
        return [part for part in parts if (health.get(part) or {}).get("status") != "healthy"]

    def import_errors(self) -> dict[str, str]:
        """The DAG files that cannot be read, each with the stack trace."""
        return {error["filename"]: error["stack_trace"] for error in self._entries("/importErrors", "import_errors")}

    def dags(self) -> dict[str, bool]:
        """All DAGs, and whether each is paused."""
        return {dag["dag_id"]: dag["is_paused"] for dag in self._entries("/dags", "dags")}

    def is_paused(self, dag_id: str) -> bool | None:
        """Whether a DAG is paused; None if Airflow does not know it."""
        dag = self.call("GET", f"/dags/{dag_id}", allow=(404,))
        return None if dag is None or dag.get("is_stale") else dag["is_paused"]

    def unpause(self, dag_id: str) -> None:
        """Unpause a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Make a pool; an existing one keeps its slots."""
        if self.call("GET", f"/pools/{name}", allow=(404,)) is None:
            body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
            self.call("POST", "/pools", json=body, allow=(409,))

    def trigger(self, dag_id: str, run_id: str, note: str) -> str:
        """Start a run of a DAG, unless a run of this id exists; returns the id."""
        body = {"logical_date": None, "dag_run_id": run_id, "note": note}
        self.call("POST", f"/dags/{dag_id}/dagRuns", json=body, allow=(409,))
        return run_id

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        """A run: ``state``, ``start_date``, ``end_date``…; None where Airflow does not know it."""
        return self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}", allow=(404,))

    def run_url(self, dag_id: str, run_id: str) -> str:
        """The page of a run."""
        return f"{self.public_url}/dags/{dag_id}/runs/{run_id}"

    def active_runs(self, dag_id: str = "~") -> list[tuple[str, str]]:
        """DAG and id of every run that is queued or running, of one DAG or of all (``~``)."""
        runs = self._entries(f"/dags/{dag_id}/dagRuns", "dag_runs", state=["queued", "running"])
        return [(run["dag_id"], run["dag_run_id"]) for run in runs]

    def fail_run(self, dag_id: str, run_id: str, note: str) -> None:
        """Mark a run, and its tasks that have not ended, as failed."""
        self.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed", "note": note})

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run: ``task_id``, ``state``, ``try_number``, ``start_date``, ``duration``…"""
        return self._entries(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def set_off(self, dag_id: str, run_id: str) -> list[tuple[str, str]]:
        """DAG and id of the runs that a run's Asset events have set off so far."""
        source = {"source_dag_id": dag_id, "source_run_id": run_id}
        # Airflow 3.3 answers 500 as long as a run that an event set off has not started: ask again later
        events = self._entries("/assets/events", "asset_events", allow=(500,), **source)
        return [(run["dag_id"], run["run_id"]) for event in events for run in event["created_dagruns"]]

    def outcome(self, dag_id: str, run_id: str, task_id: str) -> str:
        """The value that a task returned; empty where there is none."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        entry = self.call("GET", path, allow=(404,)) or {}
        return "" if entry.get("value") is None else str(entry["value"]).strip('"')

    def log_lines(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        """The lines of a task's log."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = (self.call("GET", path, params={"full_content": True}, allow=(404,)) or {}).get("content", [])
        return [line if isinstance(line, str) else line.get("event", "") for line in content]
