"""A local stand-in for W&B's service: it answers the GraphQL queries and file requests that wandb's SDK really sends.

The queries were recorded by running wandb 0.31 against such a server. It lives for one `with` block, on 127.0.0.1.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "feed" * 10  # forty characters, as W&B's keys have; opens nothing
VIEWER = {
    "id": "u", "entity": "team", "username": "someone", "email": "", "flags": "{}", "teams": {"edges": []}
}  # fmt: skip


@dataclass
class RunThere:
    """A run as the service holds it."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    state: str = "finished"
    config: dict[str, Any] = field(default_factory=dict)
    internal: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    parquet: bytes = b""
    broken: bool = False

    def node(self) -> dict[str, Any]:
        config = {name: {"value": value, "desc": None} for name, value in self.config.items()}
        config["_wandb"] = {"value": self.internal, "desc": None}
        return {
            "id": f"storage-{self.name}", "projectId": "1", "tags": [], "name": self.name,
            "displayName": f"shown {self.name}", "sweepName": None, "state": self.state, "config": json.dumps(config),
            "group": None, "jobType": None, "commit": None, "readOnly": True, "createdAt": "2026-01-01T00:00:00",
            "heartbeatAt": "2026-01-01T01:00:00", "description": "", "notes": None, "systemMetrics": "{}",
            "summaryMetrics": json.dumps(self.summary), "historyLineCount": len(self.rows),
            "user": {"name": "someone", "username": "someone"}, "historyKeys": self.keys(),
        }  # fmt: skip

    def keys(self) -> dict[str, Any] | None:
        steps = [row["_step"] for row in self.rows]
        return {"lastStep": max(steps), "keys": {}} if steps else None


@dataclass
class Service:
    """What the service holds, what it was asked, and how it misbehaves."""

    runs: list[RunThere]
    url: str = ""
    per_page: int = 50
    asked: Counter[str] = field(default_factory=Counter)
    failing: dict[str, list[int]] = field(default_factory=dict)  # operation -> statuses of its next answers
    keys_seen: set[str] = field(default_factory=set)

    def answer(self, query: str, variables: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        operation = query.partition("query ")[2].partition("(")[0].partition("{")[0].strip()
        self.asked[operation] += 1
        if self.failing.get(operation):
            return self.failing[operation].pop(0), {"errors": [{"message": "out of order"}]}
        if operation in ("Viewer", "GetDefaultEntity"):
            return 200, {"data": {"viewer": VIEWER}}
        if variables.get("project") != "project":
            return 200, {"data": {"project": None}}
        if operation == "Runs":
            return 200, {"data": {"project": self._page(variables)}}
        wanted = variables.get("name") or variables.get("run") or variables.get("runName")
        run = next((run for run in self.runs if run.name == wanted), None)
        if run is None:
            return 200, {"data": {"project": {"run": None}}}
        if run.broken and operation == "HistoryPage":
            return 500, {"errors": [{"message": "the history is broken"}]}
        found = {
            "Run": run.node,
            "RunHistoryKeys": lambda: {"historyKeys": run.keys()},
            "RunParquetHistory": lambda: {"parquetHistory": {"parquetUrls": self._parquet(run), "liveData": []}},
            "HistoryPage": lambda: {"history": [json.dumps(row) for row in self._rows(run, variables)]},
            "RunFullHistory": lambda: {"events": [json.dumps(row) for row in run.events[: variables["samples"]]]},
        }
        if operation not in found:
            return 400, {"errors": [{"message": f"unknown operation {operation}"}]}
        return 200, {"data": {"project": {"run": found[operation]()}}}

    def _page(self, variables: dict[str, Any]) -> dict[str, Any]:
        first = int(variables.get("cursor") or 0)
        page = self.runs[first : first + self.per_page]
        end = first + len(page)
        edges = [{"node": run.node(), "cursor": str(first + i)} for i, run in enumerate(page, 1)]
        info = {"endCursor": str(end), "hasNextPage": end < len(self.runs)}
        return {
            "internalId": "1", "runCount": len(self.runs), "readOnly": True, "runs": {"edges": edges, "pageInfo": info}
        }  # fmt: skip

    def _rows(self, run: RunThere, variables: dict[str, Any]) -> list[dict[str, Any]]:
        first, end = variables["minStep"], variables["maxStep"]
        return [row for row in run.rows if first <= row["_step"] < end][: variables["pageSize"]]

    def _parquet(self, run: RunThere) -> list[str]:
        return [f"{self.url}/files/{run.name}.parquet"] if run.parquet else []


@contextmanager
def running(*runs: RunThere) -> Iterator[Service]:
    """The service with these runs, on a free port; gone after the block."""
    service = Service(list(runs))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            name = self.path.removeprefix("/files/").removesuffix(".parquet")
            data = next((run.parquet for run in service.runs if run.name == name), b"")
            service.asked["GET"] += 1
            self.send(200 if data else 404, data)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != "/graphql":  # the SDK's own telemetry
                return self.send(200, b"{}")
            service.keys_seen.add(self.headers.get("Authorization", ""))
            asked = json.loads(body)
            status, answer = service.answer(asked["query"], asked.get("variables") or {})
            return self.send(status, json.dumps(answer).encode())

        def send(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
