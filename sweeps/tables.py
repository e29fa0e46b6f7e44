"""Tables for the terminal: the plan before, progress during, failures after."""

import time
from collections.abc import Mapping, Sequence

from rich.table import Table

from qae import metrics
from qae.run_directory import RunState, RunStatus
from sweeps.plan import Action, Plan, PlannedRun

_COLOURS = {
    RunStatus.DONE: "green",
    RunStatus.RUNNING: "cyan",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "yellow",
}


def plan_table(plan: Plan, threads: int) -> Table:
    """What will happen to each run."""
    table = Table(title=f"Plan of sweep '{plan.name}': {len(plan.runs)} runs", title_justify="left")
    table.add_column("run id", no_wrap=True)
    table.add_column("axes", overflow="fold")
    table.add_column("resources")
    table.add_column("steps", justify="right")
    table.add_column("action")
    for run in plan.runs:
        done = run.action is Action.SKIP_DONE
        table.add_row(
            run.run_id,
            run.label,
            f"{threads} thread{'s' if threads > 1 else ''}",
            f"{run.state.step}/{run.total_steps}",
            f"[green]{run.action}[/green]" if done else str(run.action),
        )
    return table


def progress_table(runs: Sequence[PlannedRun], now: float | None = None) -> Table:
    """Where each run stands: a row a run."""
    table = Table()
    table.add_column("axes", overflow="fold")
    table.add_column("state")
    for name in ("step", "entropy", "pass@1", "zero adv.", "time left"):
        table.add_column(name, justify="right")
    for run in runs:
        state = run.state
        colour = _COLOURS.get(state.status, "default")
        table.add_row(
            run.label,
            f"[{colour}]{state.status}[/{colour}]",
            f"{state.step}/{run.total_steps}",
            *latest_cells(state),
            duration(time_left(state, time.time() if now is None else now)),
        )
    return table


def latest_cells(state: RunState) -> tuple[str, str, str]:
    """Entropy, pass@1 and zero-advantage share as last reported; empty where there is none."""
    names = (metrics.ENTROPY.name, metrics.pass_at(1).name, metrics.ZERO_FRACTION.name)
    entropy, accuracy, zero = (state.latest.get(name) for name in names)
    return (
        "" if entropy is None else f"{entropy:.3f}",
        "" if accuracy is None else f"{accuracy:.3f}",
        "" if zero is None else f"{zero:.0%}",
    )


def failure_table(failed: Mapping[str, str], runs: Sequence[PlannedRun]) -> Table:
    """Why runs failed and where their logs are."""
    table = Table(title=f"{len(failed)} run{'s' if len(failed) > 1 else ''} did not finish", title_justify="left")
    for name in ("run id", "axes", "reason", "log"):
        table.add_column(name, overflow="fold")
    for run in runs:
        if run.run_id in failed:
            attempt = run.directory.read_state().attempt
            log = run.directory.logs / f"attempt-{attempt}.log"
            table.add_row(run.run_id, run.label, failed[run.run_id], str(log))
    return table


def time_left(state: RunState, now: float) -> float | None:
    """Seconds until a running run is done at the rate of its attempt; None where that is not known."""
    done = state.step - state.start_step
    if state.status is not RunStatus.RUNNING or done < 1 or state.started is None:
        return None
    rate = (state.heartbeat - state.started) / done
    return max(0.0, (state.total_steps - state.step) * rate - (now - state.heartbeat))


def duration(seconds: float | None) -> str:
    """Minutes and seconds, or nothing."""
    return "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
