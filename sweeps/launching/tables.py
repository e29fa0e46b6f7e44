"""Tables for the terminal: the plan before, progress during, failures after."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from qae import metrics
from qae.console.literal import LiteralTable
from qae.console.text import brief
from qae.run_directory import RunState, RunStatus
from sweeps.launching.watch import seconds_left, sweep_seconds_left

if TYPE_CHECKING:
    from sweeps.launching.plan import Plan, PlannedRun

_COLOURS = {
    RunStatus.DONE: "green",
    RunStatus.RUNNING: "cyan",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "yellow",
    RunStatus.PREEMPTED: "yellow",
    RunStatus.STOPPED_BY_GUARD: "magenta",
}
REASON_LETTERS = 500
# Columns in the order in which a narrow terminal goes without them.
PLAN_LEAST = ("resources", "steps", "GPU-h")
PROGRESS_LEAST = ("zero adv.", "entropy", "time left", "pass@1", "state", "step")
FAILURE_LEAST = ("axes", "log")
_LINES_AROUND_ROWS = 8  # borders, header, caption in up to three lines and the cursor's line


def plan_table(plan: "Plan") -> LiteralTable:
    """What will happen to each run."""
    from sweeps.launching.plan import Action

    table = LiteralTable(title=f"Plan of sweep '{plan.name}': {count(len(plan.runs), 'run')}")
    table.add_column("run id", no_wrap=True)
    table.add_column("axes", overflow="fold")
    table.add_column("resources")
    table.add_column("steps", justify="right")
    hours = [run.gpu_hours for run in plan.runs if run.gpu_hours is not None and run.action.runs]
    if hours:
        table.add_column("GPU-h", justify="right")
        table.caption = f"about {sum(hours):,.0f} GPU hours in all (docs/gpu_hours.md); {_disk(plan)}"
        table.caption_justify = "left"
    table.add_column("action")
    for run in plan.runs:
        done = run.action is Action.SKIP_DONE
        table.add_row(
            run.run_id,
            brief(run.label),
            _resources(run.config),
            f"{run.state.step}/{run.total_steps}",
            *([_about(run)] if hours else []),
            Text(run.action, "green") if done else str(run.action),
        )
    return table


def _disk(plan: "Plan") -> str:
    from sweeps.launching import needs  # here, so that listing runs does not wait for it

    sizes = [needs.disk_bytes(run.config) for run in plan.runs if run.gpu_hours is not None and run.action.runs]
    each, fewer = needs.size(max(sizes)), "trainer.max_actor_ckpt_to_keep=1 keeps fewer"
    return f"checkpoints take up to {each} a run and {needs.size(sum(sizes))} in all ({fewer})"


def _resources(config: Mapping[str, object]) -> str:
    """What a run computes on, in a few words."""
    from sweeps import trainers  # here, so that listing runs does not wait for it

    trainer = trainers.of(config)
    gpus = trainer.gpus(config)
    return f"{trainer.nodes(config)}x{gpus} GPUs" if gpus else count(trainer.threads(config), "thread")


def _about(run: "PlannedRun") -> str:
    return f"~{run.gpu_hours:,.0f}" if run.gpu_hours is not None and run.action.runs else ""


def plan_lines(plan: "Plan") -> Iterator[str]:
    """What will happen to each run, as a JSON object for scripts; names as in `qae status --json`."""
    for run in plan.runs:
        values = {
            "id": run.run_id,
            "sweep": plan.name,
            "label": run.label,
            "overrides": list(run.overrides),
            "action": run.action,
            "step": run.state.step,
            "total_steps": run.total_steps,
            "gpu_hours": run.gpu_hours,
        }
        yield json.dumps(values)


def progress_table(runs: "Sequence[PlannedRun]", parallel: int, now: float, height: int) -> LiteralTable:
    """Where each run stands: one row per run, and a line for the sweep.

    Args:
        runs: with fresh states.
        parallel: runs side by side.
        now: seconds since the epoch.
        height: lines of the terminal; where the runs are more, the running ones are shown before the others.
    """
    shown = _most_interesting(runs, max(1, height - _LINES_AROUND_ROWS))
    table = LiteralTable(caption=sweep_line(runs, parallel, now), caption_justify="left")
    table.add_column("axes", overflow="ellipsis", no_wrap=True)
    table.add_column("state")
    for name in ("step", "entropy", "pass@1", "zero adv.", "time left"):
        table.add_column(name, justify="right")
    for run in shown:
        state = run.state
        colour = _COLOURS.get(state.status, "default")
        table.add_row(
            brief(run.label),
            Text(state.status.shown, colour),
            f"{state.step}/{run.total_steps}",
            *latest_cells(state),
            duration(seconds_left(state, run.total_steps, now)),
        )
    return table


def sweep_line(runs: "Sequence[PlannedRun]", parallel: int, now: float) -> str:
    """The whole sweep in a line: how many runs stand where, and the time left."""
    statuses = Counter(run.state.status.shown for run in runs)
    parts = [f"{number} {status}" for status, number in sorted(statuses.items())]
    left = sweep_seconds_left(runs, parallel, now)
    return f"{count(len(runs), 'run')}: {', '.join(parts)}" + ("" if left is None else f"; about {duration(left)} left")


def latest_cells(state: RunState) -> tuple[str, str, str]:
    """Entropy, pass@1 and zero-advantage share as last reported; empty where there is none."""
    names = (metrics.ENTROPY.name, metrics.pass_at(1).name, metrics.ZERO_FRACTION.name)
    entropy, accuracy, zero = (state.latest.get(name) for name in names)
    return (
        "" if entropy is None else f"{entropy:.3f}",
        "" if accuracy is None else f"{accuracy:.3f}",
        "" if zero is None else f"{zero:.0%}",
    )


def failure_table(failed: Mapping[str, str], runs: "Sequence[PlannedRun]") -> LiteralTable:
    """Why runs failed and where their logs are."""
    table = LiteralTable(title=f"{count(len(failed), 'run')} did not finish")
    for name in ("run id", "axes", "reason", "log"):
        table.add_column(name, overflow="fold")
    for run in runs:
        if run.run_id in failed:
            attempt = run.directory.read_state().attempt
            log = run.directory.log(attempt)
            table.add_row(run.run_id, brief(run.label), brief(failed[run.run_id], REASON_LETTERS), str(log))
    return table


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds, or nothing."""
    if seconds is None:
        return ""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def count(number: int, noun: str) -> str:
    """A number with its noun in the right form."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _most_interesting(runs: "Sequence[PlannedRun]", rows: int) -> "Sequence[PlannedRun]":
    """All runs where they fit; else running ones, then failed ones, then the rest, in the sweep's order."""
    if len(runs) <= rows:
        return runs
    rank = {RunStatus.RUNNING: 0, RunStatus.FAILED: 1, RunStatus.PREEMPTED: 1, RunStatus.DONE: 3}
    chosen = sorted(range(len(runs)), key=lambda i: (rank.get(runs[i].state.status, 2), i))[:rows]
    return [runs[i] for i in sorted(chosen)]
