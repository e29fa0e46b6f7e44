"""A double of W&B's server on the loopback, for the real client: init, log, finish, resume, sync, and `wandb.Api`.

    with WandbServer() as server:
        environment = {**os.environ, **server.environment}

Written from the queries that wandb 0.31 makes, never compared with a real server. It keeps what it was sent, answers
with faults or late where it is told to, and `unknown` lists what it was asked and did not know: tests assert that it
is empty.
"""

import http.server
import io
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from tests.analysis.wandb.runs import ENTITY, Json, ServerRun, history_keys, matches, node, now
from tests.analysis.wandb.transport import handler

__all__ = ["ENTITY", "WandbServer"]
_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")
_HISTORY = "wandb-history.jsonl"


@dataclass(frozen=True)
class Request:
    """What was asked: a GraphQL operation, or ``file_stream``, ``storage``, ``parquet``."""

    operation: str
    variables: Mapping[str, Any]


class WandbServer:
    """The double; a context manager.

    Attributes:
        runs: by entity, project and run id.
        requests: everything asked, in order.
        unknown: what it had no answer for.
        latency: seconds before each answer.
        parquet: whether finished runs' history is exported.
        views: workspaces and reports that were pushed, by name.
    """

    def __init__(self, *, parquet: bool = False, latency: float = 0.0, page: int = 1000) -> None:
        self.runs: dict[tuple[str, str, str], ServerRun] = {}
        self.requests: list[Request] = []
        self.unknown: list[str] = []
        self.views: dict[str, Json] = {}
        self.stored: dict[str, bytes] = {}
        self.parquet = parquet
        self.latency = latency
        self.page = page
        self._faults: deque[tuple[str, int]] = deque()
        self._exports: dict[str, bytes] = {}
        self._lock = threading.RLock()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What the client needs to come here and nowhere else."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": "0" * 40,
            "WANDB_ENTITY": ENTITY,
            "WANDB_ERROR_REPORTING": "false",
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def fail(self, operation: str, status: int, times: int = 1) -> None:
        """Answer the next requests of an operation ("*": any) with an HTTP status."""
        with self._lock:
            self._faults.extend([(operation, status)] * times)

    def clear_faults(self) -> None:
        """Answer everything again."""
        with self._lock:
            self._faults.clear()

    def add_run(
        self, project: str, name: str, config: Json | None = None, history: Iterable[Json] = (), state: str = "finished"
    ) -> ServerRun:
        """A run as if it had been logged; rows without ``_step`` get their index."""
        run = self.run(ENTITY, project, name)
        run.config = {key: {"value": value} for key, value in (config or {}).items()}
        run.state = state
        self.log(run, history)
        return run

    def log(self, run: ServerRun, rows: Iterable[Json]) -> None:
        """More rows of a run."""
        with self._lock:
            start = run.last_step + 1
            run.history += [{"_step": start + index, **row} for index, row in enumerate(rows)]
            run.heartbeat = now()

    def run(self, entity: str, project: str, name: str) -> ServerRun:
        """A run, made where there is none."""
        return self.runs.setdefault((entity, project, name), ServerRun(entity, project, name))

    def count(self, operation: str) -> int:
        """How often an operation was asked."""
        return sum(request.operation == operation for request in self.requests)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of an answer."""
        if path.endswith("/graphql"):
            asked = json.loads(body)
            found = _OPERATION.search(asked["query"])
            return self._graphql(found.group(1) if found else "", asked["query"], asked.get("variables") or {})
        if path.endswith("/file_stream"):
            _, _, entity, project, name, _ = map(unquote, path.split("/"))
            with self._lock:
                if (status := self._fault("file_stream")) is not None:
                    return status, b"{}"
                self._stream(self.run(entity, project, name), json.loads(body))
            return 200, b'{"exitcode":null,"limits":{}}'
        if path.startswith("/storage/"):
            self._record("storage", {"path": path})
            self.stored[path.removeprefix("/storage/")] = body
            return 200, b""
        if path in self._exports:
            self._record("parquet", {"path": path})
            return 200, self._exports[path]
        self.unknown.append(f"{method} {path}")
        return 404, b"{}"

    def _record(self, operation: str, variables: Mapping[str, Any]) -> None:
        self.requests.append(Request(operation, variables))

    def _fault(self, operation: str) -> int | None:
        self._record(operation, {})
        if self._faults and self._faults[0][0] in (operation, "*"):
            return self._faults.popleft()[1]
        return None

    def _graphql(self, operation: str, query: str, variables: Json) -> tuple[int, bytes]:
        with self._lock:
            status = self._fault(operation)
            if status is not None:
                return status, b'{"errors":[{"message":"injected"}]}'
            self.requests[-1] = Request(operation, variables)
            known: dict[str, Callable[[str, Json], Json]] = {
                "Viewer": self._viewer,
                "GetViewer": self._viewer,
                "GetDefaultEntity": self._viewer,
                "ServerFeaturesQuery": lambda _, __: {"serverInfo": {"features": []}},
                "ServerInfo": lambda _, __: {"serverInfo": {"cliVersionInfo": "{}", "latestLocalVersionInfo": None}},
                "OrgFeatureFlags": lambda _, __: {"organization": None},
                "RunStoppedStatus": lambda _, __: {"project": {"run": {"stopped": False}}},
                "UpsertBucket": self._upsert,
                "RunResumeStatus": self._resume_status,
                "CreateRunFiles": self._create_files,
                "MarkRunFilesUploaded": lambda _, __: {"markRunFilesUploaded": {"success": True}},
                "Run": lambda _, v: {"project": {"run": node(self._asked(v))}},
                "Runs": self._list_runs,
                "RunHistoryKeys": lambda _, v: {"project": {"run": history_keys(self._asked(v))}},
                "HistoryPage": self._history_page,
                "RunParquetHistory": self._parquet_history,
                "ProjectInternalId": lambda _, __: {"project": {"id": "UHJvamVjdDox", "internalId": "1"}},
                "GetProjects": self._projects,
                "UpsertView2": self._upsert_view,
                "upsertView": self._upsert_view,
            }
            if operation not in known:
                self.unknown.append(query)
                return 200, b'{"data": {}}'
            return 200, json.dumps({"data": known[operation](query, variables)}).encode()

    def _stream(self, run: ServerRun, sent: Json) -> None:
        for name, part in (sent.get("files") or {}).items():
            lines, offset = part["content"], part["offset"]
            if name == _HISTORY:
                run.history[offset : offset + len(lines)] = [json.loads(line) for line in lines]
            elif name == "wandb-summary.json":
                run.summary = json.loads(lines[-1])
            elif name == "wandb-events.jsonl":
                run.events[offset : offset + len(lines)] = [json.loads(line) for line in lines]
            else:
                run.log += lines
        if sent.get("complete"):
            run.state = "finished" if sent.get("exitcode") == 0 else "failed"
        run.heartbeat = now()

    def _asked(self, variables: Json) -> ServerRun | None:
        name = variables.get("name") or variables.get("run") or variables.get("runName")
        entity, project = str(variables.get("entity") or ENTITY), str(variables.get("project"))
        return self.runs.get((entity, project, str(name)))

    def _viewer(self, _: str, __: Json) -> Json:
        viewer = {"id": "VXNlcjox", "entity": ENTITY, "username": ENTITY, "email": "t@t", "flags": "{}", "name": ENTITY}
        return {"viewer": {**viewer, "admin": False, "teams": {"edges": []}, "apiKeys": {"edges": []}}}

    def _upsert(self, _: str, asked: Json) -> Json:
        entity, project = asked.get("entity") or ENTITY, asked.get("project") or "uncategorized"
        is_new = (entity, project, asked["name"]) not in self.runs
        run = self.run(entity, project, asked["name"])
        run.group = asked.get("groupName") or run.group
        run.display_name = asked.get("displayName") or run.display_name
        run.job_type = asked.get("jobType") or run.job_type
        run.notes = asked.get("notes") or run.notes
        run.tags = asked.get("tags") or run.tags
        run.state = asked.get("state") or "running"
        if asked.get("config"):
            run.config = json.loads(asked["config"])
        if asked.get("summaryMetrics"):
            run.summary = json.loads(asked["summaryMetrics"])
        bucket = {
            "id": run.id,
            "name": run.name,
            "displayName": run.display_name,
            "description": "",
            "config": json.dumps(run.config),
            "sweepName": None,
            "project": {"id": "1", "name": project, "entity": {"id": "1", "name": entity}},
            "historyLineCount": len(run.history),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def _resume_status(self, _: str, asked: Json) -> Json:
        run = self._asked(asked)
        bucket = run and {
            "id": run.id,
            "name": run.name,
            "displayName": run.display_name,
            "summaryMetrics": json.dumps(run.summary),
            "config": json.dumps(run.config),
            "tags": run.tags,
            "notes": run.notes,
            "logLineCount": len(run.log),
            "historyLineCount": len(run.history),
            "eventsLineCount": len(run.events),
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": json.dumps([json.dumps(row) for row in run.events[-1:]]),
            "wandbConfig": json.dumps({"t": {"1": 1}}),
        }
        entity = {"id": "1", "name": asked.get("entity") or ENTITY}
        return {"model": {"id": "1", "name": asked.get("project"), "entity": entity, "bucket": bucket}}

    def _create_files(self, _: str, asked: Json) -> Json:
        files = [{"name": name, "uploadUrl": f"{self.url}/storage/{asked['run']}/{name}"} for name in asked["files"]]
        return {"createRunFiles": {"runID": asked["run"], "uploadHeaders": [], "files": files}}

    def _list_runs(self, query: str, asked: Json) -> Json:
        own = [run for (e, p, _), run in self.runs.items() if (e, p) == (asked["entity"], asked["project"])]
        if not own:
            return {"project": None}
        wanted = json.loads(asked.get("filters") or "{}")
        runs = sorted((run for run in own if matches(run, wanted)), key=lambda run: (run.created, run.name))
        if str(asked.get("order") or "").startswith("-"):
            runs.reverse()
        size, start = min(int(asked.get("perPage") or 50), self.page), int(asked.get("cursor") or 0)
        nodes = [node(run) or {} for run in runs[start : start + size]]
        if "LightweightRunFragment" in query:
            heavy = ("config", "summaryMetrics", "systemMetrics", "historyKeys")
            nodes = [{key: value for key, value in node.items() if key not in heavy} for node in nodes]
        edges = [{"node": node, "cursor": str(start + index + 1)} for index, node in enumerate(nodes)]
        info = {"endCursor": str(start + len(nodes)), "hasNextPage": start + size < len(runs)}
        page = {"edges": edges, "pageInfo": info}
        return {"project": {"internalId": "1", "runCount": len(runs), "readOnly": False, "runs": page}}

    def _history_page(self, _: str, asked: Json) -> Json:
        run = self._asked(asked)
        rows = [] if run is None else run.history
        page = [row for row in rows if asked["minStep"] <= row["_step"] < asked["maxStep"]][: asked["pageSize"]]
        return {"project": {"run": {"history": [json.dumps(row) for row in page]}}}

    def _parquet_history(self, _: str, asked: Json) -> Json:
        run = self._asked(asked)
        if run is None or not run.history:
            return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}
        if not self.parquet or run.state == "running":
            live = [{"_step": run.history[0]["_step"]}]
            return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": live}}}}
        path = f"/parquet/{run.name}-{len(run.history)}.parquet"
        names = dict.fromkeys(key for row in run.history for key in row)
        buffer = io.BytesIO()
        pq.write_table(pa.table({name: [row.get(name) for row in run.history] for name in names}), buffer)
        self._exports[path] = buffer.getvalue()
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [self.url + path], "liveData": []}}}}

    def _projects(self, _: str, asked: Json) -> Json:
        names = sorted({project for entity, project, _ in self.runs if entity == asked.get("entity", ENTITY)})
        edges = [
            {
                "node": {
                    "id": name,
                    "name": name,
                    "entityName": ENTITY,
                    "createdAt": now(),
                    "isBenchmark": False,
                    "user": None,
                }
            }
            for name in names
        ]
        return {"models": {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}}

    def _upsert_view(self, _: str, asked: Json) -> Json:
        self.views[str(asked.get("name"))] = asked
        view = {key: asked.get(key) for key in ("name", "displayName", "type", "spec")}
        return {"upsertView": {"view": {"id": "Vmlldzox", **view}, "inserted": True}}
