"""Runs as the double of W&B's server keeps them: which pass a filter, and how a query sees them."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ENTITY = "loop"
Json = dict[str, Any]


def now() -> str:
    """The time in the server's form."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class ServerRun:
    """A run as the server keeps it; `writes` counts history lines as they came in."""

    entity: str
    project: str
    name: str
    state: str = "running"
    display_name: str = ""
    config: Json = field(default_factory=dict)
    summary: Json = field(default_factory=dict)
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    created: str = field(default_factory=now)
    heartbeat: str = field(default_factory=now)
    history: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return base64.b64encode(f"Run:v1:{self.name}:{self.project}:{self.entity}".encode()).decode()

    @property
    def last_step(self) -> int:
        return max((int(row["_step"]) for row in self.history), default=-1)

    def values(self, key: str) -> list[Any]:
        """A key's values in the order of the history, as strings that stand for no number are undone."""
        return [float(row[key]) for row in self.history if key in row]


def matches(run: ServerRun, wanted: Mapping[str, Any]) -> bool:
    """Whether a run passes a filter in MongoDB's form, as far as the client's users write it."""
    for key, condition in wanted.items():
        if key in ("$and", "$or"):
            parts = [matches(run, part) for part in condition]
            passes = all(parts) if key == "$and" else any(parts)
        elif isinstance(condition, dict):
            passes = all(_COMPARISONS[name](_value(run, key), operand) for name, operand in condition.items())
        else:
            value = _value(run, key)
            passes = condition in value if isinstance(value, list) else value == condition
        if not passes:
            return False
    return True


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda a, b: a == b,
    "$ne": lambda a, b: a != b,
    "$gt": lambda a, b: a is not None and a > b,
    "$gte": lambda a, b: a is not None and a >= b,
    "$lt": lambda a, b: a is not None and a < b,
    "$lte": lambda a, b: a is not None and a <= b,
    "$in": lambda a, b: any(item in b for item in a) if isinstance(a, list) else a in b,
    "$regex": lambda a, b: a is not None and re.search(b, a) is not None,
    "$exists": lambda a, b: (a is not None) == b,
}


def _value(run: ServerRun, key: str) -> Any:  # noqa: ANN401  # JSON
    plain = {
        "name": run.name,
        "display_name": run.display_name,
        "state": run.state,
        "group": run.group,
        "jobType": run.job_type,
        "tags": run.tags,
    }
    head, _, rest = key.partition(".")
    if head != "config":
        return plain.get(key)
    value: Any = {name: entry["value"] for name, entry in run.config.items() if "value" in entry}
    for part in rest.removesuffix(".value").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def history_keys(run: ServerRun | None) -> Json | None:
    """Names in a run's history."""
    if run is None:
        return None
    names = dict.fromkeys(key for row in run.history[:50] for key in row)
    keys = {name: {"typeCounts": [{"type": "number", "count": 1}], "monotonic": False} for name in names}
    return {"historyKeys": {"lastStep": run.last_step, "sets": [], "keys": keys}}


def node(run: ServerRun | None) -> Json | None:
    """A run as a query sees it."""
    if run is None:
        return None
    return {
        "id": run.id,
        "name": run.name,
        "displayName": run.display_name or run.name,
        "state": run.state,
        "config": json.dumps(run.config),
        "summaryMetrics": json.dumps(run.summary),
        "systemMetrics": "{}",
        "group": run.group,
        "jobType": run.job_type,
        "tags": run.tags,
        "notes": run.notes,
        "description": None,
        "sweepName": None,
        "commit": None,
        "readOnly": False,
        "createdAt": run.created,
        "heartbeatAt": run.heartbeat,
        "projectId": "1",
        "user": {"name": ENTITY, "username": ENTITY},
        "historyLineCount": len(run.history),
        **(history_keys(run) or {}),
    }
