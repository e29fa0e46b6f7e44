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
from sweeps.watch import seconds_left

_LINE_SECONDS = 15.0
_REFRESH_SECONDS = 0.5


class Progress:
    """Shows the runs' states; call it with fresh ones as often as you like.

    Args:
        console: where to.
        parallel: runs side by side, for the sweep's time left.
    """

    def __init__(self, console: Console, parallel: int) -> None:
        self._console = console
        self._parallel = parallel
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown = 0.0
        self._runs: Sequence[PlannedRun] = ()

    def __call__(self, runs: Sequence[PlannedRun]) -> None:
        """Show where the runs stand."""
        now = time.time()
        before = {run.run_id: run.state.status for run in self._runs}
        self._runs = runs
        if self._live is not None:
            if now - self._shown >= _REFRESH_SECONDS:
                self._refresh(self._live, now)
            return
        due = now - self._shown >= _LINE_SECONDS
        for run in runs:
            status = run.state.status
            if before.get(run.run_id, status) is not status or (due and status is RunStatus.RUNNING):
                self._console.print(_line(run, now), highlight=False, markup=False, soft_wrap=True)
        if due and runs:
            self._console.print(tables.sweep_line(runs, self._parallel, now), highlight=False, soft_wrap=True)
            self._shown = now

    def _refresh(self, live: Live, now: float) -> None:
        live.update(tables.progress_table(self._runs, self._parallel, now, self._console.height), refresh=True)
        self._shown = now

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._refresh(self._live, time.time())
            self._live.__exit__(kind, error, trace)


def _line(run: PlannedRun, now: float) -> str:
    entropy, accuracy, zero = tables.latest_cells(run.state)
    parts = [
        f"{run.run_id} {run.label}: {tables.status_text(run.state)}",
        f"step {run.state.step}/{run.total_steps}",
        f"entropy {entropy}" if entropy else "",
        f"pass@1 {accuracy}" if accuracy else "",
        f"zero advantage {zero}" if zero else "",
    ]
    left = tables.duration(seconds_left(run, now))
    return ", ".join(part for part in [*parts, f"{left} left" if left else ""] if part)
