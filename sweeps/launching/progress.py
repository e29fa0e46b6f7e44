"""Live progress: a table on a terminal, elsewhere a line at each event and now and then one for the sweep."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from qae import metrics
from qae.console import terminal
from qae.console.literal import say
from qae.console.text import brief
from qae.run_directory import RunStatus
from sweeps.launching import tables
from sweeps.launching.plan import PlannedRun
from sweeps.launching.watch import seconds_left

_REFRESH_SECONDS = 0.5
_SUMMARY_SECONDS = 30.0
# Lines on single runs between two on the sweep, so many on bad ends and on all else; of the others there is the number.
_EVENTS_BETWEEN = 20
_BAD_ENDS = (RunStatus.FAILED, RunStatus.STOPPED_BY_GUARD)


class Progress:
    """Shows the runs' states; call it with fresh ones as often as you like.

    Args:
        console: where to.
        parallel: runs side by side, for the sweep's time left.
        clock: seconds since the epoch.
    """

    def __init__(self, console: Console, parallel: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._table = _Table(console, parallel) if terminal.is_terminal(console.file) else None
        self._lines = _Lines(console, parallel)

    def __call__(self, runs: Sequence[PlannedRun]) -> None:
        """Show where the runs stand."""
        (self._table or self._lines).show(runs, self._clock())

    def __enter__(self) -> Self:
        if self._table is not None:
            self._table.live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        (self._table or self._lines).end(self._clock())
        if self._table is not None:
            self._table.live.__exit__(kind, error, trace)


class _Table:
    """A table that is painted over."""

    def __init__(self, console: Console, parallel: int) -> None:
        self.live = Live(console=console, auto_refresh=False)
        self._console = console
        self._parallel = parallel
        self._runs: Sequence[PlannedRun] = ()
        self._painted = 0.0

    def show(self, runs: Sequence[PlannedRun], now: float) -> None:
        self._runs = runs
        if now - self._painted >= _REFRESH_SECONDS:
            self.end(now)

    def end(self, now: float) -> None:
        table = tables.progress_table(self._runs, self._parallel, now, self._console.height)
        shown = terminal.fitted(table, self._console.width, tables.PROGRESS_LEAST, "`qae status --json` has them")
        self.live.update(shown, refresh=True)
        self._painted = now


class _Lines:
    """Lines of a log: each event once, and the sweep's standing where that has changed."""

    def __init__(self, console: Console, parallel: int) -> None:
        self._console = console
        self._parallel = parallel
        self._runs: Sequence[PlannedRun] = ()
        self._known: Mapping[str, _Event] = {}
        self._said: Sequence[object] | None = None
        self._said_at = 0.0
        self._events: Counter[bool] = Counter()

    def show(self, runs: Sequence[PlannedRun], now: float) -> None:
        found = {run.run_id: _event(run) for run in runs}
        changed = [run for run in runs if self._known.get(run.run_id, found[run.run_id]) != found[run.run_id]]
        self._known, self._runs = found, runs
        for run in changed:
            is_bad = run.state.status in _BAD_ENDS
            self._events[is_bad] += 1
            if self._events[is_bad] <= _EVENTS_BETWEEN:
                self._say(_line(run, now))
        if self._said is None or now - self._said_at >= _SUMMARY_SECONDS:
            self.end(now)

    def end(self, now: float) -> None:
        """Say how the sweep stands, unless nothing has changed since that was said."""
        standing = [(run.run_id, run.state.status, run.state.step) for run in self._runs]
        if standing and standing != self._said:
            untold = sum(max(0, number - _EVENTS_BETWEEN) for number in self._events.values())
            more = f"; {tables.count(untold, 'event')} not shown" if untold > 0 else ""
            self._say(tables.sweep_line(self._runs, self._parallel, now) + more)
            self._said, self._said_at = standing, now
            self._events.clear()

    def _say(self, line: str) -> None:
        say(self._console, line)


# What a line is said for: another status, another evaluation, another decision of the guard.
_Event = tuple[RunStatus, float | None, str | None]


def _event(run: PlannedRun) -> _Event:
    return run.state.status, run.state.latest.get(metrics.pass_at(1).name), run.state.reason


def _line(run: PlannedRun, now: float) -> str:
    entropy, accuracy, zero = tables.latest_cells(run.state)
    parts = [
        f"{run.run_id} {brief(run.label)}: {run.state.status.shown}",
        f"step {run.state.step}/{run.total_steps}",
        f"entropy {entropy}" if entropy else "",
        f"pass@1 {accuracy}" if accuracy else "",
        f"zero advantage {zero}" if zero else "",
    ]
    left = tables.duration(seconds_left(run.state, run.total_steps, now))
    said = brief(run.state.reason or "", tables.REASON_LETTERS)
    return ", ".join(part for part in [*parts, f"{left} left" if left else "", said] if part)
