"""Airflow's REST API as far as the desk asks it, out of a script: DAGs that go on when the test says so."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from multiner.serving.gateway.app import listen

MOST_ENTRIES = 40  # of a page; Airflow's api.maximum_page_limit


def reserved(run: str) -> bool:
    """Whether Airflow refuses a run's id since it begins as those of its own runs do."""
    return run.partition("__")[0] in ("asset_triggered", "scheduled", "backfill", "operator_triggered")


class FakeAirflow:
    """A server on a free port; a context manager. ``runs`` are by DAG and id, ``events`` what runs set off."""

    def __init__(self) -> None:
        self.paused = {f"{kind}_{code}": False for kind in ("retrain", "promote") for code in ("en", "ru")} | {
            "data": False
        }
        self.runs: dict[tuple[str, str], dict[str, Any]] = {}
        self.tasks: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.events: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.notes: list[str] = []
        self.stale: set[str] = set()  # DAGs that are no longer in any file
        self.page: str | None = None  # what is answered, with 200, in place of JSON
        self.user, self.password = "admin", ""
        root = "/api/v2"
        routes = [
            Route("/auth/token", self._token, methods=["POST"]),
            Route(f"{root}/dags", self._dags),
            Route(f"{root}/dags/{{dag}}", self._dag),
            Route(f"{root}/dags/{{dag}}/dagRuns", self._active),
            Route(f"{root}/dags/{{dag}}/dagRuns", self._trigger, methods=["POST"]),
            Route(f"{root}/dags/{{dag}}/dagRuns/{{run}}", self._run),
            Route(f"{root}/dags/{{dag}}/dagRuns/{{run}}/taskInstances", self._tasks),
            Route(f"{root}/assets/events", self._events),
        ]
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._listener])))

    def __enter__(self) -> FakeAirflow:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)

    def add(self, dag: str, run: str, state: str = "queued", **tasks: str) -> None:
        """A run as it is now, its tasks with these states."""
        ended = datetime.now(UTC).isoformat() if state in ("success", "failed") else None
        self.runs[dag, run] = {"dag_id": dag, "dag_run_id": run, "state": state, "end_date": ended}
        self.tasks[dag, run] = [
            {"task_id": task, "state": of, "try_number": 1, "duration": 65.0 if of == "success" else None}
            for task, of in tasks.items()
        ]

    def run_of(self, dag: str) -> str:
        """The id of the only run of a DAG."""
        (run,) = (run for of, run in self.runs if of == dag)
        return run

    async def _token(self, request: Request) -> JSONResponse:
        right = await request.json() == {"username": self.user, "password": self.password}
        return JSONResponse({"access_token": "t"}, 201) if right else JSONResponse({}, 401)

    def _described(self, dag: str) -> dict[str, Any]:
        return {"dag_id": dag, "is_paused": self.paused[dag], "is_stale": dag in self.stale}

    async def _dags(self, request: Request) -> Response:
        there = [self._described(dag) for dag in sorted(self.paused) if dag not in self.stale]
        return page_of(request, "dags", there)

    async def _dag(self, request: Request) -> Response:
        if self.page is not None:
            return HTMLResponse(self.page)
        dag = request.path_params["dag"]
        return JSONResponse(self._described(dag)) if dag in self.paused else JSONResponse({"detail": "not found"}, 404)

    async def _active(self, request: Request) -> JSONResponse:
        states, dag = request.query_params.getlist("state"), request.path_params["dag"]
        active = [run for run in self.runs.values() if run["state"] in states and dag in ("~", run["dag_id"])]
        return page_of(request, "dag_runs", active)

    async def _trigger(self, request: Request) -> JSONResponse:
        dag, body = request.path_params["dag"], await request.json()
        if reserved(body["dag_run_id"]):
            return JSONResponse({"detail": "A manual DAG run cannot use this ID"}, 400)
        self.add(dag, body["dag_run_id"])
        self.notes.append(body["note"])
        return JSONResponse(self.runs[dag, body["dag_run_id"]])

    async def _run(self, request: Request) -> JSONResponse:
        found = self.runs.get((request.path_params["dag"], request.path_params["run"]))
        return JSONResponse(found) if found else JSONResponse({"detail": "not found"}, 404)

    async def _tasks(self, request: Request) -> JSONResponse:
        found = self.tasks[request.path_params["dag"], request.path_params["run"]]
        return page_of(request, "task_instances", found)

    async def _events(self, request: Request) -> JSONResponse:
        source = request.query_params["source_dag_id"], request.query_params["source_run_id"]
        created = [{"dag_id": dag, "run_id": run} for dag, run in self.events.get(source, [])]
        return page_of(request, "asset_events", [{"created_dagruns": created}])


def page_of(request: Request, key: str, entries: list[dict[str, Any]]) -> JSONResponse:
    """A page of a list, as Airflow gives it: never more than ``MOST_ENTRIES``, however many are asked for."""
    first = int(request.query_params.get("offset", 0))
    number = min(int(request.query_params.get("limit", 50)), MOST_ENTRIES)
    return JSONResponse({key: entries[first : first + number], "total_entries": len(entries)})
