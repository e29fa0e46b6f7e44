"""Where runs stand, as lines of a table and as JSON: files tell, and a cluster's queue where there is one."""

import math
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qae import metrics
from qae.console import terminal
from qae.console.text import brief
from qae.files.numbers import spelled
from qae.run_directory import RunDirectory, RunStatus
from sweeps.launching import tables
from sweeps.launching.watch import seconds_left
from sweeps.run_store.selection import StoredRun

HEADER = (
    "run id", "axes", "status", "step", "entropy", "", "pass@1", "zero adv.", "time left", "attempts", "node", "job",
    "reason",
)  # fmt: skip
# In the order in which a narrow terminal goes without them; the column of bars has no name.
_LEAST = ("", "attempts", "zero adv.", "node", "job", "time left", "entropy", "reason", "pass@1", "axes", "step")
_BARS = "▁▂▃▄▅▆▇█"
_BARS_SHOWN = 12
_TAIL_BYTES = 1 << 16
_NUMBER = rb'(-?[\d.]+(?:[eE][+-]?\d+)?|"(?:-?Infinity|NaN)")'
_ENTROPY = re.compile(rb'"' + re.escape(metrics.ENTROPY.name.encode()) + rb'":' + _NUMBER)


@dataclass(frozen=True)
class InQueue:
    """What a cluster's queue says of a run's job.

    Attributes:
        job: its id.
        waits: whether it waits, rather than runs.
        held: whether it waits until somebody releases it.
        reason: why it waits, in the cluster's words; empty where it says nothing.
        node: where it runs.
    """

    job: str
    waits: bool
    held: bool
    reason: str
    node: str


def row(run: StoredRun, queued: InQueue | None, now: float) -> tuple[str, ...]:
    """A run as a line of the table."""
    state = run.state
    entropy, accuracy, zero = tables.latest_cells(state)
    return (
        brief(run.run_id),
        brief(run.label),
        _status(run, queued),
        f"{state.step}/{state.total_steps}",
        entropy,
        sparkline(entropies(run.directory)) if state.step else "",
        accuracy,
        zero,
        tables.duration(seconds_left(run.state, run.state.total_steps, now)),
        str(state.attempt),
        _node(run, queued) or "",
        (queued.job if queued else state.job) or "",
        brief(_reason(run, queued), tables.REASON_LETTERS),
    )


def as_json(run: StoredRun, queued: InQueue | None, now: float) -> dict[str, object]:
    """A run as an object for scripts."""
    state = run.state
    return {
        "id": run.run_id,
        "sweep": run.sweep,
        "label": run.label,
        "overrides": list(run.overrides),
        "status": _status(run, queued),
        "step": state.step,
        "total_steps": state.total_steps,
        "attempt": state.attempt,
        "reason": _reason(run, queued) or None,
        "exit_reason": state.exit_reason,
        "reasons": dict(state.reasons),
        "node": _node(run, queued),
        "job": queued.job if queued else state.job,
        "seconds_left": seconds_left(run.state, run.state.total_steps, now),
        **{name: spelled(value) for name, value in state.latest.items()},
    }


def table(
    runs: Sequence[StoredRun], queue: Mapping[str, InQueue], now: float | None = None, room: int | None = None
) -> tuple[list[str], str | None]:
    """Lines of a table, a header and one line per run; and a sentence on what there was no room for.

    Args:
        runs: with fresh states.
        queue: what a cluster says, by run id.
        now: seconds since the epoch.
        room: characters of a line; None for as many as it takes.
    """
    moment = time.time() if now is None else now
    rows = [HEADER, *(row(run, queue.get(run.run_id), moment) for run in runs)]
    return terminal.aligned_within(rows, room, _LEAST, "--json has them")


def summary(runs: Sequence[StoredRun], queue: Mapping[str, InQueue]) -> str:
    """How many runs stand where."""
    statuses = Counter(_status(run, queue.get(run.run_id)) for run in runs)
    parts = ", ".join(f"{number} {status}" for status, number in statuses.items())
    return tables.count(len(runs), "run") + (f": {parts}" if parts else "")


def most_interesting(runs: Sequence[StoredRun], rows: int) -> Sequence[StoredRun]:
    """Those that a screen has room for: running ones first, done ones last, in order."""
    rank = {RunStatus.RUNNING: 0, RunStatus.FAILED: 1, RunStatus.PREEMPTED: 1, RunStatus.DONE: 3}
    chosen = sorted(range(len(runs)), key=lambda i: (rank.get(runs[i].state.status, 2), i))[:rows]
    return [runs[i] for i in sorted(chosen)]


def entropies(directory: RunDirectory) -> list[float]:
    """Entropies of the last steps on disk, as far as they stand in the end of the file."""
    try:
        with directory.metrics.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return [float(value.strip(b'"')) for value in _ENTROPY.findall(file.read())]
    except OSError:
        return []


def sparkline(values: Sequence[float]) -> str:
    """Values as bars from the lowest to the highest, several to a bar where they are many; "!": not finite."""
    if not values:
        return ""
    size = max(1, -(-len(values) // _BARS_SHOWN))
    means = [sum(part) / len(part) for part in (values[i : i + size] for i in range(0, len(values), size))]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)

    def bar(mean: float) -> str:
        if not math.isfinite(mean):
            return "!"
        return _BARS[round((mean - low) / (high - low) * 7) if high > low else 3]

    return "".join(map(bar, means))


def is_over(run: StoredRun, queued: InQueue | None) -> bool:
    """Whether nothing happens to a run until somebody starts it again."""
    over = (RunStatus.PREEMPTED, RunStatus.CANCELLED)
    return queued is None and (run.state.status.is_final or run.state.status in over)


def queued_for(run: StoredRun, now: float) -> float:
    """Seconds since a run that says queued said so; 0 for others."""
    if run.state.status is not RunStatus.QUEUED:
        return 0.0
    try:
        return now - run.directory.state.stat().st_mtime
    except OSError:
        return 0.0


def _status(run: StoredRun, queued: InQueue | None) -> str:
    """In a word; a run that was interrupted, and whose job waits, is queued."""
    if _waits(run, queued):
        return "held" if queued is not None and queued.held else str(RunStatus.QUEUED)
    return run.state.status.shown


def _waits(run: StoredRun, queued: InQueue | None) -> bool:
    """Whether its job waits; the queue's answer may be some seconds older than the run's own word that it runs."""
    settled = run.state.status.is_final or run.state.status is RunStatus.RUNNING
    return queued is not None and queued.waits and not settled


def _node(run: StoredRun, queued: InQueue | None) -> str | None:
    return (queued.node if queued else None) or run.state.node or run.state.host


def _reason(run: StoredRun, queued: InQueue | None) -> str:
    if queued is None or not _waits(run, queued):
        return run.state.reason or (f"W&B: {run.state.tracking}" if run.state.tracking else "")
    return f"{queued.reason}; `qae resume {run.run_id}` releases it" if queued.held else queued.reason
