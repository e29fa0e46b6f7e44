"""Live progress: a table on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from qae.run_directory import RunStatus
from sweeps import tables
from sweeps.plan import PlannedRun

_LINE_SECONDS = 15.0
_REFRESH_SECONDS = 0.5


class Progress:
    """Shows the runs' states; call it with fresh ones as often as you like."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown = 0.0
        self._statuses: dict[str, RunStatus] = {}

    def __call__(self, runs: Sequence[PlannedRun]) -> None:
        """Show where the runs stand."""
        now = time.time()
        if self._live is not None:
            if now - self._shown >= _REFRESH_SECONDS:
                self._live.update(tables.progress_table(runs), refresh=True)
                self._shown = now
            return
        changed = [run for run in runs if self._statuses.get(run.run_id) is not run.state.status]
        self._statuses = {run.run_id: run.state.status for run in runs}
        due = now - self._shown >= _LINE_SECONDS
        for run in runs if due else changed:
            if run in changed or run.state.status is RunStatus.RUNNING:
                self._console.print(_line(run, now), highlight=False, soft_wrap=True)
        if due:
            self._shown = now

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)


def _line(run: PlannedRun, now: float) -> str:
    entropy, accuracy, zero = tables.latest_cells(run.state)
    parts = [
        f"{run.run_id} {run.label}: {run.state.status}",
        f"step {run.state.step}/{run.total_steps}",
        f"entropy {entropy}" if entropy else "",
        f"pass@1 {accuracy}" if accuracy else "",
        f"zero advantage {zero}" if zero else "",
    ]
    left = tables.duration(tables.time_left(run.state, now))
    return ", ".join(part for part in [*parts, f"{left} left" if left else ""] if part)
